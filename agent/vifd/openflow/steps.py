"""Actions as values, and in the words of ovs-ofctl."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vifd.openflow import action_forms as form
from vifd.openflow import field as fd
from vifd.openflow.field import BY_HEADER, BY_NAME, Field


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
        return f"move:{form.NXM[self.source.name][0]}[]->{form.NXM[self.target.name][0]}[]"


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

    ethertype: int = form.ETHERTYPE_VLAN

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
        kind, size = form.HEAD.unpack_from(actions, offset)
        raw = actions[offset : offset + size]
        if size < 8 or size % 8 or len(raw) < size:
            raise ValueError(f"action of type {kind} has the impossible length {size}")
        offset += size
        yield _parse_one(kind, raw)


def _parse_one(kind: int, raw: bytes) -> Step:
    match kind:
        case 0 if len(raw) == 16:
            return Output(*form.OUTPUT_FORM.unpack(raw)[2:])
        case 17:
            return PushVlan(form.TAG_FORM.unpack(raw)[2])
        case 18:
            return PopVlan()
        case 25:
            header = int.from_bytes(raw[4:8], "big")
            if header == form.NXM_IN_PORT:
                return SetField(BY_NAME["in_port"], int.from_bytes(raw[8:10], "big"))
            field = BY_HEADER.get(header)
            if field is not None:
                return SetField(field, int.from_bytes(raw[8 : 8 + field.size], "big"))
        case 0xFFFF:
            return _parse_nicira(raw)
    return Other(raw)


def _parse_nicira(raw: bytes) -> Step:
    vendor, subtype = struct.unpack_from("!IH", raw, 4) if len(raw) >= 16 else (0, 0)
    if vendor == form.NICIRA and subtype == form.RESUBMIT_TABLE:
        port, table = form.RESUBMIT_FORM.unpack(raw)[4:]
        return Resubmit(
            None if port == fd.IN_PORT & 0xFFFF else port, None if table == form.NO_TABLE else table
        )
    if vendor == form.NICIRA and subtype == form.OUTPUT_REGISTER and len(raw) == 24:
        bits, source, max_len = form.OUTPUT_REGISTER_FORM.unpack(raw)[4:]
        register = BY_HEADER.get(source)
        if register is not None and bits == form.LOW_BITS and max_len == form.WHOLE:
            return OutputRegister(register.name)
    if vendor == form.NICIRA and subtype == form.CONJUNCTION and len(raw) == 16:
        clause, clauses, number = form.CONJUNCTION_FORM.unpack(raw)[4:]
        return Conjunction(number, clause, clauses)
    if vendor == form.NICIRA and subtype == form.MOVE and len(raw) == 24:
        bits, from_bit, to_bit, source, target = form.MOVE_FORM.unpack(raw)[4:]
        one, other = form.BY_NXM.get(source), form.BY_NXM.get(target)
        if one and other and (bits, from_bit, to_bit) == (one.bits, 0, 0) == (other.bits, 0, 0):
            return Move(one, other)
    if vendor == form.NICIRA and subtype == form.CLONE:
        return Copy(raw[16:])
    if vendor == form.NICIRA and subtype == form.OUTPUT_TRUNC and len(raw) == 16:
        return Cut(*form.TRUNC_FORM.unpack(raw)[4:])
    if vendor == form.NICIRA and subtype == form.CONTROLLER and len(raw) == 16:
        max_len, identity, reason = form.CONTROLLER_FORM.unpack(raw)[4:]
        if reason == form.BY_ACTION:
            return Handed(identity, max_len)
    if vendor == form.NICIRA and subtype == form.CT and len(raw) >= 24:
        flags, source, bits, table, algorithm = form.CT_FORM.unpack_from(raw)[4:]
        field = BY_HEADER.get(source)
        plain = flags in (0, 1) and not algorithm and (not source or (field and bits == 15))
        if plain:
            return Conntrack(
                bool(flags), 0 if source else bits, field.name if field else "",
                None if table == form.NO_TABLE else table, raw[24:],
            )  # fmt: skip
    return Other(raw)


def text(actions: bytes, goto: int | None = None) -> str:
    """A flow's actions as ovs-ofctl prints and reads them."""
    words = [str(step) for step in parse(actions)]
    if goto is not None:
        words.append(f"goto_table:{goto}")
    return ",".join(words) if words else "drop"
