"""Network devices of the kernel: taps by ioctl, everything else by rtnetlink."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from vifd.drivers import MARK, Link, Tap, rtnl, tap
from vifd.drivers.linkevents import LinkEvents, open_socket
from vifd.drivers.linkrules import clash, complaint, refusal, unlike
from vifd.errors import DeviceError, NameClash, PrivilegeMissing, VifError

_GONE = (errno.ENODEV, errno.ENXIO)
_DENIED = (errno.EPERM, errno.EACCES, errno.EROFS)
#: So many files are open at once while taps are made.
_OPEN = 128

Outcome = dict[str, Link | Exception]


def device_error(name: str, number: int, doing: str) -> VifError:
    """The coded error for an error number of the kernel."""
    problem = f"cannot {doing}: {os.strerror(number)}"
    facts = {"device": name, "problem": problem, "errno": errno.errorcode.get(number, str(number))}
    if number in _DENIED:
        return PrivilegeMissing(stage="device", facts={**facts, "action": f"{doing} {name}"})
    if number in (errno.EEXIST, errno.EBUSY):
        have = "it appeared meanwhile, or another process holds it"
        return NameClash(stage="device", facts={"kind": "device", "name": name, "have": have})
    if number in (*_GONE, errno.ENOENT) and not os.path.exists(tap.TUN):
        facts["problem"] = f"cannot {doing}: {tap.TUN} is missing"
        return DeviceError(stage="device", facts=facts, hint="load the kernel module tun")
    return DeviceError(stage="device", facts=facts)


class Links:
    """The devices of the network namespace of the thread that constructs this.

    All work is done on one worker thread, which stays in that namespace whatever the callers'
    threads do. Works as root, with CAP_NET_ADMIN alone, and as root of a user namespace.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "links")
        self._events: LinkEvents | None = None
        try:
            self._socket = self._worker.submit(rtnl.LinkSocket).result()
        except BaseException:
            self._worker.shutdown()
            raise

    # The calls, made on the worker.

    def get(self, names: Sequence[str]) -> dict[str, Link]:
        """See :class:`vifd.drivers.Links`."""
        return self._worker.submit(self._get, names).result()

    def marked(self, prefix: str) -> list[Link]:
        """See :class:`vifd.drivers.Links`."""
        return self._worker.submit(self._marked, prefix).result()

    def create_taps(self, taps: Sequence[Tap]) -> Outcome:
        """See :class:`vifd.drivers.Links`.

        :raises ValueError: a name occurs twice
        """
        if len({wanted.name for wanted in taps}) != len(taps):
            raise ValueError("a name occurs twice in one batch of taps")
        return self._worker.submit(self._create, taps).result()

    def set(
        self,
        name: str,
        *,
        mtu: int | None = None,
        mac: str | None = None,
        up: bool | None = None,
    ) -> Link:
        """See :class:`vifd.drivers.Links`."""
        request = rtnl.set_link(name, mtu=mtu, mac=mac, up=up)
        return self._worker.submit(self._set, name, request).result()

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Links`."""
        self._worker.submit(self._delete, names).result()

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """See :class:`vifd.drivers.Links`."""
        if self._events is None:
            self._events = LinkEvents(self._worker.submit(open_socket).result())
        self._events.add(callback)

    def close(self) -> None:
        """See :class:`vifd.drivers.Links`."""
        if self._events is not None:
            self._events.close()
        self._worker.shutdown()
        self._socket.close()

    # What the worker does.

    def _get(self, names: Sequence[str]) -> dict[str, Link]:
        asked = [name for name in names if refusal(name) is None]
        found = {}
        answers = self._socket.talk([rtnl.get(name) for name in asked])
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, bytes):
                found[name] = rtnl.link(answer)
            elif answer not in _GONE:
                raise device_error(name, answer, "read")
        return found

    def _marked(self, prefix: str) -> list[Link]:
        wanted = prefix.encode()
        links = (rtnl.link(message) for message in self._socket.dump() if wanted in message)
        return [link for link in links if link.alias.startswith(prefix)]

    def _set(self, name: str, request: rtnl.Request) -> Link:
        if problem := refusal(name):
            raise DeviceError(stage="device", facts={"device": name, "problem": problem})
        (answer,) = self._socket.talk([request])
        if answer:
            raise device_error(name, int(answer), "change")
        link = self._get([name]).get(name)
        if link is not None and link.ipv6 and link.alias.startswith(MARK):
            # An MTU that grows past 1280 brings IPv6 back.
            tap.ipv6_off(name)
            link = self._get([name]).get(name)
        if link is None:
            raise device_error(name, errno.ENODEV, "read")
        return link

    def _create(self, taps: Sequence[Tap]) -> Outcome:
        outcome: Outcome = {}
        there = self._get([wanted.name for wanted in taps])
        ready, fresh = [], []
        for wanted in taps:
            problem = complaint(wanted, there.get(wanted.name))
            if problem is not None:
                outcome[wanted.name] = problem
            elif wanted.name in there:
                ready.append(wanted)
            else:
                fresh.append(wanted)
        self._adopt(ready, there, outcome)
        for start in range(0, len(fresh), _OPEN):
            ready += self._make(fresh[start : start + _OPEN], outcome)
        self._raise(ready, there, outcome)
        self._undo([wanted.name for wanted in fresh], outcome)
        return outcome

    def _adopt(self, taps: Sequence[Tap], there: Mapping[str, Link], outcome: Outcome) -> None:
        """Bring taps of ours to the wanted MAC and MTU."""
        changed = [t for t in taps if (there[t.name].mac, there[t.name].mtu) != (t.mac, t.mtu)]
        self._configure(changed, outcome, "change")
        for wanted in taps:
            self._ipv6_off(wanted, outcome)

    def _make(self, taps: Sequence[Tap], outcome: Outcome) -> list[Tap]:
        """Make taps up to the point where only IFF_UP is missing."""
        files: dict[str, int] = {}
        try:
            for wanted in taps:
                try:
                    files[wanted.name] = tap.create(wanted.name, multi_queue=wanted.multi_queue)
                except OSError as error:
                    outcome[wanted.name] = device_error(wanted.name, error.errno or 0, "create")
            # A link event makes the switch reconfigure itself, so all settings come in one message.
            self._configure([t for t in taps if t.name in files], outcome, "set up")
            for wanted in taps:
                self._ipv6_off(wanted, outcome)
                self._persist(wanted, files, outcome)
        finally:
            for file in files.values():
                os.close(file)
        return [wanted for wanted in taps if wanted.name not in outcome]

    def _configure(self, taps: Sequence[Tap], outcome: Outcome, doing: str) -> None:
        requests = [rtnl.set_link(t.name, mac=t.mac, mtu=t.mtu, alias=t.alias) for t in taps]
        for wanted, answer in zip(taps, self._socket.talk(requests), strict=True):
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

    def _raise(self, taps: Sequence[Tap], there: Mapping[str, Link], outcome: Outcome) -> None:
        """Set IFF_UP where it is missing, read everything back and compare."""
        taps = [wanted for wanted in taps if wanted.name not in outcome]
        down = [t for t in taps if t.name not in there or not there[t.name].up]
        requests = [rtnl.set_link(wanted.name, up=True) for wanted in down]
        for wanted, answer in zip(down, self._socket.talk(requests), strict=True):
            if answer:
                outcome[wanted.name] = device_error(wanted.name, int(answer), "bring up")
        found = self._get([wanted.name for wanted in taps])
        for wanted in taps:
            if wanted.name in outcome:
                continue
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
            marks = self._socket.talk([rtnl.set_group(link.ifindex, group) for link in links])
            for link, answer in zip(links, marks, strict=True):
                if answer and answer not in _GONE:
                    raise device_error(link.name, int(answer), "delete")
            last = rtnl.delete_group(group)
        (answer,) = self._socket.talk([last])
        if answer and answer not in _GONE:
            raise device_error(links[0].name, int(answer), "delete")
