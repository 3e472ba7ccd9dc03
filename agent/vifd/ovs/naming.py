"""Names and numbers for new ports of a bridge, also when several plugins share it.

Plugins run on lanes of their own, and a number stands in the ledger only some milliseconds after it
was chosen. Until then it is remembered here: two lanes must never give one local VLAN id to two
networks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from weakref import WeakValueDictionary

from vifd.drivers import OpenFlow
from vifd.model import Attachment
from vifd.ovs import numbers
from vifd.ovs.bridges import Bridges
from vifd.ovs.foreign import ForeignNumbers
from vifd.ovs.numbers import Taken
from vifd.ovs.wiring import OvsWiring
from vifd.plugin import Entry, Host

#: So many seconds a choice is remembered: much longer than the journal needs to take it.
_MEMORY = 30.0
#: Network types whose frames leave the host through a physical bridge.
CARRIED = ("flat", "vlan")


class Choices:
    """The numbers that were given lately on one bridge."""

    def __init__(self, driver: OpenFlow) -> None:
        self.lock = threading.Lock()
        self._driver = driver  # keeps its identity, by which this object is found
        self._recent: dict[str, tuple[float, OvsWiring]] = {}

    def remember(self, port_id: str, names: OvsWiring) -> None:
        """Note what a port was given."""
        self._recent.pop(port_id, None)
        self._recent[port_id] = (time.monotonic(), names)

    def reserve(self, held: Taken, port_id: str) -> None:
        """Add what other ports were given to what is held."""
        horizon = time.monotonic() - _MEMORY
        for other, (at, names) in list(self._recent.items()):
            if at < horizon:
                del self._recent[other]
            elif other != port_id:
                held.ofports.add(names.ofport)
                held.tags.setdefault(names.tag, (names.network_id, *names.segment))


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
        self._choices = _choices_of(host, bridges.integration)

    def choose(
        self, attachment: Attachment, taken: Mapping[str, Entry], *, multi_queue: bool
    ) -> tuple[str, OvsWiring]:
        """The device's name, a port number, the network's local VLAN id and a new generation.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        bridge, segment = self._bridges.integration, attachment.network.segment
        physnet = segment.physical_network if segment.network_type in CARRIED else None
        foreign = self._foreign.of(bridge)
        with self._choices.lock:
            held = numbers.survey(attachment, bridge, taken)
            self._choices.reserve(held, attachment.id)
            held.foreign_tags |= foreign.tags
            names = OvsWiring(
                bridge=bridge,
                ofport=numbers.ofport(
                    attachment.id, *self._ofports, held.ofports | foreign.ofports
                ),
                tag=numbers.local_vlan(attachment, bridge, held),
                generation=numbers.generation(),
                network_id=attachment.network.id,
                network_type=segment.network_type,
                physical_network=physnet,
                segmentation_id=segment.segmentation_id,
                patch=self._bridges.patch_name(physnet, bridge),
                multi_queue=multi_queue,
            )
            device = numbers.device(self._prefix, attachment, held)
            self._choices.remember(attachment.id, names)
        return device, names


_choices: WeakValueDictionary[tuple[int, str], Choices] = WeakValueDictionary()
_choices_lock = threading.Lock()


def _choices_of(host: Host, bridge: str) -> Choices:
    """The one object for a bridge of this host; it lives as long as a plugin holds it."""
    with _choices_lock:
        key = (id(host.drivers.openflow), bridge)
        found = _choices.get(key)
        if found is None:
            found = _choices[key] = Choices(host.drivers.openflow)
        return found
