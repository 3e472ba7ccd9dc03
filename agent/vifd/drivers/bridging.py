"""The kernel's bridges, and the VLAN and VXLAN devices that lead out of them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from vifd.drivers import (
    BridgePort,
    Device,
    FdbEntry,
    HybridSpec,
    Program,
    Spec,
    VlanSpec,
    VxlanSpec,
    brdevice,
    brnl,
    hindrances,
    hybridnl,
    hybridrules,
    netlink,
    tap,
)
from vifd.drivers.bridgerules import complaint, missing, needs_anew, taken, unlike
from vifd.drivers.guards import Guards
from vifd.drivers.hearing import say
from vifd.drivers.linkrules import other_name, refusal
from vifd.drivers.links import device_error
from vifd.drivers.netlink import index_of

_GONE = (errno.ENODEV, errno.ENXIO)
_NOBODY = "00:00:00:00:00:00"

_BRIDGE_NETFILTER = Path("/proc/sys/net/bridge")
_CALLS = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables")

T = TypeVar("T")


class Bridging:
    """The devices of the network namespace of the thread that constructs this.

    All work is done on one worker thread, which stays in that namespace.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "bridging")
        #: whether this kernel has entries that stay; unknown until the first one was added
        self._fixing: bool | None = None
        try:
            self._socket = self._worker.submit(lambda: netlink.Socket(netlink.ROUTE)).result()
        except BaseException:
            self._worker.shutdown()
            raise
        self._guards = Guards(self._socket)

    def _do(self, call: Callable[..., T], *arguments: object) -> T:
        return self._worker.submit(call, *arguments).result()

    # The calls, made on the worker.

    def get(self, names: Sequence[str]) -> dict[str, Device]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._get, names)

    def real_name(self, name: str) -> str:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._real_name, name)

    def members(self, bridge: str) -> list[Device]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._members, bridge)

    def make(self, spec: Spec) -> Device:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._make, spec)

    def enslave(self, ports: Sequence[BridgePort]) -> dict[str, Exception]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._enslave, ports)

    def make_hybrid(self, spec: HybridSpec) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(self._make_hybrid, spec)

    def remove_hybrid(self, spec: HybridSpec) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(self._remove_hybrid, spec)

    def release(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(self._release, names)

    def addresses(self, name: str) -> list[str]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._addresses, name)

    def holder(self, address: str) -> Device | None:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._holder, address)

    def fdb(self, wanted: Sequence[FdbEntry]) -> list[FdbEntry | None]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._fdb, wanted)

    def tunnels(self, device: str) -> frozenset[FdbEntry]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._tunnels, device)

    def change_fdb(self, *, add: Sequence[FdbEntry] = (), delete: Sequence[FdbEntry] = ()) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(self._change_fdb, add, delete)

    def say(self, device: str, frames: Sequence[bytes]) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(say, device, frames)

    def guard(self, programs: Mapping[str, Program]) -> dict[str, Exception]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._guards.put, programs)

    def unguard(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._do(self._guards.remove, names)

    def guards(self, names: Sequence[str]) -> dict[str, Program | None]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._guards.read, names)

    def barred(self, names: Sequence[str]) -> dict[str, str]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._guards.barred, names)

    def lacking(self, kind: str) -> str | None:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._lacking, kind)

    def limits(self, names: Sequence[str]) -> dict[str, list[str]]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._limits, names)

    def hindrances(self, names: Sequence[str]) -> dict[str, list[str]]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._hindrances, names)

    def filtered(self) -> list[str]:
        """See :class:`vifd.drivers.Bridging`."""
        return self._do(self._filtered)

    def close(self) -> None:
        """See :class:`vifd.drivers.Bridging`."""
        self._worker.shutdown()
        self._socket.close()

    # What the worker does.

    def _get(self, names: Sequence[str]) -> dict[str, Device]:
        return {n: device for n, device in self._answering(names).items() if device.link.name == n}

    def _real_name(self, name: str) -> str:
        return "".join(device.link.name for device in self._answering([name]).values())

    def _answering(self, names: Sequence[str]) -> dict[str, Device]:
        """The devices that have these names, or answer to them as their altnames."""
        asked = [name for name in dict.fromkeys(names) if refusal(name) is None]
        found = {}
        for name, answer in zip(asked, self._socket.ask([brnl.get(n) for n in asked]), strict=True):
            if isinstance(answer, bytes):
                found[name] = brdevice.device(answer)
            elif answer not in _GONE:
                raise device_error(name, answer, "read")
        return found

    def _members(self, bridge: str) -> list[Device]:
        there = self._get([bridge]).get(bridge)
        if there is None:
            return []
        index = there.link.ifindex
        devices = map(brdevice.device, self._socket.dump(brnl.members(index)))
        # an old kernel may not filter
        return [device for device in devices if device.master == index]

    def _make(self, spec: Spec) -> Device:
        below = spec.parent if isinstance(spec, VlanSpec | VxlanSpec) else ""
        found = self._answering([spec.name, *([below] if below else [])])
        if below and (below not in found or found[below].link.name != below):
            raise missing(below)
        parent = found[below].link.ifindex if below else None
        there = found.get(spec.name)
        if there is not None and there.link.name != spec.name:
            # what is asked of that name, its mark for one, would be done to this device
            raise other_name(spec.name, there.link)
        if problem := complaint(spec, there):
            raise problem
        if there is not None and needs_anew(spec, there, parent):
            self._checked(brnl.delete(there.link.ifindex), spec.name, "replace")
            there = None
        if there is None:
            self._create(spec, parent)
        self._ipv6_off(spec.name)
        if there is None or unlike(spec, there, parent):
            for request in brnl.settle(spec):
                self._checked(request, spec.name, "bring up")
            self._ipv6_off(spec.name)
        if isinstance(spec, VxlanSpec):
            self._change_fdb([FdbEntry(spec.name, _NOBODY, r) for r in spec.remotes], ())
        made = self._get([spec.name]).get(spec.name)
        if made is None:
            raise missing(spec.name)
        if problem := unlike(spec, made, parent):
            raise problem
        return made

    def _create(self, spec: Spec, parent: int | None) -> None:
        made, marked = self._socket.ask(brnl.create(spec, parent))
        if made == errno.EEXIST:
            devices = map(brdevice.device, self._socket.dump(brnl.everything()))
            if problem := taken(spec, parent, devices):
                raise problem
        if made:
            raise device_error(spec.name, int(made), "create")
        if marked:
            self._socket.ask([brnl.delete(self._get([spec.name])[spec.name].link.ifindex)])
            raise device_error(spec.name, int(marked), "mark")

    def _ipv6_off(self, name: str) -> None:
        try:
            tap.ipv6_off(name)
        except OSError as error:
            raise device_error(name, error.errno or 0, "turn IPv6 off on") from error

    def _checked(self, request: netlink.Message, name: str, doing: str) -> None:
        (answer,) = self._socket.ask([request])
        if answer:
            raise device_error(name, int(answer), doing)

    def _enslave(self, ports: Sequence[BridgePort]) -> dict[str, Exception]:
        failed: dict[str, Exception] = {}
        bridges = {name: index_of(name) for name in {port.bridge for port in ports}}
        requests: list[tuple[BridgePort, netlink.Message]] = []
        for port in ports:
            if not bridges[port.bridge]:
                failed[port.name] = missing(port.bridge)
                continue
            index = index_of(port.name)
            if not index:
                failed[port.name] = missing(port.name)
                continue
            messages = brnl.enslave(port, bridges[port.bridge])
            messages += brnl.vlans(port, index)
            requests += [(port, message) for message in messages]
        answers = self._socket.ask([message for _, message in requests])
        for (port, _), answer in zip(requests, answers, strict=True):
            if answer and port.name not in failed:
                doing = f"make a port of {port.bridge} of"
                failed[port.name] = device_error(port.name, int(answer), doing)
        return failed

    def _make_hybrid(self, spec: HybridSpec) -> None:
        there = self._answering([spec.bridge, spec.inner, spec.outer])
        if problem := hybridrules.in_the_way(spec, there):
            raise problem
        if spec.bridge not in there:
            self._checked(hybridnl.bridge(spec.bridge), spec.bridge, "create")
            self._ipv6_off(spec.bridge)
        if spec.outer not in there:
            self._checked(hybridnl.pair(spec), spec.outer, "create")
        index = index_of(spec.bridge)
        for name, master in ((spec.inner, index), (spec.outer, 0), (spec.bridge, 0)):
            self._checked(hybridnl.up(name, master, spec.mtu), name, "bring up")

    def _remove_hybrid(self, spec: HybridSpec) -> None:
        there = self._get([spec.bridge, spec.inner, spec.outer])
        members = self._members(spec.bridge) if spec.bridge in there else []
        problem = hybridrules.in_the_way(spec, there) or hybridrules.occupied(spec, members)
        if problem:
            raise problem
        for name in (spec.bridge, spec.outer):
            if name in there:
                self._checked(brnl.delete(there[name].link.ifindex), name, "delete")

    def _release(self, names: Sequence[str]) -> None:
        there = [name for name, device in self._get(names).items() if device.master is not None]
        answers = self._socket.ask([brnl.release(name) for name in there])
        for name, answer in zip(there, answers, strict=True):
            if answer and answer not in _GONE:
                raise device_error(name, int(answer), "take out of its bridge")

    def _addresses(self, name: str) -> list[str]:
        there = self._get([name]).get(name)
        if there is None:
            return []
        return [
            text for index, text in self._all_addresses()
            if index == there.link.ifindex and not text.startswith("fe80:")
        ]  # fmt: skip

    def _all_addresses(self) -> list[tuple[int, str]]:
        found = map(brnl.address, self._socket.dump(brnl.ask_addresses()))
        return [(index, text) for index, text in found if text]

    def _holder(self, address: str) -> Device | None:
        for index, text in self._all_addresses():
            if text.partition("/")[0] == address:
                (answer,) = self._socket.ask([brnl.get_index(index)])
                return brdevice.device(answer) if isinstance(answer, bytes) else None
        return None

    def _indices(self, entries: Sequence[FdbEntry]) -> dict[str, int]:
        found = {name: index_of(name) for name in {entry.device for entry in entries}}
        return {name: index for name, index in found.items() if index}

    def _fdb(self, wanted: Sequence[FdbEntry]) -> list[FdbEntry | None]:
        indices = self._indices(wanted)
        names = {index: name for name, index in indices.items()}
        known = [e for e in wanted if e.device in indices]
        answers = self._socket.ask([brnl.get_entry(e, indices[e.device]) for e in known])
        found: dict[FdbEntry, FdbEntry] = {}
        for entry, answer in zip(known, answers, strict=True):
            if isinstance(answer, bytes):
                index, static, sticky = brnl.entry_place(answer)
                if static:
                    place = names.get(index, f"ifindex {index}")
                    fixed = None if self._fixing is False else sticky
                    found[entry] = FdbEntry(place, entry.mac, vlan=entry.vlan, fixed=fixed)
            elif answer not in (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, *_GONE):
                raise device_error(entry.device, answer, "read the forwarding table of")
        return [found.get(entry) for entry in wanted]

    def _tunnels(self, device: str) -> frozenset[FdbEntry]:
        index = index_of(device)
        if not index:
            return frozenset()
        try:
            answers = self._socket.dump(brnl.ask_tunnels(index))
        except OSError as error:
            what = "read the forwarding table of"
            raise device_error(device, error.errno or 0, what) from error
        found = (brnl.tunnel_entry(answer, index) for answer in answers)
        return frozenset(FdbEntry(device, mac, remote) for mac, remote in filter(None, found))

    def _change_fdb(self, add: Sequence[FdbEntry], delete: Sequence[FdbEntry]) -> None:
        indices = self._indices([*add, *delete])
        for entry in add:
            if entry.device not in indices:
                raise missing(entry.device)
        gone = [entry for entry in delete if entry.device in indices]
        answers = self._socket.ask(
            [brnl.delete_entry(e, indices[e.device]) for e in gone]
            + [brnl.add_entry(e, indices[e.device]) for e in add]
        )
        fine = (errno.ENOENT, errno.EEXIST, errno.EINVAL, *_GONE)
        for number, (entry, answer) in enumerate(zip([*gone, *add], answers, strict=True)):
            tolerated = fine if number < len(gone) else (errno.EEXIST,)
            if answer and answer not in tolerated:
                raise device_error(entry.device, int(answer), f"forward {entry.mac} by")
        fixed = next((entry for entry in add if entry.fixed), None)
        if fixed is not None and self._fixing is None:
            self._fixing = self._stays(fixed, indices[fixed.device])

    def _stays(self, entry: FdbEntry, index: int) -> bool:
        """Whether an entry that was just added came out as one that stays: old kernels take the
        flag without a word."""
        (answer,) = self._socket.ask([brnl.get_entry(entry, index)])
        return isinstance(answer, int) or brnl.entry_place(answer)[2]

    def _limits(self, names: Sequence[str]) -> dict[str, list[str]]:
        try:
            return hindrances.limits(self._socket, [n for n in names if refusal(n) is None])
        except OSError as error:
            raise device_error(", ".join(names), error.errno or 0, "read limits of") from error

    def _hindrances(self, names: Sequence[str]) -> dict[str, list[str]]:
        try:
            return hindrances.read(self._socket, [n for n in names if refusal(n) is None])
        except OSError as error:
            raise device_error(", ".join(names), error.errno or 0, "read what is on") from error

    @staticmethod
    def _filtered() -> list[str]:
        # what stands there is that of the calling thread's namespace
        return [f"net.bridge.{name}" for name in _CALLS if _on(_BRIDGE_NETFILTER / name)]

    def _lacking(self, kind: str) -> str | None:
        if kind == "guard":
            return self._guards.lacking()
        if kind == "vlan_filtering":
            (answer,) = self._socket.ask([brnl.probe_vlan_filtering()])
            known = answer == errno.EPROTONOSUPPORT
            text = "the kernel's bridge has no VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)"
        else:
            (answer,) = self._socket.ask([brnl.probe(kind)])
            known = answer != errno.EOPNOTSUPP
            text = f"the kernel cannot make {kind} devices (module {_MODULES.get(kind, kind)})"
        if answer in (errno.EPERM, errno.EACCES):
            return "no permission to make devices: the daemon needs CAP_NET_ADMIN"
        return None if known else text


_MODULES = {"vlan": "8021q"}


def _on(path: Path) -> bool:
    try:
        return path.read_text().strip() == "1"
    except OSError:
        return False
