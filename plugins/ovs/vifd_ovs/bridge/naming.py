"""Names and numbers for new ports of a bridge, in the same way for every plugin on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vifd.model import Attachment
from vifd.plugin import Entry, Host
from vifd_ovs.bridge import numbers
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.foreign import ForeignNumbers
from vifd_ovs.bridge.standing import CARRIED, physical_network
from vifd_ovs.bridge.wiring import OvsWiring

__all__ = ["CARRIED", "Naming"]


class Naming:
    """Names the ports of one plugin on its integration bridge.

    :param ofports: first and last OpenFlow port number
    :param prefix: of the device's name
    """

    def __init__(self, host: Host, bridges: Bridges, ofports: tuple[int, int], prefix: str) -> None:
        self._bridges = bridges
        self._ofports = ofports
        self._prefix = prefix
        self._foreign = ForeignNumbers(host.drivers.ovsdb)

    def held(self, attachment: Attachment, taken: Mapping[str, Entry]) -> numbers.Taken:
        """What other ports of the integration bridge hold."""
        bridge = self._bridges.integration
        foreign = self._foreign.of(bridge)
        survey = numbers.survey(attachment, bridge, taken)
        return replace(survey, foreign_tags=foreign.tags, marked=foreign.networks)

    def marked(self, port_id: str) -> str | None:
        """The device of a port whose mark is on the integration bridge."""
        return self._foreign.of(self._bridges.integration).marked.get(port_id)

    def choose(
        self, attachment: Attachment, taken: Mapping[str, Entry], *, multi_queue: bool
    ) -> tuple[str, OvsWiring]:
        """The device's name, a port number, the network's local VLAN id and a new generation.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        bridge, segment = self._bridges.integration, attachment.network.segment
        physnet = physical_network(attachment)
        foreign = self._foreign.of(bridge)
        held = self.held(attachment, taken)
        tag = numbers.local_vlan(attachment, bridge, held)
        names = OvsWiring(
            bridge=bridge,
            ofport=numbers.ofport(attachment.id, *self._ofports, held.ofports, foreign.ofports),
            tag=tag,
            port_tag=held.shared.get(tag),
            generation=numbers.generation(),
            network_id=attachment.network.id,
            network_type=segment.network_type,
            physical_network=physnet,
            segmentation_id=segment.segmentation_id,
            patch=self._bridges.patch_name(physnet, bridge),
            multi_queue=multi_queue,
        )
        device = numbers.device(self._prefix, attachment, held)
        return device, names
