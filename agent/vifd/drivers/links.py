"""Network devices of the kernel: taps by ioctl, everything else by rtnetlink."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vifd.drivers import MARK, Link, Tap, netlink, rtnl, tap
from vifd.drivers.ipv6watch import Ipv6Watch
from vifd.drivers.linkevents import LinkEvents, open_sockets
from vifd.drivers.linkmessage import name_in, traffic
from vifd.drivers.linkrules import (
    clash,
    complaint,
    other_name,
    refusal,
    renamed,
    unlike,
    unmarked,
)
from vifd.drivers.netlink import Message
from vifd.errors import DeviceError, NameClash, PrivilegeMissing, ResourcesExhausted, VifError
from vifd.openflow.counts import Traffic
from vifd.safety import limits

_GONE = (errno.ENODEV, errno.ENXIO)
_DENIED = (errno.EPERM, errno.EACCES, errno.EROFS)
#: So many files are open at once while taps are made.
_OPEN = 128

Outcome = dict[str, Link | Exception]

A = TypeVar("A")
R = TypeVar("R")


def device_error(name: str, number: int, doing: str) -> VifError:
    """The coded error for an error number of the kernel."""
    if limit := limits.word(number):
        return ResourcesExhausted(stage="device", facts={"problem": limit, "device": name})
    problem = f"cannot {doing}: {os.strerror(number)}"
    facts = {"device": name, "problem": problem, "errno": errno.errorcode.get(number, str(number))}
    if number in _DENIED:
        return PrivilegeMissing(stage="device", facts={**facts, "action": f"{doing} {name}"})
    if number in (errno.EEXIST, errno.EBUSY):
        have = "it appeared meanwhile, or another process holds it"
        return NameClash(
            f"device {name} cannot be had: {have}", stage="device",
            facts={"kind": "device", "name": name, "have": have},
            hint=f"see whose it is (ip -d link show {name}): with an alias that begins with "
            f"{MARK} it is vifd's own and stays, else remove or rename it",
        )  # fmt: skip
    if number in (*_GONE, errno.ENOENT) and not os.path.exists(tap.TUN):
        facts["problem"] = f"cannot {doing}: {tap.TUN} is missing"
        return DeviceError(stage="device", facts=facts, hint="load the kernel module tun")
    return DeviceError(stage="device", facts=facts)


def _namespace() -> tuple[int, int] | None:
    """The network namespace of the calling thread; ``None`` where it cannot be known."""
    try:
        found = os.stat("/proc/thread-self/ns/net")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""


class Links:
    """The devices of the network namespace of the thread that constructs this.

    A socket stays in its namespace, so what needs nothing else is done on the caller's thread.
    Taps and sysctls are those of the thread that asks: a thread that is in another namespace by now
    leaves them to a worker, which stays in that one. One call at a time has the lock, and so the
    socket. Works as root, with CAP_NET_ADMIN alone, and as root of a user namespace.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "links")
        self._lock = threading.Lock()
        self._events: LinkEvents | None = None
        self._ipv6 = Ipv6Watch(lambda: self.marked(MARK))
        try:
            self._socket = self._worker.submit(netlink.Socket, netlink.ROUTE).result()
            self._namespace = self._worker.submit(_namespace).result()
        except BaseException:
            self._worker.shutdown()
            raise

    def get(self, names: Sequence[str]) -> dict[str, Link]:
        """See :class:`vifd.drivers.Links`."""
        with self._lock:
            found = self._get(names)
        self._ipv6.note(found.values())
        return found

    def traffic(self, names: Sequence[str]) -> dict[str, Traffic]:
        """See :class:`vifd.drivers.Links`."""
        asked = [name for name in names if refusal(name) is None]
        found = {}
        with self._lock:
            answers = self._socket.ask([rtnl.get_counted(name) for name in asked])
        for name, answer in zip(asked, answers, strict=True):
            # the kernel answers to other names (altnames) of a device as well
            ours = isinstance(answer, bytes) and name_in(answer)[1] == name
            told = traffic(answer) if isinstance(answer, bytes) and ours else None
            if told is not None:
                found[name] = told
            elif isinstance(answer, int) and answer not in _GONE:
                raise device_error(name, answer, "read")
        return found

    def marked(self, prefix: str) -> list[Link]:
        """See :class:`vifd.drivers.Links`."""
        with self._lock:
            found = self._socket.dump(rtnl.ALL, settled=False)
        wanted = prefix.encode()
        links = (rtnl.link(payload) for payload in found if wanted in payload)
        return [link for link in links if link.alias.startswith(prefix)]

    def tap_problem(self) -> str:
        """See :class:`vifd.drivers.Links`."""
        return tap.problem()

    def create_taps(self, taps: Sequence[Tap]) -> Outcome:
        """See :class:`vifd.drivers.Links`.

        :raises ValueError: a name occurs twice
        """
        if len({wanted.name for wanted in taps}) != len(taps):
            raise ValueError("a name occurs twice in one batch of taps")
        outcome = self._at_home(self._create, taps)
        self._ipv6.note(made for made in outcome.values() if isinstance(made, Link))
        return outcome

    def set(
        self,
        name: str,
        *,
        mtu: int | None = None,
        mac: str | None = None,
        up: bool | None = None,
    ) -> Link:
        """See :class:`vifd.drivers.Links`."""
        if problem := refusal(name):
            raise DeviceError(stage="device", facts={"device": name, "problem": problem})
        with self._lock:
            if name not in self._get([name]):
                raise device_error(name, errno.ENODEV, "change")
            link = self._set(name, rtnl.set_link(name, mtu=mtu, mac=mac, up=up))
        if link is not None and link.ipv6 and link.alias.startswith(MARK):
            # An MTU that grows past 1280 brings IPv6 back.
            self._at_home(tap.ipv6_off, name)
            link = self.get([name]).get(name)
        if link is None:
            raise device_error(name, errno.ENODEV, "read")
        return link

    def remark(self, taps: Mapping[str, tuple[int, str]]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._lock:
            there = self._get(list(taps))
            for link in there.values():
                ifindex, alias = taps[link.name]
                if unmarked(link, ifindex, alias):
                    self._set(link.name, rtnl.set_link(link.name, alias=alias))
            for name in taps.keys() - there.keys():
                self._name_again(name, *taps[name])

    def unmark(self, devices: Mapping[str, tuple[int, str]]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._lock:
            for link in self._get(list(devices)).values():
                ifindex, alias = devices[link.name]
                if link.ifindex == ifindex and link.alias.startswith(MARK):
                    self._set(link.name, rtnl.set_link(link.name, alias=alias))

    def opened(self, name: str) -> bool:
        """See :class:`vifd.drivers.Links`."""
        link = self.get([name]).get(name)
        if link is None or link.kind != "tun":
            return False
        if link.carrier or link.queues or link.multi_queue:
            return link.carrier or bool(link.queues)
        try:
            return self._at_home(tap.opened, name)
        except OSError as error:
            raise device_error(name, error.errno or 0, "open") from error

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Links`."""
        with self._lock:
            self._delete(names)

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """See :class:`vifd.drivers.Links`."""
        if self._events is None:
            sockets = self._at_home(lambda _: open_sockets(), None)
            self._events = LinkEvents(sockets, self._name_of, self._ipv6.turned_on)
        self._events.add(callback)

    def _name_of(self, index: int) -> str:
        return self._at_home(_name, index)

    def _at_home(self, work: Callable[[A], R], argument: A) -> R:
        """Have something done in the namespace of these devices: by the caller's thread where that
        is in it, since each hand-over costs more than most of what is done there."""
        if self._namespace is not None and _namespace() == self._namespace:
            return work(argument)
        return self._worker.submit(work, argument).result()

    def close(self) -> None:
        """See :class:`vifd.drivers.Links`."""
        if self._events is not None:
            self._events.close()
        # who comes from now on is refused by the worker
        self._namespace = None
        self._worker.shutdown()
        with self._lock:
            self._socket.close()

    # With the lock.

    def _get(self, names: Sequence[str]) -> dict[str, Link]:
        return {n: link for n, link in self._answering(names).items() if link.name == n}

    def _answering(self, names: Sequence[str]) -> dict[str, Link]:
        """The devices that have these names, or answer to them as their altnames."""
        asked = [name for name in names if refusal(name) is None]
        found = {}
        answers = self._socket.ask([rtnl.get(name) for name in asked])
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, bytes):
                found[name] = rtnl.link(answer)
            elif answer not in _GONE:
                raise device_error(name, answer, "read")
        return found

    def _set(self, name: str, request: Message) -> Link | None:
        (answer,) = self._socket.ask([request])
        if answer:
            raise device_error(name, int(answer), "change")
        return self._get([name]).get(name)

    def _name_again(self, name: str, ifindex: int, alias: str) -> None:
        """A guest holds its device, not the name: another one by that name would be nobody's."""
        (answer,) = self._socket.ask([rtnl.get_by_index(ifindex)])
        if not isinstance(answer, bytes) or not renamed(rtnl.link(answer), ifindex, alias):
            return
        (failed,) = self._socket.ask([rtnl.rename(ifindex, name)])
        if failed == errno.EBUSY:
            other = rtnl.link(answer).name
            self._socket.ask([rtnl.set_link(other, up=False)])
            (failed,) = self._socket.ask([rtnl.rename(ifindex, name)])
            self._socket.ask([rtnl.set_link(other if failed else name, up=True)])
        if failed:
            raise device_error(name, int(failed), "rename back")

    def _delete(self, names: Sequence[str]) -> None:
        links = self._get(names).values()
        self._remove([link for link in links if link.alias.startswith(MARK)])
        foreign = [link for link in links if not link.alias.startswith(MARK)]
        if foreign:
            raise clash(foreign[0], others=[link.name for link in foreign[1:]])

    def _remove(self, links: Sequence[Link]) -> None:
        """Many go by one request: each removal alone waits 10 ms and more for the kernel."""
        if not links:
            return
        last = rtnl.delete(links[0].ifindex)
        if len(links) > 1:
            group = secrets.randbits(30) | 1 << 30
            marks = self._socket.ask([rtnl.set_group(link.ifindex, group) for link in links])
            for link, answer in zip(links, marks, strict=True):
                if answer and answer not in _GONE:
                    raise device_error(link.name, int(answer), "delete")
            last = rtnl.delete_group(group)
        (answer,) = self._socket.ask([last])
        if answer and answer not in _GONE:
            raise device_error(links[0].name, int(answer), "delete")

    # At home, with the lock from `_create` on.

    def _create(self, taps: Sequence[Tap]) -> Outcome:
        outcome: Outcome = {}
        for wanted in taps:
            if problem := complaint(wanted, None):
                outcome[wanted.name] = problem
        sound = [wanted for wanted in taps if wanted.name not in outcome]
        refused: dict[str, int] = {}
        with self._lock:
            # The kernel refuses a name that is taken, so nothing is read before.
            step = limits.room(_OPEN)
            for start in range(0, len(sound), step):
                self._make(sound[start : start + step], refused, outcome)
            self._adopt([wanted for wanted in sound if wanted.name in refused], refused, outcome)
            self._read_back([wanted for wanted in sound if wanted.name not in outcome], outcome)
            self._undo([t.name for t in sound if t.name not in refused], outcome)
        return outcome

    def _adopt(self, taps: Sequence[Tap], refused: Mapping[str, int], outcome: Outcome) -> None:
        """Bring taps of ours, that were there, to the wanted MAC, MTU and up."""
        there = self._answering([wanted.name for wanted in taps])
        ours = []
        for wanted in taps:
            link = there.get(wanted.name)
            if link is not None and link.name != wanted.name:
                outcome[wanted.name] = other_name(wanted.name, link)
            elif link is None:
                outcome[wanted.name] = device_error(wanted.name, refused[wanted.name], "create")
            elif problem := complaint(wanted, link):
                outcome[wanted.name] = problem
            elif link.ipv6 is False and unlike(wanted, link) is None:
                outcome[wanted.name] = link
            else:
                ours.append(wanted)
        changed = [t for t in ours if (there[t.name].mac, there[t.name].mtu) != (t.mac, t.mtu)]
        self._configure(changed, outcome, "change")
        for wanted in ours:
            self._ipv6_off(wanted, outcome)
        down = [t for t in ours if t.name not in outcome and not there[t.name].up]
        self._request(down, [rtnl.bring_up(wanted.name) for wanted in down], outcome, "bring up")

    def _make(self, taps: Sequence[Tap], refused: dict[str, int], outcome: Outcome) -> None:
        """Make taps, up and persistent; those the kernel refuses are noted with its error."""
        files: dict[str, int] = {}
        try:
            for wanted in taps:
                try:
                    files[wanted.name] = tap.create(wanted.name, multi_queue=wanted.multi_queue)
                except OSError as error:
                    refused[wanted.name] = error.errno or 0
            made = [wanted for wanted in taps if wanted.name in files]
            for wanted in made:
                self._ipv6_off(wanted, outcome)
            # A link event makes the switch reconfigure itself, so all settings and IFF_UP come in
            # one message; the kernel sets the alias first and the flag last.
            good = [wanted for wanted in made if wanted.name not in outcome]
            self._configure(good, outcome, "set up", up=True)
            for wanted in good:
                self._persist(wanted, files, outcome)
        finally:
            for file in files.values():
                os.close(file)

    def _configure(
        self, taps: Sequence[Tap], outcome: Outcome, doing: str, *, up: bool | None = None
    ) -> None:
        requests = [
            rtnl.set_link(
                t.name, mac=t.mac, mtu=t.mtu, alias=t.alias, up=up,
                promiscuous=bool(up) and t.promiscuous,
            )
            for t in taps
        ]  # fmt: skip
        self._request(taps, requests, outcome, doing)

    def _request(
        self, taps: Sequence[Tap], requests: Sequence[Message], outcome: Outcome, doing: str
    ) -> None:
        for wanted, answer in zip(taps, self._socket.ask(requests), strict=True):
            if answer:
                outcome[wanted.name] = device_error(wanted.name, int(answer), doing)

    @staticmethod
    def _ipv6_off(wanted: Tap, outcome: Outcome) -> None:
        if wanted.name in outcome:
            return
        try:
            tap.ipv6_off(wanted.name)
        except OSError as error:
            number = error.errno or 0
            outcome[wanted.name] = device_error(wanted.name, number, "turn IPv6 off on")

    @staticmethod
    def _persist(wanted: Tap, files: Mapping[str, int], outcome: Outcome) -> None:
        if wanted.name in outcome:
            return
        try:
            tap.persist(files[wanted.name], owner=wanted.owner, group=wanted.group)
        except OSError as error:
            outcome[wanted.name] = device_error(wanted.name, error.errno or 0, "keep")

    def _read_back(self, taps: Sequence[Tap], outcome: Outcome) -> None:
        """Compare what is there now with what was wanted."""
        found = self._get([wanted.name for wanted in taps])
        # A switch that waits for a device reads its flags, adds one and writes them: it may take a
        # device down that came up in between.
        down = [t for t in taps if t.name in found and not found[t.name].up]
        if down:
            self._request(down, [rtnl.bring_up(t.name) for t in down], outcome, "bring up")
            found |= self._get([wanted.name for wanted in down])
        for wanted in [t for t in taps if t.name not in outcome]:
            link = found.get(wanted.name)
            outcome[wanted.name] = (
                device_error(wanted.name, errno.ENODEV, "read")
                if link is None
                else unlike(wanted, link) or link
            )

    def _undo(self, made: Sequence[str], outcome: Mapping[str, Link | Exception]) -> None:
        """Remove those that were made to persist and failed after it."""
        failed = [name for name in made if isinstance(outcome[name], Exception)]
        if failed:
            self._remove([x for x in self._get(failed).values() if x.alias.startswith(MARK)])
