"""Bridges in memory, over the devices of :class:`vifd.testing.links.FakeLinks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vifd.drivers import (
    BridgePort,
    BridgeSpec,
    Device,
    FdbEntry,
    HybridSpec,
    Link,
    Program,
    Spec,
    VlanSpec,
    VxlanSpec,
    hybridrules,
)
from vifd.drivers.bridgerules import complaint, kind_of, missing, needs_anew, no_room, taken
from vifd.drivers.brnl import NOBODY
from vifd.errors import DeviceError
from vifd.testing.faults import Faults
from vifd.testing.links import FakeLinks

KINDS = ("bridge", "vlan", "vxlan", "vlan_filtering", "guard")


@dataclass
class _State:
    """What a device has besides what its link tells; it goes with the device."""

    ifindex: int
    spec: Spec | None = None
    master: int | None = None
    port: BridgePort | None = None
    addresses: list[str] = field(default_factory=list)
    guard: Program | None = None
    #: the other end of a pair
    peer: int | None = None
    #: what it stands on
    below: int | None = None
    tunnels: set[FdbEntry] = field(default_factory=set)


class FakeBridging(Faults):
    """See :class:`vifd.drivers.Bridging`.

    :param lacking: kinds and features that the kernel does not have
    """

    def __init__(self, links: FakeLinks, lacking: Sequence[str] = ()) -> None:
        super().__init__()
        self._links = links
        links.uppers = self._uppers
        self._missing = set(lacking)
        self._states: dict[str, _State] = {}
        #: What :meth:`filtered` answers.
        self.netfilter: list[str] = []
        #: what other software put on devices, in words
        self.put_on: dict[str, list[str]] = {}
        #: by device, what of other software leaves no place for a guard
        self.bars: dict[str, str] = {}
        self.limited: dict[str, list[str]] = {}
        #: frames that were sent: device, frame
        self.said: list[tuple[str, bytes]] = []
        self._fdb: dict[tuple[int, str, int | None], FdbEntry] = {}

    # What a test does to the host, past the driver.

    def add_address(self, name: str, address: str) -> None:
        """Give a device an address with its prefix length."""
        self._state(self._link(name)).addresses.append(address)

    def add_bridge(self, name: str) -> None:
        """A bridge that somebody else made."""
        link = self._links.place(name, kind="bridge", up=True)
        self._state(link).spec = BridgeSpec(name, "", link.mtu, link.mac)

    def add_hybrid(self, spec: HybridSpec) -> None:
        """A bridge and a pair of another program."""
        if self._links.peek(spec.bridge) is None:
            self.add_bridge(spec.bridge)
        for name in (spec.inner, spec.outer):
            self._links.place(name, kind="veth", up=True, mtu=spec.mtu)
        inner, outer = self._link(spec.inner), self._link(spec.outer)
        state = self._state(inner)
        state.master, state.port = (
            self._link(spec.bridge).ifindex,
            BridgePort(spec.inner, spec.bridge),
        )
        state.peer, self._state(outer).peer = outer.ifindex, inner.ifindex

    def add_way_out(self, spec: VlanSpec | VxlanSpec) -> None:
        """A VLAN or VXLAN device that somebody else made: it bears no mark."""
        link = self._links.place(spec.name, kind=kind_of(spec), up=True)
        below = self._links.peek(spec.parent) if spec.parent else None
        self._state(link).spec = spec
        self._state(link).below = below.ifindex if below is not None else None

    # The driver.

    def get(self, names: Sequence[str]) -> dict[str, Device]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("get"):
            found = {name: self._links.peek(name) for name in names}
            return {name: self._device(link) for name, link in found.items() if link}

    def real_name(self, name: str) -> str:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("real_name"):
            real = self._links.altnames.get(name, name)
            return real if self._links.peek(real) else ""

    def members(self, bridge: str) -> list[Device]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("members"):
            there = self._links.peek(bridge)
            if there is None:
                return []
            links = [link for name in self._links.names if (link := self._links.peek(name))]
            devices = [self._device(link) for link in links]
            return [device for device in devices if device.master == there.ifindex]

    def make(self, spec: Spec) -> Device:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("make"):
            return self._make(spec)

    def _make(self, spec: Spec) -> Device:
        below = spec.parent if isinstance(spec, VlanSpec | VxlanSpec) else ""
        parent = self._link(below).ifindex if below else None
        link = self._links.peek(spec.name)
        there = self._device(link) if link else None
        problem = complaint(spec, there) or self._links.other_name(spec.name)
        if problem := problem or self._too_large(spec):
            raise problem
        if kind_of(spec) in self._missing:
            facts = {"device": spec.name, "problem": "cannot create: Operation not supported"}
            raise DeviceError(facts=facts, stage="device")
        if there is not None and needs_anew(spec, there, parent):
            self._links.drop(spec.name)
            there = None
        if there is None and (problem := taken(spec, parent, self._everything())):
            raise problem
        settings: dict[str, object] = {"mtu": spec.mtu, "up": True, "ipv6": False}
        if isinstance(spec, BridgeSpec) or (isinstance(spec, VlanSpec) and spec.mac):
            settings["mac"] = spec.mac
        link = self._links.place(spec.name, kind=kind_of(spec), alias=spec.alias, **settings)
        self._state(link).spec, self._state(link).below = spec, parent
        for remote in spec.remotes if isinstance(spec, VxlanSpec) else ():
            self._tunnel(FdbEntry(spec.name, NOBODY, remote))
        return self._device(link)

    def enslave(self, ports: Sequence[BridgePort]) -> dict[str, Exception]:
        """See :class:`vifd.drivers.Bridging`."""
        failed: dict[str, Exception] = {}
        with self._call("enslave"):
            for port in ports:
                fault = self._next("enslave", port.name)
                bridge, link = self._links.peek(port.bridge), self._links.peek(port.name)
                if fault or bridge is None or link is None:
                    gone = missing(port.bridge if bridge is None else port.name)
                    failed[port.name] = fault.error if fault else gone
                    continue
                link = self._links.place(
                    port.name, kind=link.kind, alias=link.alias, up=True, within="bridge"
                )
                state = self._state(link)
                state.master, state.port = bridge.ifindex, port
        return failed

    def make_hybrid(self, spec: HybridSpec) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("make_hybrid"):
            names = (spec.bridge, spec.inner, spec.outer)
            real = {n: self._links.altnames.get(n, n) for n in names}
            there = {n: self._device(d) for n, r in real.items() if (d := self._links.peek(r))}
            if problem := hybridrules.in_the_way(spec, there):
                raise problem
            self.add_hybrid(spec)

    def remove_hybrid(self, spec: HybridSpec) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("remove_hybrid"):
            names = (spec.bridge, spec.inner, spec.outer)
            there = {n: self._device(link) for n in names if (link := self._links.peek(n))}
            bridge = there.get(spec.bridge)
            members = [d for d in self._everything() if bridge and d.master == bridge.link.ifindex]
            problem = hybridrules.in_the_way(spec, there) or hybridrules.occupied(spec, members)
            if problem:
                raise problem
            for name in there:
                self._links.drop(name)

    def release(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("release"):
            for name in names:
                link = self._links.peek(name)
                if link is not None:
                    self._links.place(name, kind=link.kind, alias=link.alias, within="")
                    self._state(link).master = self._state(link).port = None
                    self._fdb = {key: at for key, at in self._fdb.items() if at.device != name}

    def addresses(self, name: str) -> list[str]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("addresses"):
            link = self._links.peek(name)
            return list(self._state(link).addresses) if link else []

    def holder(self, address: str) -> Device | None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("holder"):
            for name in self._links.names:
                link = self._link(name)
                if address in [a.partition("/")[0] for a in self._state(link).addresses]:
                    return self._device(link)
            return None

    def fdb(self, wanted: Sequence[FdbEntry]) -> list[FdbEntry | None]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("fdb"):
            return [self._entry(entry) for entry in wanted]

    def _entry(self, wanted: FdbEntry) -> FdbEntry | None:
        link = self._links.peek(wanted.device)
        master = self._state(link).master if link else None
        place = self._fdb.get((master or 0, wanted.mac, wanted.vlan))
        return place if place is not None and self._links.peek(place.device) else None

    def tunnels(self, device: str) -> frozenset[FdbEntry]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("tunnels"):
            link = self._links.peek(device)
            return frozenset(self._state(link).tunnels) if link else frozenset()

    def say(self, device: str, frames: Sequence[bytes]) -> None:
        """Remember the frames in :attr:`said`."""
        with self._call("say"):
            self._link(device)
            self.said += [(device, frame) for frame in frames]

    def change_fdb(self, *, add: Sequence[FdbEntry] = (), delete: Sequence[FdbEntry] = ()) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("change_fdb"):
            for entry in add:
                self._link(entry.device)
            for entry in (e for e in delete if e.remote):
                if (link := self._links.peek(entry.device)) is not None:
                    self._state(link).tunnels.discard(entry)
            for entry in (e for e in delete if not e.remote):
                link = self._links.peek(entry.device)
                key = (self._state(link).master or 0 if link else 0, entry.mac, entry.vlan)
                there = self._fdb.get(key)
                if there is not None and there.device == entry.device:
                    del self._fdb[key]
            for entry in add:
                if entry.remote:
                    self._tunnel(entry)
                else:
                    master = self._state(self._link(entry.device)).master
                    self._fdb[master or 0, entry.mac, entry.vlan] = entry

    def _tunnel(self, entry: FdbEntry) -> None:
        there = self._state(self._link(entry.device)).tunnels
        if entry.mac != NOBODY:
            there -= {old for old in there if old.mac == entry.mac}
        there.add(entry)

    def guard(self, programs: Mapping[str, Program]) -> dict[str, Exception]:
        """See :class:`vifd.drivers.Bridging`."""
        failed: dict[str, Exception] = {}
        with self._call("guard"):
            for name, program in programs.items():
                fault, link = self._next("guard", name), self._links.peek(name)
                if fault or link is None:
                    failed[name] = fault.error if fault else missing(name)
                elif name in self.bars:
                    failed[name] = no_room(name, self.bars[name])
                elif "guard" in self._missing:
                    facts = {"device": name, "problem": "cannot guard: Operation not supported"}
                    failed[name] = DeviceError(facts=facts, stage="device")
                else:
                    self._state(link).guard = program
        return failed

    def unguard(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("unguard"):
            for name in names:
                if (link := self._links.peek(name)) is not None:
                    self._state(link).guard = None

    def guards(self, names: Sequence[str]) -> dict[str, Program | None]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("guards"):
            links = {name: self._links.peek(name) for name in names}
            return {
                name: None if name in self.bars else self._state(link).guard
                for name, link in links.items() if link
            }  # fmt: skip

    def barred(self, names: Sequence[str]) -> dict[str, str]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("barred"):
            return {n: self.bars[n] for n in names if n in self.bars and self._links.peek(n)}

    def lacking(self, kind: str) -> str | None:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("lacking"):
            known = kind in KINDS and kind not in self._missing
            return None if known else f"the kernel cannot make {kind}"

    def hindrances(self, names: Sequence[str]) -> dict[str, list[str]]:
        """What a test said."""
        with self._call("hindrances"):
            return {name: self.put_on[name] for name in names if name in self.put_on}

    def limits(self, names: Sequence[str]) -> dict[str, list[str]]:
        """What a test said."""
        with self._call("limits"):
            return {name: self.limited[name] for name in names if name in self.limited}

    def filtered(self) -> list[str]:
        """See :class:`vifd.drivers.Bridging`."""
        with self._call("filtered"):
            return list(self.netfilter)

    def close(self) -> None:
        """See :class:`vifd.drivers.Bridging`."""

    # Inside.

    def _link(self, name: str) -> Link:
        link = self._links.peek(name)
        if link is None:
            raise missing(name)
        return link

    def _state(self, link: Link) -> _State:
        """The state of this very device, not of an earlier one of its name."""
        state = self._states.get(link.name)
        if state is None or state.ifindex != link.ifindex:
            state = self._states[link.name] = _State(link.ifindex)
        return state

    def _device(self, link: Link) -> Device:
        state = self._state(link)
        master, port = state.master, state.port
        if master is not None and not self._exists(master):
            master = port = state.master = state.port = None
        plain = Device(
            link, master=master, parent=state.peer,
            flood=port.flood if port else None, learning=port.learning if port else None,
            isolated=False if port else None, broadcasts=True if port else None,
        )  # fmt: skip
        match state.spec:
            case BridgeSpec() as spec:
                aware = spec.vlan_filtering
                return replace(plain, stp=False, quiet=True, vlan_filtering=aware)
            case VlanSpec() as spec:
                return replace(plain, number=spec.vlan_id, parent=state.below)
            case VxlanSpec() as spec:
                return replace(
                    plain, number=spec.vni, local=spec.local, group=spec.group, port=spec.port,
                    learning=spec.learning,
                )  # fmt: skip
        return plain

    def _too_large(self, spec: Spec) -> DeviceError | None:
        """What the kernel says of a VLAN device that shall carry more than what it stands on."""
        if not isinstance(spec, VlanSpec) or spec.mtu <= self._link(spec.parent).mtu:
            return None
        facts = {"device": spec.name, "problem": "cannot create: Invalid argument"}
        return DeviceError(facts=facts, stage="device")

    def _uppers(self, ifindex: int) -> list[str]:
        """The VLAN devices that stand on a device; those of an earlier one of its name do not."""
        links = {name: self._links.peek(name) for name, s in list(self._states.items())
                 if s.below == ifindex and isinstance(s.spec, VlanSpec)}  # fmt: skip
        return [n for n, k in links.items() if k and k.ifindex == self._states[n].ifindex]

    def _everything(self) -> list[Device]:
        links = (self._links.peek(name) for name in self._links.names)
        return [self._device(link) for link in links if link is not None]

    def _exists(self, ifindex: int) -> bool:
        links = (self._links.peek(name) for name in self._links.names)
        return any(link is not None and link.ifindex == ifindex for link in links)
