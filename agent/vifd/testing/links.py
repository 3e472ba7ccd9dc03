"""Network devices that exist only in memory, with the kernel's rules."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vifd.drivers import MARK, Link, Tap
from vifd.drivers.linkrules import clash, complaint, other_name, refusal, renamed, unmarked
from vifd.errors import DeviceError, NameClash, VifError
from vifd.openflow.counts import Traffic
from vifd.testing.faults import Faults

#: What the kernel's tun driver takes.
MIN_MTU, MAX_MTU = 68, 65521
#: The state of a tap that was just made, before anything is set.
DEFAULT_MTU = 1500
NO_TRAFFIC = Traffic(0, 0, 0, 0)

LOG = logging.getLogger(__name__)

Callback = Callable[[str, bool], None]


class FakeLinks(Faults):
    """See :class:`vifd.drivers.Links`. Callbacks come at once, on the caller's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._links: dict[str, Link] = {}
        #: by ifindex
        self._traffic: dict[int, Traffic] = {}
        self._index = 1
        self._callbacks: list[Callback] = []
        self._lock = threading.RLock()
        #: taps that somebody has open though they have no carrier; a test says so
        self.held: set[str] = set()
        #: altnames: by each, the name of the device that answers to it as well
        self.altnames: dict[str, str] = {}
        #: why no tap can be made; a test says so
        self.no_taps = ""
        #: the devices that stand on one, by its ifindex: they go with it, and carry no more
        self.uppers: Callable[[int], list[str]] = lambda _: []

    # What a test does to the host, past the driver.

    def place(self, name: str, *, kind: str = "veth", alias: str = "", **settings: object) -> Link:
        """Put a device there that somebody else made, or change one."""
        with self._lock:
            link = self._links.get(name) or self._new(name, kind)
            link = replace(link, kind=kind, alias=alias, **settings)  # type: ignore[arg-type]
            self._links[name] = link
        self._tell(name)
        return link

    def drop(self, name: str) -> None:
        """Take a device away behind the driver's back."""
        with self._lock:
            link = self._links.pop(name, None)
        self._tell(name)
        if link is not None:
            self._topple(link)

    def _topple(self, link: Link) -> None:
        for name in self.uppers(link.ifindex):
            self.drop(name)

    def count(self, name: str, *, received: int = 0, sent: int = 0) -> None:
        """A device has received, or sent, a frame of so many bytes."""
        with self._lock:
            link = self._links[name]
            old = self._traffic.get(link.ifindex, NO_TRAFFIC)
            self._traffic[link.ifindex] = Traffic(
                old.received + bool(received), old.sent + bool(sent),
                old.bytes_received + received, old.bytes_sent + sent,
            )  # fmt: skip

    def peek(self, name: str) -> Link | None:
        """A device, past the driver: orders no fault and counts as no call."""
        return self._links.get(name)

    def other_name(self, name: str) -> NameClash | None:
        """Why no device of this name can be made: another one answers to it as its altname."""
        device = self._links.get(self.altnames.get(name, ""))
        return None if device is None else other_name(name, device)

    @property
    def names(self) -> list[str]:
        """Every device there is."""
        return sorted(self._links)

    # The driver.

    def get(self, names: Sequence[str]) -> dict[str, Link]:
        """See :class:`vifd.drivers.Links`."""
        with self._call("get"), self._lock:
            return {name: self._links[name] for name in names if name in self._links}

    def opened(self, name: str) -> bool:
        """See :class:`vifd.drivers.Links`."""
        with self._call("opened"), self._lock:
            link = self._links.get(name)
            return link is not None and (link.carrier or name in self.held)

    def traffic(self, names: Sequence[str]) -> dict[str, Traffic]:
        """See :class:`vifd.drivers.Links`."""
        with self._call("traffic"), self._lock:
            there = {name: self._links[name] for name in names if name in self._links}
            return {n: self._traffic.get(k.ifindex, NO_TRAFFIC) for n, k in there.items()}

    def marked(self, prefix: str) -> list[Link]:
        """See :class:`vifd.drivers.Links`."""
        with self._call("marked"), self._lock:
            return [link for link in self._links.values() if link.alias.startswith(prefix)]

    def tap_problem(self) -> str:
        return self.no_taps

    def create_taps(self, taps: Sequence[Tap]) -> dict[str, Link | Exception]:
        """See :class:`vifd.drivers.Links`."""
        if len({tap.name for tap in taps}) != len(taps):
            raise ValueError("a name occurs twice in one batch of taps")
        with self._call("create_taps"):
            outcome = {tap.name: self._create(tap) for tap in taps}
        for name, result in outcome.items():
            if isinstance(result, Link):
                self._tell(name)
        return outcome

    def _create(self, tap: Tap) -> Link | Exception:
        with self._lock:
            there = self._links.get(tap.name)
            fault = self._next("create_taps", tap.name)
            problem = fault.error if fault else complaint(tap, there) or _einval(tap.mac, tap.mtu)
            problem = problem or self.other_name(tap.name)
            if problem is not None:
                return problem
            link = there or replace(
                self._new(tap.name, "tun"),
                alias=tap.alias,
                multi_queue=tap.multi_queue,
                owner=tap.owner,
                group=tap.group,
            )
            link = replace(link, mac=tap.mac.lower(), mtu=tap.mtu, up=True, ipv6=False)
            self._links[tap.name] = link
            self._lower(link)
            return link

    def _lower(self, link: Link) -> None:
        """No device carries more than what it stands on, and none is up above one that is down."""
        for name in self.uppers(link.ifindex):
            upper = self._links[name]
            mtu, up = min(upper.mtu, link.mtu), upper.up and link.up
            self._links[name] = replace(upper, mtu=mtu, up=up)

    def _new(self, name: str, kind: str) -> Link:
        self._index += 1
        mac = f"02:00:00:00:{self._index >> 8:02x}:{self._index & 255:02x}"
        return Link(name, self._index, mac, DEFAULT_MTU, up=False, carrier=False, kind=kind)

    def set(
        self,
        name: str,
        *,
        mtu: int | None = None,
        mac: str | None = None,
        up: bool | None = None,
    ) -> Link:
        """See :class:`vifd.drivers.Links`."""
        with self._call("set"), self._lock:
            link = self._links.get(name)
            if problem := refusal(name):
                raise _device_error(name, problem)
            if link is None:
                raise _device_error(name, "cannot change: No such device")
            link = replace(
                link,
                mtu=link.mtu if mtu is None else mtu,
                mac=link.mac if mac is None else mac.lower(),
                up=link.up if up is None else up,
            )
            if (error := _einval(link.mac, link.mtu)) is not None:
                raise error
            self._links[name] = link
            self._lower(link)
        self._tell(name)
        return link

    def remark(self, taps: Mapping[str, tuple[int, str]]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._call("remark"), self._lock:
            for name, (ifindex, alias) in taps.items():
                link = self._links.get(name)
                if link is not None and unmarked(link, ifindex, alias):
                    self._links[name] = replace(link, alias=alias)
                for other in [*self._links.values()] if link is None else ():
                    if renamed(other, ifindex, alias):
                        self._links[name] = replace(self._links.pop(other.name), name=name)

    def rename(self, name: str, new: str) -> None:
        """Another program gives a device another name."""
        with self._lock:
            self._links[new] = replace(self._links.pop(name), name=new)

    def unmark(self, devices: Mapping[str, tuple[int, str]]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._call("unmark"), self._lock:
            for name, (ifindex, alias) in devices.items():
                link = self._links.get(name)
                if link is not None and link.ifindex == ifindex and link.alias.startswith(MARK):
                    self._links[name] = replace(link, alias=alias)

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._call("delete"):
            with self._lock:
                links = [self._links[name] for name in names if name in self._links]
                ours = [link for link in links if link.alias.startswith(MARK)]
                for link in ours:
                    del self._links[link.name]
            for link in ours:
                self._tell(link.name)
                self._topple(link)
            foreign = [link for link in links if link not in ours]
            if foreign:
                raise clash(foreign[0], others=[link.name for link in foreign[1:]])

    def subscribe(self, callback: Callback) -> None:
        """See :class:`vifd.drivers.Links`."""
        self._callbacks.append(callback)

    def close(self) -> None:
        """See :class:`vifd.drivers.Links`."""
        self._callbacks.clear()

    def _tell(self, name: str) -> None:
        for callback in list(self._callbacks):
            try:
                callback(name, name in self._links)
            except Exception:
                LOG.exception("a subscriber to link events failed on %r", name)


def _device_error(name: str, problem: str) -> DeviceError:
    return DeviceError(stage="device", facts={"device": name, "problem": problem})


def _einval(mac: str, mtu: int) -> VifError | None:
    """What the kernel refuses at the device itself."""
    if not MIN_MTU <= mtu <= MAX_MTU:
        return _device_error("tap", "cannot set up: Invalid argument")
    if int(mac[:2], 16) & 1:
        return _device_error("tap", "cannot set up: Cannot assign requested address")
    return None
