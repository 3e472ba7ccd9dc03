"""The machine of trunks on bridges of the kernel: after each step every sub-port has its VLAN
device on the right tap and bridge, and guards of parents admit what shall pass alone."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import invariant

from functional.trunks.documents import told_apart
from functional.trunks.machine import SUB_PORTS, TrunkMachine
from vifd.drivers import Bridging, Device
from vifd.model import Attachment
from vifd.testing.attachments import port_id
from vifd_linuxbridge.guarding import SHUT, admitted
from vifd_linuxbridge.ruleset import OPEN, TABLE
from vifd_linuxbridge.testing import rules
from vifd_linuxbridge.wiring import bridge_name

__all__ = ["BridgeTrunkMachine"]


def state(drivers: Any) -> set[str]:
    """All of it, a line each."""
    found = set(rules(drivers))
    bridging = drivers.bridging
    names = [link.name for link in drivers.links.marked("vifd:")]
    devices, guards = bridging.get(names), bridging.guards(names)
    return found | {f"{d} {guards.get(n)}" for n, d in devices.items()}


class BridgeTrunkMachine(TrunkMachine):
    """One history; the host is made anew for each."""

    def _document(self, number: int) -> Attachment:
        return told_apart(super()._document(number))

    def _flows(self) -> set[str]:
        return state(self.ledger.drivers)

    @property
    def _bridging(self) -> Bridging:
        found = self.ledger.drivers.bridging
        assert found is not None
        return found

    def _device(self, number: int) -> str:
        return self.ledger.records[port_id(number)].names.device

    def _shall(self) -> dict[int, tuple[int, int]]:
        """Of each port that shall pass, the port of its device and its tag there."""
        found = {}
        for number, port in self.ports.items():
            device, tag = self.named.get(number, (number, 0))
            carried = number not in SUB_PORTS or number in self.named
            if port.open and carried and device in self.ports and self.ports[device].open:
                found[number] = device, tag
        return found

    def _ends(self) -> dict[int, tuple[int, int]]:
        return self._shall()

    @invariant()
    def everybody_is_heard_by_its_network_alone(self) -> None:
        names = {n: self._device(n) for n in self.ports}
        bridges = {n: bridge_name(self._document(n).network.id) for n in names}
        there = self._bridging.get([*names.values(), *bridges.values()])
        guards = self._bridging.guards(list(names.values()))
        nft = self.ledger.drivers.nft
        assert nft is not None
        opened = nft.list_elements(TABLE, OPEN)
        ends = self._shall()
        for number, name in names.items():
            device, bridge = there.get(name), there.get(bridges[number])
            if number in SUB_PORTS:
                self._vlan_device(number, device)
            if number not in ends:
                assert device is None or device.master is None, (number, "is on a bridge")
                assert device is None or guards[name] == SHUT, (number, "is not shut")
                continue
            assert device is not None, (number, "has no device")
            assert bridge is not None, (number, "has no bridge")
            assert device.master == bridge.link.ifindex, (number, "is not on its bridge")
            assert guards[name] != SHUT, (number, "is shut")
            assert name in opened, (number, "its filter is closed")
        for number, name in names.items():
            tags = {tag for n, (by, tag) in ends.items() if by == number and n != number}
            assert admitted(guards.get(name)) == tags, (number, admitted(guards.get(name)), tags)

    def _vlan_device(self, number: int, device: Device | None) -> None:
        """A sub-port has one exactly while its parent stands."""
        by, tag = self.named.get(number, (0, 0))
        assert (device is not None) == (by in self.ports), (number, device)
        if device is not None:
            tap = self._bridging.get([self._device(by)])[self._device(by)]
            assert (device.parent, device.number) == (tap.link.ifindex, tag), (number, device)

    def teardown(self) -> None:
        try:
            for number in list(self.ports):
                self.unplug(number)
            assert rules(self.ledger.drivers) == set()
            assert not self.ledger.drivers.links.marked("vifd:")
        finally:
            self._stack.close()
