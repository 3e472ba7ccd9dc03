"""A fingerprint of the flows that ports get: another one where a new version makes others."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.openflow.flow import Flow
from vifd.openflow.fragments import WHOLE_HEADERS
from vifd.plugin.fingerprint import fingerprint, sample
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.target import Target
from vifd_ovs.bridge.wiring import OvsWiring

_PATCH = "uplink"


def datapath_fingerprint(*settings: object) -> str:
    """The fingerprint of ports on Open vSwitch.

    :param settings: options that decide how ports are made as well
    """
    return fingerprint(WHOLE_HEADERS, *sorted(map(str, _flows())), *map(repr, settings))


def _flows() -> Iterable[Flow]:
    """The flows of a small host with one port of each kind."""
    kinds = [(secured, vlan, opened) for secured in (True, False) for vlan in (True, False)
             for opened in (True, False)]  # fmt: skip
    ports = {}
    for number, (secured, vlan, opened) in enumerate(kinds, 1):
        attachment = sample(number, secured=secured, vlan=vlan)
        segment = attachment.network.segment
        wiring = OvsWiring(
            bridge="br", ofport=number, tag=1 + vlan, generation=1,
            network_type=segment.network_type, physical_network=segment.physical_network,
            segmentation_id=segment.segmentation_id, patch=_PATCH if vlan else "", plugged=True,
        )  # fmt: skip
        ports[attachment.id] = switch_port(attachment, wiring, opened=opened)
    return Target(Roster(ports), ours=True, uplinks={_PATCH: 100}).all()
