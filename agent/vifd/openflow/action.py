"""Actions as bytes.

Each builder gives the bytes of one action in the form in which Open vSwitch sends it back. A list
of actions is their concatenation; what it says is read by :mod:`vifd.openflow.steps`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from vifd.openflow import action_forms as form
from vifd.openflow import field as fd
from vifd.openflow.field import BY_NAME, Scalar

#: The bytes of one action.
Action = bytes


def _nicira(layout: struct.Struct, kind: int, *values: int, nested: bytes = b"") -> Action:
    """An action of the Nicira extension, with the actions that it holds."""
    size = layout.size + len(nested)
    return layout.pack(form.EXPERIMENTER, size, form.NICIRA, kind, *values) + nested


@lru_cache(maxsize=4096)
def output(port: int) -> Action:
    """Send the frame out of a port; a frame never leaves by the port it came in."""
    return form.OUTPUT_FORM.pack(form.OUTPUT, 16, port, 0)


def output_register(name: str) -> Action:
    """Send the frame out of the port whose number is in the low 16 bits of a register."""
    header = BY_NAME[name].header
    return _nicira(
        form.OUTPUT_REGISTER_FORM, form.OUTPUT_REGISTER, form.LOW_BITS, header, form.WHOLE
    )


@lru_cache(maxsize=4096)
def conjunction(number: int, clause: int, clauses: int) -> Action:
    """The flow is one clause of a conjunctive match: where a packet meets a flow of each clause, at
    one priority, the lookup is repeated with ``conj_id`` set to the number (ovs-fields(7)).

    :param clause: from 0; :param clauses: how many there are, from 2 to 64
    """
    if not 0 <= clause < clauses or not 2 <= clauses <= 64:
        raise ValueError(f"conjunction: there is no clause {clause} of {clauses}")
    return _nicira(form.CONJUNCTION_FORM, form.CONJUNCTION, clause, clauses, number)


def in_port() -> Action:
    """Send the frame back out of the port it came in."""
    return output(fd.IN_PORT)


def normal() -> Action:
    """Switch the frame as an ordinary learning bridge would."""
    return output(fd.NORMAL)


def controller(max_len: int = form.WHOLE) -> Action:
    """Hand the frame to the controllers, ``max_len`` bytes of it."""
    return form.OUTPUT_FORM.pack(form.OUTPUT, 16, fd.CONTROLLER, max_len)


@lru_cache(maxsize=8)
def controller_of(identity: int, max_len: int) -> Action:
    """Hand the beginning of the frame to those connections alone that go by this identity."""
    return _nicira(form.CONTROLLER_FORM, form.CONTROLLER, max_len, identity, form.BY_ACTION)


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
    return form.HEAD.pack(form.SET_FIELD, size + padding) + oxm + bytes(padding)


@lru_cache(maxsize=4096)
def come_in(port: int) -> Action:
    """Have the packet come in by another port from here on: what matches ``in_port`` sees that one,
    and it is not sent back there. The switch need not have the port. Only the older field of NXM
    can be written (ovs-fields(7), ``in_port``).
    """
    return form.HEAD.pack(form.SET_FIELD, 16) + struct.pack("!IH6x", form.NXM_IN_PORT, port)


@lru_cache(maxsize=64)
def move(source: str, target: str) -> Action:
    """Copy a whole field to another one of the same width.

    :raises ValueError: for an unknown field or different widths
    """
    if not {source, target} <= form.NXM.keys() or BY_NAME[source].bits != BY_NAME[target].bits:
        raise ValueError(f"move:{source}->{target}: no such fields, or of different widths")
    bits, headers = BY_NAME[source].bits, (form.NXM[source][1], form.NXM[target][1])
    return _nicira(form.MOVE_FORM, form.MOVE, bits, 0, 0, *headers)


@lru_cache(maxsize=8)
def push_vlan(ethertype: int = form.ETHERTYPE_VLAN) -> Action:
    """Put a VLAN tag with id 0 in front; follow it with :func:`set_vlan`."""
    return form.TAG_FORM.pack(form.PUSH_VLAN, 8, ethertype)


def set_vlan(vid: int) -> Action:
    """Write the id of the outer VLAN tag, which must be there."""
    return set_field("vlan_vid", vid)


def pop_vlan() -> Action:
    """Take the outer VLAN tag off."""
    return _POP


_POP = form.TAG_FORM.pack(form.POP_VLAN, 8, 0)


@lru_cache(maxsize=512)
def resubmit(port: int | None = None, table: int | None = None) -> Action:
    """Look the packet up in another table, then go on with the next action.

    :param port: the in_port to look it up with; ``None`` keeps it
    :param table: ``None`` for the table that the packet is in
    """
    wanted = fd.IN_PORT & 0xFFFF if port is None else port
    where = form.NO_TABLE if table is None else table
    return _nicira(form.RESUBMIT_FORM, form.RESUBMIT_TABLE, wanted, where)


def ct(
    *, commit: bool = False, zone: int | str = 0, table: int | None = None,
    actions: Sequence[Action] = (),
) -> Action:  # fmt: skip
    """Send the packet through connection tracking.

    :param zone: a number, or the name of a register whose low 16 bits hold it
    :param table: where the packet goes on once its state is known; ``None`` does not look it up
    :param actions: done on a committed connection: ``set_field`` of ``ct_mark``, or ``move`` to it
    """
    source, bits = (0, zone) if isinstance(zone, int) else (BY_NAME[zone].header, 15)
    nested = b"".join(actions)
    where = form.NO_TABLE if table is None else table
    return _nicira(form.CT_FORM, form.CT, int(commit), source, bits, where, 0, nested=nested)


def copied(actions: Sequence[Action]) -> Action:
    """Do all this with a copy of the packet, such that what becomes of it is nothing to the packet:
    a meter that drops the copy drops no more.

    Open vSwitch makes a true copy only where an action of the list itself, and not of a flow that
    it leads to, cannot be taken back (``reversible_actions`` in ``ofproto-dpif-xlate.c``). The
    first action here is one, and does nothing: no packet is cut for the controller.
    """
    nested = _NOTHING + b"".join(actions)
    return _nicira(form.CLONE_FORM, form.CLONE, nested=nested)


_NOTHING = _nicira(form.TRUNC_FORM, form.OUTPUT_TRUNC, fd.CONTROLLER & 0xFFFF, 64)
