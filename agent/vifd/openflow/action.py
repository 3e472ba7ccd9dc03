"""Actions as bytes, as values, and in the words of ovs-ofctl.

Each builder gives the bytes of one action in the form in which Open vSwitch sends it back. A list
of actions is their concatenation. Numbers are those of OpenFlow 1.4 section 7.2.5 and of the Nicira
extension (vendor 0x2320).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vifd.openflow import field as fd
from vifd.openflow.field import BY_HEADER, BY_NAME, Field, Scalar

#: The bytes of one action.
Action = bytes

#: OFPCML_NO_BUFFER: the whole packet goes to the controller.
WHOLE = 0xFFFF
_ETHERTYPE_VLAN = 0x8100
#: Bits 0 to 15 of a field, as the Nicira extension writes a range: first bit, number of bits.
_LOW_BITS = 0 << 6 | 15

_OUTPUT, _PUSH_VLAN, _POP_VLAN, _SET_FIELD, _EXPERIMENTER = 0, 17, 18, 25, 0xFFFF
_NICIRA = 0x2320
_MOVE, _RESUBMIT_TABLE, _OUTPUT_REGISTER, _CONJUNCTION, _CT = 6, 14, 15, 34, 35
_CONTROLLER, _OUTPUT_TRUNC, _CLONE = 20, 39, 42
_NO_TABLE = 0xFF
#: Why a frame is handed over: by an action.
_BY_ACTION = 1
_NXM_IN_PORT = 0x0000_0002

_HEAD = struct.Struct("!HH")
_OUTPUT_FORM = struct.Struct("!HHIH6x")
_TAG_FORM = struct.Struct("!HHH2x")
_RESUBMIT_FORM = struct.Struct("!HHIHHB3x")
_OUTPUT_REGISTER_FORM = struct.Struct("!HHIHHIH6x")
_CONJUNCTION_FORM = struct.Struct("!HHIHBBI")
_MOVE_FORM = struct.Struct("!HHIHHHHII")
_CT_FORM = struct.Struct("!HHIHHIHB3xH")
_TRUNC_FORM = struct.Struct("!HHIHHI")
_CONTROLLER_FORM = struct.Struct("!HHIHHHBx")
_CLONE_FORM = struct.Struct("!HHIH6x")


@lru_cache(maxsize=4096)
def output(port: int) -> Action:
    """Send the frame out of a port; a frame never leaves by the port it came in."""
    return _OUTPUT_FORM.pack(_OUTPUT, 16, port, 0)


def output_register(name: str) -> Action:
    """Send the frame out of the port whose number is in the low 16 bits of a register."""
    return _OUTPUT_REGISTER_FORM.pack(
        _EXPERIMENTER, 24, _NICIRA, _OUTPUT_REGISTER, _LOW_BITS, BY_NAME[name].header, WHOLE
    )


@lru_cache(maxsize=4096)
def conjunction(number: int, clause: int, clauses: int) -> Action:
    """The flow is one clause of a conjunctive match: where a packet meets a flow of each clause, at
    one priority, the lookup is repeated with ``conj_id`` set to the number (ovs-fields(7)).

    :param clause: from 0; :param clauses: how many there are, from 2 to 64
    """
    if not 0 <= clause < clauses or not 2 <= clauses <= 64:
        raise ValueError(f"conjunction: there is no clause {clause} of {clauses}")
    return _CONJUNCTION_FORM.pack(
        _EXPERIMENTER, 16, _NICIRA, _CONJUNCTION, clause, clauses, number
    )  # fmt: skip


def in_port() -> Action:
    """Send the frame back out of the port it came in."""
    return output(fd.IN_PORT)


def normal() -> Action:
    """Switch the frame as an ordinary learning bridge would."""
    return output(fd.NORMAL)


def controller(max_len: int = WHOLE) -> Action:
    """Hand the frame to the controllers, ``max_len`` bytes of it."""
    return _OUTPUT_FORM.pack(_OUTPUT, 16, fd.CONTROLLER, max_len)


@lru_cache(maxsize=8)
def controller_of(identity: int, max_len: int) -> Action:
    """Hand the beginning of the frame to those connections alone that go by this identity."""
    return _CONTROLLER_FORM.pack(
        _EXPERIMENTER, 16, _NICIRA, _CONTROLLER, max_len, identity, _BY_ACTION
    )


@lru_cache(maxsize=4096)
def set_field(name: str, value: Scalar) -> Action:
    """Write a field of the packet or a register; the whole field, without a mask.

    :raises ValueError: for an unknown field or a value that does not fit
    """
    field = BY_NAME.get(name)
    if field is None:
        raise ValueError(f"no such field: {name}")
    number, mask = fd.parse(field, value)
    if mask != field.full:
        raise ValueError(f"set_field {name}: OpenFlow 1.4 sets whole fields only")
    oxm = field.header.to_bytes(4, "big") + number.to_bytes(field.size, "big")
    size = 4 + len(oxm)
    padding = -size % 8
    return _HEAD.pack(_SET_FIELD, size + padding) + oxm + bytes(padding)


@lru_cache(maxsize=4096)
def come_in(port: int) -> Action:
    """Have the packet come in by another port from here on: what matches ``in_port`` sees that one,
    and it is not sent back there. The switch need not have the port. Only the older field of NXM
    can be written (ovs-fields(7), ``in_port``).
    """
    return _HEAD.pack(_SET_FIELD, 16) + struct.pack("!IH6x", _NXM_IN_PORT, port)


@lru_cache(maxsize=64)
def move(source: str, target: str) -> Action:
    """Copy a whole field to another one of the same width.

    :raises ValueError: for an unknown field or different widths
    """
    if not {source, target} <= _NXM.keys() or BY_NAME[source].bits != BY_NAME[target].bits:
        raise ValueError(f"move:{source}->{target}: no such fields, or of different widths")
    bits, headers = BY_NAME[source].bits, (_NXM[source][1], _NXM[target][1])
    return _MOVE_FORM.pack(_EXPERIMENTER, 24, _NICIRA, _MOVE, bits, 0, 0, *headers)


@lru_cache(maxsize=8)
def push_vlan(ethertype: int = _ETHERTYPE_VLAN) -> Action:
    """Put a VLAN tag with id 0 in front; follow it with :func:`set_vlan`."""
    return _TAG_FORM.pack(_PUSH_VLAN, 8, ethertype)


def set_vlan(vid: int) -> Action:
    """Write the id of the outer VLAN tag, which must be there."""
    return set_field("vlan_vid", vid)


def pop_vlan() -> Action:
    """Take the outer VLAN tag off."""
    return _POP


_POP = _TAG_FORM.pack(_POP_VLAN, 8, 0)


@lru_cache(maxsize=512)
def resubmit(port: int | None = None, table: int | None = None) -> Action:
    """Look the packet up in another table, then go on with the next action.

    :param port: the in_port to look it up with; ``None`` keeps it
    :param table: ``None`` for the table that the packet is in
    """
    wanted = fd.IN_PORT & 0xFFFF if port is None else port
    where = _NO_TABLE if table is None else table
    return _RESUBMIT_FORM.pack(_EXPERIMENTER, 16, _NICIRA, _RESUBMIT_TABLE, wanted, where)


def ct(
    *, commit: bool = False, zone: int | str = 0, table: int | None = None,
    actions: Sequence[Action] = (),
) -> Action:  # fmt: skip
    """Send the packet through connection tracking.

    :param zone: a number, or the name of a register whose low 16 bits hold it
    :param table: where the packet goes on once its state is known; ``None`` does not look it up
    :param actions: done on a committed connection: ``set_field`` of ``ct_mark``
    """
    source, bits = (0, zone) if isinstance(zone, int) else (BY_NAME[zone].header, 15)
    nested = b"".join(actions)
    where = _NO_TABLE if table is None else table
    return _CT_FORM.pack(
        _EXPERIMENTER, 24 + len(nested), _NICIRA, _CT, int(commit), source, bits, where, 0
    ) + nested  # fmt: skip


def copied(actions: Sequence[Action]) -> Action:
    """Do all this with a copy of the packet, such that what becomes of it is nothing to the packet:
    a meter that drops the copy drops no more.

    Open vSwitch makes a true copy only where an action of the list itself, and not of a flow that
    it leads to, cannot be taken back (``reversible_actions`` in ``ofproto-dpif-xlate.c``). The
    first action here is one, and does nothing: no packet is cut for the controller.
    """
    nested = _NOTHING + b"".join(actions)
    return _CLONE_FORM.pack(_EXPERIMENTER, 16 + len(nested), _NICIRA, _CLONE) + nested


_NOTHING = _TRUNC_FORM.pack(_EXPERIMENTER, 16, _NICIRA, _OUTPUT_TRUNC, fd.CONTROLLER & 0xFFFF, 64)


# --- values ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Output:
    """Send to a port; ``max_len`` counts only for the controller."""

    port: int
    max_len: int = 0

    def __str__(self) -> str:
        if self.port == fd.CONTROLLER:
            return f"CONTROLLER:{self.max_len}"
        return fd.PORT_NAMES.get(self.port, f"output:{self.port}")


@dataclass(frozen=True, slots=True)
class OutputRegister:
    """Send to the port whose number a register holds."""

    register: str

    def __str__(self) -> str:
        return f"output:NXM_NX_{self.register.upper()}[0..15]"


@dataclass(frozen=True, slots=True)
class Conjunction:
    """One clause of a conjunctive match, counted from 0."""

    number: int
    clause: int
    clauses: int

    def __str__(self) -> str:
        return f"conjunction({self.number},{self.clause + 1}/{self.clauses})"


@dataclass(frozen=True, slots=True)
class SetField:
    """Write a field."""

    field: Field
    number: int

    def __str__(self) -> str:
        name = _SET_WORDS.get(self.field.name, self.field.name)
        return f"set_field:{fd.show(self.field, self.number)}->{name}"


@dataclass(frozen=True, slots=True)
class Move:
    """Copy a whole field to another."""

    source: Field
    target: Field

    def __str__(self) -> str:
        return f"move:{_NXM[self.source.name][0]}[]->{_NXM[self.target.name][0]}[]"


#: Fields that are copied: as ovs-ofctl calls them there, and the header that the switch answers
#: with, which is the older one of NXM.
_NXM = {
    "eth_src": ("NXM_OF_ETH_SRC", 0x0000_0406), "eth_dst": ("NXM_OF_ETH_DST", 0x0000_0206),
    "arp_spa": ("NXM_OF_ARP_SPA", 0x0000_2004), "arp_tpa": ("NXM_OF_ARP_TPA", 0x0000_2204),
    **{f"reg{n}": (f"NXM_NX_REG{n}", 0x0001_0004 | n << 9) for n in range(16)},
    "arp_sha": ("NXM_NX_ARP_SHA", 0x0001_2206), "arp_tha": ("NXM_NX_ARP_THA", 0x0001_2406),
    "ipv6_src": ("NXM_NX_IPV6_SRC", 0x0001_2610), "ipv6_dst": ("NXM_NX_IPV6_DST", 0x0001_2810),
    "nd_sll": ("NXM_NX_ND_SLL", 0x0001_3006), "nd_tll": ("NXM_NX_ND_TLL", 0x0001_3206),
}  # fmt: skip
_BY_NXM = {header: BY_NAME[name] for name, (_, header) in _NXM.items()}

#: Fields that ovs-ofctl calls otherwise in set_field.
_SET_WORDS = {
    "ipv4_src": "ip_src",
    "ipv4_dst": "ip_dst",
    "icmpv4_type": "icmp_type",
    "icmpv4_code": "icmp_code",
}


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Add a tag."""

    ethertype: int = _ETHERTYPE_VLAN

    def __str__(self) -> str:
        return f"push_vlan:{self.ethertype:#06x}"


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove a tag."""

    def __str__(self) -> str:
        return "pop_vlan"


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look up again."""

    port: int | None
    table: int | None

    def __str__(self) -> str:
        if self.table is None and self.port is not None:
            return f"resubmit:{self.port}"
        port, table = ("" if number is None else number for number in (self.port, self.table))
        return f"resubmit({port},{table})"


@dataclass(frozen=True, slots=True)
class Conntrack:
    """Track the connection; ``source`` is the field that holds the zone."""

    commit: bool
    zone: int
    source: str
    table: int | None
    actions: bytes

    def __str__(self) -> str:
        words = ["commit"] if self.commit else []
        words += [] if self.table is None else [f"table={self.table}"]
        if self.source:
            words.append(f"zone=NXM_NX_{self.source.upper()}[0..15]")
        elif self.zone:
            words.append(f"zone={self.zone}")
        if self.actions:
            words.append(f"exec({','.join(map(str, parse(self.actions)))})")
        return f"ct({','.join(words)})"


@dataclass(frozen=True, slots=True)
class Cut:
    """Send the beginning of the packet to a port."""

    port: int
    max_len: int

    def __str__(self) -> str:
        name = fd.PORT_NAMES.get(self.port | 0xFFFF_0000, str(self.port))
        return f"output(port={name},max_len={self.max_len})"


@dataclass(frozen=True, slots=True)
class Handed:
    """Hand the beginning of the packet to the connections of one identity."""

    identity: int
    max_len: int

    def __str__(self) -> str:
        return f"controller(max_len={self.max_len},id={self.identity})"


@dataclass(frozen=True, slots=True)
class Copy:
    """Do all this with a copy of the packet."""

    actions: bytes

    def __str__(self) -> str:
        return f"clone({','.join(map(str, parse(self.actions)))})"


@dataclass(frozen=True, slots=True)
class Other:
    """An action that is not one of ours."""

    raw: bytes

    def __str__(self) -> str:
        return f"action:{self.raw.hex()}"


Step = (
    Output | OutputRegister | SetField | Move | PushVlan | PopVlan | Resubmit | Conntrack
    | Conjunction | Cut | Handed | Copy | Other
)  # fmt: skip


def parse(actions: bytes) -> Iterator[Step]:
    """The actions of a list, one by one.

    :raises ValueError: when the bytes are not a list of actions
    """
    offset = 0
    while offset < len(actions):
        if offset + 8 > len(actions):
            raise ValueError("list of actions ends within an action")
        kind, size = _HEAD.unpack_from(actions, offset)
        raw = actions[offset : offset + size]
        if size < 8 or size % 8 or len(raw) < size:
            raise ValueError(f"action of type {kind} has the impossible length {size}")
        offset += size
        yield _parse_one(kind, raw)


def _parse_one(kind: int, raw: bytes) -> Step:
    match kind:
        case 0 if len(raw) == 16:
            return Output(*_OUTPUT_FORM.unpack(raw)[2:])
        case 17:
            return PushVlan(_TAG_FORM.unpack(raw)[2])
        case 18:
            return PopVlan()
        case 25:
            header = int.from_bytes(raw[4:8], "big")
            if header == _NXM_IN_PORT:
                return SetField(BY_NAME["in_port"], int.from_bytes(raw[8:10], "big"))
            field = BY_HEADER.get(header)
            if field is not None:
                return SetField(field, int.from_bytes(raw[8 : 8 + field.size], "big"))
        case 0xFFFF:
            return _parse_nicira(raw)
    return Other(raw)


def _parse_nicira(raw: bytes) -> Step:
    vendor, subtype = struct.unpack_from("!IH", raw, 4) if len(raw) >= 16 else (0, 0)
    if vendor == _NICIRA and subtype == _RESUBMIT_TABLE:
        port, table = _RESUBMIT_FORM.unpack(raw)[4:]
        return Resubmit(
            None if port == fd.IN_PORT & 0xFFFF else port, None if table == _NO_TABLE else table
        )
    if vendor == _NICIRA and subtype == _OUTPUT_REGISTER and len(raw) == 24:
        bits, source, max_len = _OUTPUT_REGISTER_FORM.unpack(raw)[4:]
        register = BY_HEADER.get(source)
        if register is not None and bits == _LOW_BITS and max_len == WHOLE:
            return OutputRegister(register.name)
    if vendor == _NICIRA and subtype == _CONJUNCTION and len(raw) == 16:
        clause, clauses, number = _CONJUNCTION_FORM.unpack(raw)[4:]
        return Conjunction(number, clause, clauses)
    if vendor == _NICIRA and subtype == _MOVE and len(raw) == 24:
        bits, from_bit, to_bit, source, target = _MOVE_FORM.unpack(raw)[4:]
        one, other = _BY_NXM.get(source), _BY_NXM.get(target)
        if one and other and (bits, from_bit, to_bit) == (one.bits, 0, 0) == (other.bits, 0, 0):
            return Move(one, other)
    if vendor == _NICIRA and subtype == _CLONE:
        return Copy(raw[16:])
    if vendor == _NICIRA and subtype == _OUTPUT_TRUNC and len(raw) == 16:
        return Cut(*_TRUNC_FORM.unpack(raw)[4:])
    if vendor == _NICIRA and subtype == _CONTROLLER and len(raw) == 16:
        max_len, identity, reason = _CONTROLLER_FORM.unpack(raw)[4:]
        if reason == _BY_ACTION:
            return Handed(identity, max_len)
    if vendor == _NICIRA and subtype == _CT and len(raw) >= 24:
        flags, source, bits, table, algorithm = _CT_FORM.unpack_from(raw)[4:]
        field = BY_HEADER.get(source)
        plain = flags in (0, 1) and not algorithm and (not source or (field and bits == 15))
        if plain:
            return Conntrack(
                bool(flags), 0 if source else bits, field.name if field else "",
                None if table == _NO_TABLE else table, raw[24:],
            )  # fmt: skip
    return Other(raw)


def text(actions: bytes, goto: int | None = None) -> str:
    """A flow's actions as ovs-ofctl prints and reads them."""
    words = [str(step) for step in parse(actions)]
    if goto is not None:
        words.append(f"goto_table:{goto}")
    return ",".join(words) if words else "drop"
