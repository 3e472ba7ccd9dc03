"""Whether a flow of others stands between the frames of a port and our flows. Pure.

What such a flow does with them does not matter: they do not go our way, so they are lost, or they
pass unfiltered. Only one that drops what ours drop as well is in nobody's way.
"""

from __future__ import annotations

from collections.abc import Mapping

from vifd.openflow import match
from vifd.openflow.field import TAGGED, UNTAGGED, Value
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import tables
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.tables import NETWORK_REGISTER

_MASK = 0xFFFF_FFFF


def in_the_way(flow: Flow, port: SwitchPort, uplink: int | None) -> bool:
    """Whether a flow of others takes frames of a port, or frames for it.

    :param uplink: ofport of the patch port to the physical network of the port
    """
    if not reached(flow):
        return False
    fields = match.decode(flow.match)
    if flow.table == tables.CLASSIFY:
        return _from_port(flow, fields, port) or _from_network(fields, port, uplink)
    own = fields.get("in_port") == port.ofport
    network = _agrees(fields.get(NETWORK_REGISTER), port.tag)
    entrance = _agrees(fields.get("in_port"), port.ofport) or _agrees(fields.get("in_port"), uplink)
    others = "in_port" in fields and not entrance
    return (
        network and not others and (own or _for_port(fields, port) or flow.table < tables.DELIVER)
    )


def reached(flow: Flow) -> bool:
    """Whether our flows lead there, or stand there below it."""
    if flow.table == tables.CLASSIFY:
        return flow.priority >= tables.LEAST
    return tables.known(flow.table)


def _from_port(flow: Flow, fields: Mapping[str, Value], port: SwitchPort) -> bool:
    if (via := port.via) is not None:
        vlan = fields.get("vlan_vid")
        mine = vlan is None or vlan in (TAGGED, via.vlan)
        return mine and _agrees(fields.get("in_port"), via.ofport)
    if not _agrees(fields.get("in_port"), port.ofport):
        return False
    # the guard drops what brings a tag, but where the network carries these
    drops = not flow.actions and flow.goto is None and not flow.instructions and not port.over
    return not (drops and _tagged(fields.get("vlan_vid")))


def _from_network(fields: Mapping[str, Value], port: SwitchPort, uplink: int | None) -> bool:
    if uplink is None or not _agrees(fields.get("in_port"), uplink):
        return False
    kind, _, number = port.segment
    vlan = fields.get("vlan_vid")
    if kind == "vlan":
        carried = vlan != UNTAGGED and (not isinstance(vlan, int) or vlan == number)
    else:
        carried = not _tagged(vlan)
    return carried and _for_port(fields, port)


def _for_port(fields: Mapping[str, Value], port: SwitchPort) -> bool:
    """Whether frames that are sent to the port, or to all, match."""
    target = fields.get("eth_dst")
    return not isinstance(target, str) or "/" in target or target == port.mac or _group(target)


def _group(mac: str) -> bool:
    return bool(int(mac[:2], 16) & 1)


def _tagged(vlan: Value | None) -> bool:
    return vlan is not None and (isinstance(vlan, int) or vlan == TAGGED)


def _agrees(value: Value | None, number: int | None) -> bool:
    """Whether a field of a match lets a number pass; one that is not there lets everything."""
    if value is None:
        return True
    if number is None:
        return False
    if isinstance(value, int):
        return value == number
    if isinstance(value, tuple):
        wanted, mask = value
        if isinstance(wanted, int) and isinstance(mask, int):
            return (wanted ^ number) & mask & _MASK == 0
    return True
