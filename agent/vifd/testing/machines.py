"""Whole hosts for tests of plugins: one of fakes, one of a real kernel and a private switch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from vifd.drivers import MARK, Drivers
from vifd.drivers.nft.objects import TABLE
from vifd.openflow.mark import MARK as OPENFLOW_MARK
from vifd.openflow.mark import OURS
from vifd.testing.bridging import FakeBridging
from vifd.testing.links import FakeLinks
from vifd.testing.nft import FakeNft
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.ovsdb import FakeOvsdb
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.tracer import FakeTracer
from vifd.testing.wait import PATIENCE, until

#: The external id of a switch port of ours.
PORT = "vifd-port"
#: The part of a cookie that says which port or network a flow is for.
_NUMBER = 0xFFFF_FFFF
#: What the kernel's datapath cannot set ("IPv6 ND Extensions").
_OF_USERSPACE = ("nd_reserved", "nd_options_type")


class FakeMachine:
    """A host of fakes that know of each other."""

    def __init__(self) -> None:
        self.links = FakeLinks()
        self.ovsdb = FakeOvsdb(self.links)
        self.openflow = FakeOpenFlow(lambda: _Bridges(self.ovsdb))
        self.openflow.unsettable = self._unsettable
        self.tracer = FakeTracer(self.openflow)
        self.bridging = FakeBridging(self.links)
        self.nft = FakeNft()
        self.drivers = Drivers(
            self.links, self.ovsdb, self.openflow, self.tracer, self.bridging, self.nft
        )

    def add_bridge(self, name: str) -> None:
        """A bridge that somebody else made."""
        self.ovsdb.ensure_bridge(
            name, datapath_type="netdev", fail_mode="standalone", protocols=(), external_ids={}
        )

    def _unsettable(self, bridge: str) -> Collection[str]:
        row = self.ovsdb.bridge(bridge)
        return () if row is None or row.datapath_type == "netdev" else _OF_USERSPACE

    def restart_switch(self) -> None:
        """The switch crashes and comes back without flows."""
        self.ovsdb.stop_switch()
        self.openflow.stop()
        self.ovsdb.start_switch()
        self.openflow.start()

    def join_patches(self, *bridges: str) -> None:
        """Have the patch ports of these bridges carry packets."""
        rows = {row.name: row for bridge in bridges for row in self.ovsdb.ports(bridge)}
        for row in rows.values():
            peer = rows.get(row.options.get("peer", ""))
            if row.type == "patch" and peer is not None:
                one, other = (row.bridge, row.ofport or 0), (peer.bridge, peer.ofport or 0)
                self.openflow.patch(one, other)


class _Bridges(Collection[str]):
    """The bridges of a database, as far as one can ask for them by name."""

    def __init__(self, ovsdb: FakeOvsdb) -> None:
        self._ovsdb = ovsdb

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._ovsdb.bridge(name) is not None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("bridges can only be asked for by name")

    def __len__(self) -> int:
        raise TypeError("bridges can only be asked for by name")


class RealMachine:
    """The kernel of the calling thread's namespace and a private Open vSwitch."""

    def __init__(self, ovs: PrivateOvs) -> None:
        from vifd.drivers.links import Links
        from vifd.drivers.nft.driver import Nft
        from vifd.drivers.openflow import LocalOpenFlow
        from vifd.drivers.ovsdb import Ovsdb
        from vifd.drivers.tracer import LocalTracer

        self.ovs = ovs
        place = str(ovs.rundir)
        links, ovsdb = Links(), Ovsdb(ovs.db, timeout=PATIENCE)
        openflow, tracer = LocalOpenFlow(place, PATIENCE), LocalTracer(place, PATIENCE)
        nft = Nft()
        self._closers = [nft.close, tracer.close, openflow.close, ovsdb.close, links.close]
        self.drivers = Drivers(links, ovsdb, openflow, tracer, nft=nft)
        try:
            until(ovsdb.connected, "the database is connected")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the drivers; the switch and the devices stay."""
        while self._closers:
            self._closers.pop(0)()

    def __enter__(self) -> RealMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LinuxMachine:
    """The kernel of the calling thread's namespace, bridges and packet filter included, and a
    switch that is a fake."""

    def __init__(self) -> None:
        from vifd.drivers.bridging import Bridging
        from vifd.drivers.links import Links
        from vifd.drivers.nft.driver import Nft

        fake = FakeMachine()
        links, bridging, nft = Links(), Bridging(), Nft()
        self._closers = [nft.close, bridging.close, links.close]
        self.drivers = Drivers(links, fake.ovsdb, fake.openflow, fake.tracer, bridging, nft)

    def close(self) -> None:
        """End the drivers; devices and rules stay."""
        while self._closers:
            self._closers.pop(0)()

    def __enter__(self) -> LinuxMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def residue(drivers: Drivers, bridges: Iterable[str]) -> set[str]:
    """What bears the mark of a port: devices, switch ports, flows, a line each.

    What a plugin keeps for all ports (bridges, patch ports, common flows) does not count.
    """
    found = {f"device {link.name}" for link in drivers.links.marked(MARK)}
    if drivers.nft is not None:
        found |= {f"unheard {name}" for name in drivers.nft.list_deaf(TABLE)}
    for bridge in bridges:
        if drivers.ovsdb.bridge(bridge) is None:
            continue
        rows = drivers.ovsdb.ports(bridge)
        found |= {f"port {row.name}" for row in rows if PORT in row.external_ids}
        flows = drivers.openflow.dump(bridge, *OURS)
        found |= {f"flow {flow}" for flow in flows if flow.cookie & _NUMBER}
        meters = drivers.openflow.meters(bridge)
        found |= {f"meter {number:#x}" for number in meters if number >> 24 == OPENFLOW_MARK}
    return found
