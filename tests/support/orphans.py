"""Ports that nobody wants any more, made by hand: they bear our mark and are in no journal."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import Drivers, Link, PortSpec, Tap
from vifd.openflow.flow import flow
from vifd.testing.attachments import mac, port_id
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.flows import GUARD
from vifd_ovs.bridge.tables import CLASSIFY

#: Their numbers on the switch begin here; an orphan's own number is added.
OFPORTS = 10_000


class Orphans:
    """Makes orphans of the OVS plugin on a bridge.

    :param bridge: must be there
    """

    def __init__(self, drivers: Drivers, bridge: str = "br-int") -> None:
        self.drivers = drivers
        self.bridge = bridge

    def make(
        self, numbers: Sequence[int], *, taps: bool = True, rows: bool = True, guards: bool = True
    ) -> list[str]:
        """Make several in a few requests; their port ids.

        :param taps: with a device; a row without one has an error, as after a reboot
        :param rows: with a switch port
        :param guards: with the flow that keeps them closed
        """
        if taps:
            made = self.drivers.links.create_taps([_tap(n) for n in numbers])
            failed = [result for result in made.values() if not isinstance(result, Link)]
            assert not failed, failed[0]
        if guards:
            flows = [
                flow(CLASSIFY, GUARD, cookies.port(generation(n), OFPORTS + n), in_port=OFPORTS + n)
                for n in numbers
            ]
            self.drivers.openflow.apply(self.bridge, add=flows)
        if rows:
            self.drivers.ovsdb.ensure_ports(self.bridge, [_spec(n) for n in numbers])
            self.drivers.ovsdb.wait_ports([device(n) for n in numbers], 120.0)
        return [port_id(n) for n in numbers]


def device(number: int) -> str:
    """The device of an orphan."""
    return f"tap{port_id(number)[:11]}"


def generation(number: int) -> int:
    """The generation in its marks."""
    return 0x1000 + number % 0x1000


def _tap(number: int) -> Tap:
    return Tap(device(number), mac(number), 1450, marks.alias(port_id(number)))


def _spec(number: int) -> PortSpec:
    ids = {
        "iface-id": port_id(number),
        "attached-mac": mac(number),
        marks.PORT: port_id(number),
        marks.PLUGIN: "ovs",
        marks.GENERATION: f"{generation(number):#06x}",
        marks.NETWORK: "00000000-0000-0000-0000-0000000000ff",
        marks.SEGMENT: "local//",
    }
    return PortSpec(device(number), ofport=OFPORTS + number, tag=4000, external_ids=ids)
