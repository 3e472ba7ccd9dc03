"""Ports that stand on a bridge with flows of ours and that the ledger does not know: a journal that
is older than the host lacks them. Pure.

What they are is read from their flows. These stay as they are, and their networks go on serving
them, until the port is taken over, or removed as garbage once nobody holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from vifd.drivers import PortRow
from vifd.openflow import match, steps
from vifd.openflow.flow import Flow
from vifd.policy.addresses import Allowed
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.flows import ADMIT, OWN, SHARED
from vifd_ovs.bridge.overlay import OVERLAYS
from vifd_ovs.bridge.ports import Gate, SwitchPort
from vifd_ovs.bridge.tables import (
    CLASSIFY,
    DELIVER,
    GROUP_REGISTER,
    NETWORK_REGISTER,
    POLICY,
)

Segment = tuple[str, str | None, int | None]


@dataclass(frozen=True)
class Stray:
    """One of them.

    :param port: as the flows of its network see it
    :param flows: its own, kept as they were found
    """

    port: SwitchPort
    flows: Entries


@dataclass(frozen=True)
class Uplink:
    """Where a network leaves its bridge, as its flows tell it."""

    patch: str = ""
    segment: Segment = ("local", None, None)


def found(
    installed: Mapping[int, Entries],
    rows: Iterable[PortRow],
    ids: Collection[str],
    ofports: Collection[int],
) -> dict[int, Stray]:
    """The strays of a bridge, by cookie.

    :param installed: every flow that bears our mark
    :param rows: the bridge's ports
    :param ids: of the ports that the ledger knows
    :param ofports: of these ports: flows of an earlier life of one are no stray's
    """
    standing = {row.ofport: row for row in rows if row.external_ids.get(marks.PORT) not in ids}
    names = {row.ofport or 0: row.name for row in rows if marks.PATCH in row.external_ids}
    strays: dict[int, Stray] = {}
    for cookie, flows in installed.items():
        number = cookies.port_number(cookie)
        row = standing.get(number) if number is not None else None
        if row is None or number in ofports or _shared(row):
            continue
        strays[cookie] = Stray(_port(cookie, flows, row, installed, names), flows)
    return strays


def _shared(row: PortRow) -> bool:
    """Whether a port of ours is nobody's alone: it leads out of the bridge."""
    return marks.PATCH in row.external_ids or marks.TUNNEL in row.external_ids


def _port(
    cookie: int, flows: Entries, row: PortRow, installed: Mapping[int, Entries],
    names: Mapping[int, str],
) -> SwitchPort:  # fmt: skip
    tag, mac = _own(flows.values()) or (row.tag or 0, row.external_ids.get("attached-mac", ""))
    network = list(installed.get(cookies.network(tag), {}).values())
    uplink = uplink_of(network, names)
    number = row.ofport or 0
    own = {(flow.table, flow.priority) for flow in flows.values()}
    known = marks.wiring_of(row)
    return SwitchPort(
        id=row.external_ids.get(marks.PORT) or f"port {number}",
        ofport=number,
        tag=tag,
        generation=cookie >> 32 & 0xFFFF,
        segment=known.segment if known.network_type in OVERLAYS else uplink.segment,
        patch=uplink.patch,
        mac=mac,
        secured=bool({table for table, _ in own} - {CLASSIFY, DELIVER}),
        allowed=tuple(Allowed(m, (), ()) for m in (mac, *_pairs(network, number, mac))),
        gate=Gate.OPEN if (CLASSIFY, ADMIT) in own else Gate.CLOSED,
        port_tag=known.port_tag,
        network=known.network_id,
        groups=() if POLICY in {table for table, _ in own} else None,
    )


def rules_of(stray: Stray) -> set[int]:
    """The cookies of the security groups that a stray's own flows ask."""
    said = (step for flow in stray.flows.values() for step in steps.parse(flow.actions))
    asked = (s for s in said if isinstance(s, steps.SetField) and s.field.name == GROUP_REGISTER)
    return {cookies.group(step.number >> 1) for step in asked}


def _own(flows: Iterable[Flow]) -> tuple[int, str] | None:
    """The local VLAN id and the MAC address by which frames reach a port."""
    for flow in flows:
        if (flow.table, flow.priority) == (DELIVER, OWN):
            fields = match.decode(flow.match)
            return cast(int, fields[NETWORK_REGISTER]), cast(str, fields["eth_dst"])
    return None


def _pairs(network: Iterable[Flow], number: int, mac: str) -> Iterator[str]:
    """Further MAC addresses whose frames a network sends to a port."""
    for flow in network:
        if (flow.table, flow.priority) != (DELIVER, SHARED):
            continue
        other = cast(str, match.decode(flow.match).get("eth_dst", ""))
        if other and other != mac and number in _outputs(flow):
            yield other


def _outputs(flow: Flow) -> set[int]:
    return {step.port for step in steps.parse(flow.actions) if isinstance(step, steps.Output)}


def uplink_of(network: Iterable[Flow], names: Mapping[int, str]) -> Uplink:
    """Where a network leaves its bridge.

    :param names: of patch ports, by number
    """
    best = Uplink()
    for flow in network:
        if (flow.table, flow.priority) != (CLASSIFY, ADMIT):
            continue
        fields = match.decode(flow.match)
        patch, vlan = names.get(cast(int, fields.get("in_port"))), fields.get("vlan_vid")
        if patch is not None and isinstance(vlan, int) and vlan:
            return Uplink(patch, ("vlan", None, vlan))
        if patch is not None:
            best = Uplink(patch, ("flat", None, None))
    return best
