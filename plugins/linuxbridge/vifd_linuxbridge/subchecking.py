"""Check of sub-ports: what is read back of one begins with its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from vifd.drivers import Device, Program
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd.plugin import trunks
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.checking import Checking
from vifd_linuxbridge.guarding import admitted
from vifd_linuxbridge.subports import vlan_spec
from vifd_linuxbridge.trunking import Way

_SOURCE = "netlink"


class SubChecking(Checking):
    """One ``check`` call for sub-ports."""

    _taps: Mapping[str, Device]
    _admitting: Mapping[str, Program | None]

    def prepare(self, works: Sequence[Work]) -> None:
        """Read the devices of their parents."""
        below = sorted({w.way.device for w in works if isinstance(w.way, Way)})
        self._taps = self.bridging.get(below) if below else {}
        self._admitting = self.bridging.guards(below) if below and self.guarding else {}

    def device_side(self, work: Work, device: Device | None) -> list[Evidence]:
        """The parent, and the VLAN device on its tap. A closed sub-port needs no parent."""
        facts = self._parent(work)
        if not work.item.open:
            facts = [replace(f, ok=True) for f in facts]
        if isinstance(work.way, Way):
            return [*facts, *self._device(work, work.way, device), *self._tag(work, work.way)]
        if device is not None:
            facts.append(fact("device", device.link.name, "none without a parent", _SOURCE))
        return facts

    def _parent(self, work: Work) -> list[Evidence]:
        way = work.way
        if not isinstance(way, Way):
            return [way] if way is not None else []
        tap = self._taps.get(way.device)
        have = f"{way.device} stands" if tap is not None and tap.link.up else (
            f"{way.device} is down" if tap is not None else f"{way.device} does not exist"
        )  # fmt: skip
        stands = fact("trunk.device", have, f"{way.device} stands", _SOURCE)
        facts = [*trunks.known(way.parent, way.vlan), replace(stands, repairable=False)]
        return facts if way.carries else [*facts, trunks.closed(way.parent)]

    def _device(self, work: Work, way: Way, device: Device | None) -> list[Evidence]:
        spec = vlan_spec(work)
        if device is None or spec is None:
            return [fact("device", "missing", work.device, _SOURCE)]
        link, below = device.link, self._taps.get(way.device)
        on = below.link.ifindex if below is not None else None
        facts = [
            fact("device", link.name, work.device, _SOURCE),
            fact("device.vlan", device.number, way.vlan, _SOURCE),
            fact("device.below", device.parent == on, True, _SOURCE),
            fact("device.mac", link.mac, spec.mac, _SOURCE),
            fact("device.mtu", link.mtu, spec.mtu, _SOURCE),
            fact("device.up", link.up, True, _SOURCE),
            fact("device.alias", link.alias, spec.alias, _SOURCE),
        ]
        if link.ipv6 is not None:
            facts.append(fact("device.ipv6", link.ipv6, False, _SOURCE))
        return [*facts, Evidence("device.carrier", have=link.carrier, source=_SOURCE)]

    def _tag(self, work: Work, way: Way) -> list[Evidence]:
        """Whether the guard of the parent's tap lets its tag pass, while it shall."""
        if way.device not in self._admitting:
            return []
        passes = way.vlan in admitted(self._admitting[way.device])
        return [fact("device.tag", passes, work.item.open and way.carries, _SOURCE)]
