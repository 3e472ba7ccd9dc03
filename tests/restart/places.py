"""The two places where the random operation machine works: a switch, and bridges of the kernel.
What can happen there, and what there is beside the daemon to ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from restart.sets import TUNNELLED, SaidSets, network_id
from support import bridgeoracle, meddler, oracle
from support.oracle import Wanted
from vifd.testing import census, probes
from vifd.testing.census import Census
from vifd.testing.daemon import Options
from vifd.testing.guests import TapGuest, guests
from vifd.testing.netns import links
from vifd.testing.sandbox import PrivateOvs
from vifd_linuxbridge.testing import quiet_netfilter

OWN = "192.0.2.1"
#: What others can lose at once: all of it, or one of two halves.
OUTAGES = ("switch", "database", "both")


class Place(Protocol):
    """A host, as far as it is not the daemon.

    :ivar plugin: who serves ports there
    :ivar options: of the daemon
    :ivar edits: what others can do to a port
    :ivar groups: whether security groups, and logs of them, can be in force
    :ivar trunks: whether sub-ports can be
    """

    plugin: str
    options: Options
    edits: Sequence[str]
    groups: bool
    trunks: bool

    def start(self) -> None:
        """All that the daemon needs runs."""

    def lose(self, what: str) -> None:
        """One of :data:`OUTAGES`."""

    def power_cut(self) -> None:
        """Nothing is left but what is on disk; the daemon does not run."""

    def meddle(self, edit: str, device: str) -> None:
        """One of the edits of a tap."""

    def state(self) -> Any:
        """All that a daemon could have changed."""

    def touched(self, before: Any) -> list[str]:
        """What was changed since, a line each."""

    def complaints(self, wanted: Sequence[Wanted]) -> list[str]:
        """What is not as it shall be, by a second opinion."""

    def rates(self) -> list[int]:
        """Limits of bandwidth, in order."""

    def unsaid(self, sets: SaidSets, named: set[str], *, tunnelled: bool) -> list[str]:
        """What is otherwise of sets than was said."""

    def logs_anything(self) -> bool:
        """Whether anything is there that logs want."""

    def beyond(self, empty: Census, wanted: Sequence[Wanted]) -> list[str]:
        """Devices and ports of the switch that no port stands for."""

    def residue(self) -> set[str]:
        """What may not stay when the last port has gone."""

    def opened(
        self, wanted: Sequence[Wanted]
    ) -> contextlib.AbstractContextManager[Mapping[str, TapGuest]]:
        """The guests, by the name of their tap."""


class OnSwitch:
    """Open vSwitch."""

    plugin = "ovs"
    options: Options = MappingProxyType({"ovs": {"local_ip": OWN}})
    edits: Sequence[str] = sorted([*meddler.DEVICE, *meddler.SWITCH])
    groups = trunks = True

    def __init__(self, ovs: PrivateOvs) -> None:
        self.ovs = ovs

    def start(self) -> None:
        self.ovs.start()

    def lose(self, what: str) -> None:
        if what != "database":
            self.ovs.vswitchd.kill()
        if what != "switch":
            self.ovs.ovsdb.kill()

    def power_cut(self) -> None:
        self.lose("both")
        for device in links():
            if device.startswith("tap"):
                meddler.delete_device(device)

    def meddle(self, edit: str, device: str) -> None:
        if edit in meddler.DEVICE:
            meddler.DEVICE[edit](device)
        else:
            meddler.SWITCH[edit](self.ovs, device)

    def state(self) -> dict[str, float]:
        return {**oracle.flow_ages(self.ovs), **oracle.meter_ages(self.ovs)}

    def touched(self, before: dict[str, float]) -> list[str]:
        return oracle.touched_flows(before, self.state())

    def complaints(self, wanted: Sequence[Wanted]) -> list[str]:
        return oracle.complaints(self.ovs, wanted)

    def rates(self) -> list[int]:
        return oracle.rates(self.ovs)

    def unsaid(self, sets: SaidSets, named: set[str], *, tunnelled: bool) -> list[str]:
        return sets.not_on(self.ovs, named, tunnelled=tunnelled)

    def logs_anything(self) -> bool:
        if "br-int" not in self.ovs.bridges():
            return False
        return "controller" in self.ovs.ofctl("dump-flows", "br-int", "table=190").lower()

    def beyond(self, empty: Census, wanted: Sequence[Wanted]) -> list[str]:
        present, shall = self._census(), {w.device for w in wanted}
        devices = present.links - empty.links - shall
        ports = present.ports - empty.ports - {f"br-int/{d}" for d in shall}
        return sorted(devices | ports)

    def _census(self) -> Census:
        return census.take(self.ovs)

    def residue(self) -> set[str]:
        # another program's forgery is garbage, which has its time
        return {flow for flow in self._census().flows if meddler.FORGED not in flow}

    @contextlib.contextmanager
    def opened(self, wanted: Sequence[Wanted]) -> Iterator[Mapping[str, TapGuest]]:
        names = sorted({p.device for p in wanted})
        with guests(*names, ovs=self.ovs) as taps:
            self.ovs.revalidated()
            yield dict(zip(names, taps, strict=True))


class OnBridges:
    """Bridges of the kernel."""

    plugin = "linuxbridge"
    options: Options = MappingProxyType({"linuxbridge": {"serve_local": True, "local_ip": OWN}})
    edits: Sequence[str] = sorted([*meddler.DEVICE, *meddler.BRIDGED])

    def __init__(self) -> None:
        self.groups = probes.lacking("bridge_tracking") is None
        self.trunks = probes.lacking("kernel:8021q") is None
        quiet_netfilter()
        self._before = {*links()}

    def start(self) -> None:
        """There is nothing that could not run."""

    def lose(self, what: str) -> None:
        if what != "database":
            for device in self._own("brq"):
                meddler.delete_device(device)
        if what != "switch":
            meddler.flush_rules()

    def _own(self, *kinds: str) -> list[str]:
        return [d for d in links() if d not in self._before and d.startswith(kinds)]

    def power_cut(self) -> None:
        meddler.flush_rules()
        for kind in ("sub", "vxlan-", "tap", "brq"):
            for device in self._own(kind):
                with contextlib.suppress(KeyError):  # it went with the one below
                    meddler.delete_device(device)

    def meddle(self, edit: str, device: str) -> None:
        {**meddler.DEVICE, **meddler.BRIDGED}[edit](device)

    def state(self) -> tuple[str, dict[str, int]]:
        return bridgeoracle.state()

    def touched(self, before: tuple[str, dict[str, int]]) -> list[str]:
        return bridgeoracle.touched(before)

    def complaints(self, wanted: Sequence[Wanted]) -> list[str]:
        return bridgeoracle.complaints(wanted)

    def rates(self) -> list[int]:
        return bridgeoracle.rates()

    def unsaid(self, sets: SaidSets, named: set[str], *, tunnelled: bool) -> list[str]:
        found = []
        if self.groups:
            wanted = {p for g in named for p in sets.of_group(g)}
            lacks = wanted - bridgeoracle.ports_of_rules()
            found = [f"no rule for port {port}" for port in sorted(lacks)]
        ends, said = bridgeoracle.floods("vxlan-101"), sets.endpoints() if tunnelled else set()
        return found if ends == said else [*found, f"floods go to {ends}, said was {said}"]

    def logs_anything(self) -> bool:
        return "log prefix" in bridgeoracle.rules()

    def beyond(self, empty: Census, wanted: Sequence[Wanted]) -> list[str]:
        shall = {bridgeoracle.device(w) for w in wanted} | {w.device for w in wanted}
        shall |= {f"brq{w.network[:11]}" for w in wanted}
        if network_id(TUNNELLED) in {w.network for w in wanted}:
            shall.add("vxlan-101")
        return sorted({*links()} - empty.links - shall)

    def residue(self) -> set[str]:
        return {*bridgeoracle.plain_rules()}

    def opened(
        self, wanted: Sequence[Wanted]
    ) -> contextlib.AbstractContextManager[Mapping[str, TapGuest]]:
        return bridgeoracle.opened(wanted)
