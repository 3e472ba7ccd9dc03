"""The flow tables of Open vSwitch, over the management socket of each bridge.

One persistent connection per bridge, made when it is first needed. Calls block with a deadline and
may come from any native thread; calls for one bridge take turns.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence

from vifd.drivers import openflow_meters
from vifd.drivers.openflow_bundle import Changes, CommitLost, Refused, commit
from vifd.drivers.openflow_connection import Connection, ConnectionLost, VersionRefused
from vifd.drivers.openflow_errors import refused, unavailable, wrong_version
from vifd.drivers.openflow_link import Link, T, Work
from vifd.drivers.openflow_watch import Watcher
from vifd.openflow import counts, fragments, meters, portdesc
from vifd.openflow import message as msg
from vifd.openflow.counts import Dropped, Traffic
from vifd.openflow.flow import Flow
from vifd.openflow.message import EXACT, Message, Type
from vifd.openflow.meters import Meter
from vifd.openflow.monitor import Update
from vifd.openflow.packetin import PacketIn
from vifd.openflow.reading import Reading
from vifd.safety.steady import advance


class LocalOpenFlow:
    """:class:`vifd.drivers.OpenFlow` for real.

    :param rundir: where ovs-vswitchd keeps its sockets
    :param timeout: seconds that one call may take
    """

    def __init__(self, rundir: str = "/var/run/openvswitch", timeout: float = 10.0) -> None:
        self._rundir = rundir
        self._timeout = timeout
        self._watcher = Watcher()
        self._links: dict[str, Link] = {}
        #: what a switch has is the same for as long as it runs: it is asked once a connection
        self._most_meters: dict[str, tuple[Connection, int]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def apply(
        self,
        bridge: str,
        *,
        add: Sequence[Flow] = (),
        delete: Sequence[Flow] = (),
        delete_cookies: Sequence[tuple[int, int]] = (),
        read: Collection[int] = (),
    ) -> Reading:
        """Change flows, all or nothing; see :meth:`vifd.drivers.OpenFlow.apply`.

        :raises BackendError: the switch refused one; nothing was changed
        :raises BackendUnavailable: no connection. Nothing was changed, unless ``facts.outcome`` is
            ``unknown``: the connection broke while the switch was committing.
        """
        changes = Changes(delete_cookies, delete, add)
        if not changes:
            return Reading({}, "")
        reads = _Reads(read)

        def work(connection: Connection, deadline: float) -> list[Message]:
            more = reads.requests(connection) if read else b""
            return commit(connection, changes, deadline, more, reads.last)

        replies = self._run(bridge, work)
        return reads.reading(replies) if read else Reading({}, "")

    def dump(self, bridge: str, cookie: int, mask: int = EXACT) -> list[Flow]:
        """The flows with this cookie under this mask, in no particular order."""

        def ask(connection: Connection, deadline: float) -> list[Message]:
            xid = connection.xids(1)
            request = msg.flow_stats_request(xid, cookie, mask)
            return _answers(connection, request, xid, xid, deadline)

        # decoded outside of the lock: a large dump takes longer to decode than to fetch
        replies = self._run(bridge, ask)
        return [flow for reply in replies for flow in msg.flows(reply)]

    def dump_each(self, bridge: str, cookies: Sequence[int]) -> dict[int, list[Flow]]:
        """The flows of each of these cookies, in one exchange: the switch is waited for once."""
        return dict(self.read(bridge, cookies).flows) if cookies else {}

    def read(self, bridge: str, cookies: Sequence[int]) -> Reading:
        """The same, and how the bridge shows fragments."""
        reads = _Reads(cookies)

        def ask(connection: Connection, deadline: float) -> list[Message]:
            request = reads.requests(connection)
            return _answers(connection, request, reads.first, reads.last, deadline)

        return reads.reading(self._run(bridge, ask))

    def max_meters(self, bridge: str) -> int:
        """How many meters the bridge may have, 0 for none."""

        def ask(connection: Connection, deadline: float) -> int:
            asked, most = self._most_meters.get(bridge, (None, 0))
            if asked is not connection:
                xid, what = connection.xids(1), "meter features"
                found = _answers(connection, meters.request(xid), xid, xid, deadline, what)
                most = meters.most(found)
                self._most_meters[bridge] = connection, most
            return most

        return self._run(bridge, ask)

    def meters(self, bridge: str, numbers: Collection[int] | None = None) -> dict[int, Meter]:
        """The meters of the bridge with these numbers; all by default."""
        return self._run(bridge, lambda c, deadline: openflow_meters.read(c, numbers, deadline))

    def set_meters(
        self, bridge: str, wanted: Sequence[Meter] = (), *, delete: Sequence[int] = ()
    ) -> None:
        """Make or set meters, then remove some; see :meth:`vifd.drivers.OpenFlow.set_meters`."""
        if wanted or delete:
            self._run(bridge, lambda c, end: openflow_meters.change(c, wanted, delete, end))

    def traffic(self, bridge: str) -> dict[int, Traffic]:
        """What each port of the bridge counted."""

        def ask(connection: Connection, deadline: float) -> list[Message]:
            xid = connection.xids(1)
            request = counts.ports_request(xid)
            return _answers(connection, request, xid, xid, deadline, "port counters")

        return dict(found for reply in self._run(bridge, ask) for found in counts.ports(reply))

    def dropped(self, bridge: str, numbers: Collection[int]) -> dict[int, Dropped]:
        """What these meters dropped."""
        return self._run(bridge, lambda c, end: openflow_meters.dropped(c, numbers, end))

    def fragments(self, bridge: str) -> str:
        """How the bridge shows fragments to its flows."""

        return self._run(bridge, _config).mode

    def set_fragments(self, bridge: str, mode: str) -> None:
        """Change that."""

        def send(connection: Connection, deadline: float) -> None:
            wanted = _config(connection, deadline)._replace(mode=mode)
            xid = connection.xids(2)
            request = fragments.change(xid, wanted) + msg.barrier(xid + 1)
            _answers(connection, request, xid, xid + 1, deadline, f"fragments={mode}")

        self._run(bridge, send)

    def packet_out(self, bridge: str, frame: bytes, *, in_port: int, actions: bytes) -> None:
        """Send a frame through a list of actions, as if it had come in by ``in_port``."""

        def send(connection: Connection, deadline: float) -> None:
            xid = connection.xids(2)
            request = msg.packet_out(xid, frame, in_port, actions) + msg.barrier(xid + 1)
            for reply in connection.exchange(request, xid + 1, deadline):
                if reply.type == Type.ERROR and reply.xid in (xid, xid + 1):
                    raise Refused("packet out", msg.error(reply))

        self._run(bridge, send)

    def flush_zones(self, bridge: str, zones: Sequence[int]) -> None:
        """Forget every connection of these zones of connection tracking."""

        def send(connection: Connection, deadline: float) -> None:
            first = connection.xids(len(zones) + 1)
            last = first + len(zones)
            request = b"".join(msg.flush_zone(xid, zone) for xid, zone in enumerate(zones, first))
            _answers(connection, request + msg.barrier(last), first, last, deadline, "ct flush")

        if zones:
            self._run(bridge, send)

    def generation(self, bridge: str) -> int:
        """How often the connection to the bridge was lost so far. Flows that were applied at
        another generation than the present one may be gone."""
        with self._lock:
            link = self._links.get(bridge)
        return link.generation if link is not None else 0

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(bridge, connected)`` called whenever a connection comes or goes.

        It runs on the thread that minds the connections and must return at once.
        """
        self._watcher.subscribe(callback)

    def watch(self, callback: Callable[[str, Sequence[Update]], None]) -> None:
        """Have ``callback(bridge, updates)`` called when others change flows, as far as the switch
        tells, on the thread that minds the connections. To be called before the first connection is
        made: only then is the switch asked."""
        self._watcher.watch(callback)

    def watch_ports(self, callback: Callable[[str, str], None]) -> None:
        """Have ``callback(bridge, port)`` called when settings or state of a port change; like
        :meth:`watch`."""
        self._watcher.watch_ports(callback)

    def listen(self, callback: Callable[[str, PacketIn], None]) -> None:
        """Have ``callback(bridge, handed)`` called with each frame that a flow hands to
        :data:`vifd.openflow.packetin.IDENTITY`; like :meth:`watch`."""
        self._watcher.listen(callback)

    def port_flags(self, bridge: str) -> dict[str, frozenset[str]]:
        """What stops frames at each port of the bridge; see :meth:`vifd.drivers.OpenFlow`."""

        def ask(connection: Connection, deadline: float) -> list[Message]:
            xid = connection.xids(1)
            return _answers(connection, portdesc.request(xid), xid, xid, deadline, "port list")

        found = (d for reply in self._run(bridge, ask) for d in portdesc.descriptions(reply))
        return {description.name: description.flags for description in found}

    def forget(self, bridge: str) -> None:
        """Close the connection to a bridge that is gone, and make no new one."""
        with self._lock:
            link = self._links.pop(bridge, None)
            self._most_meters.pop(bridge, None)
        if link is not None:
            self._watcher.unmind(link)
            link.close()

    def close(self) -> None:
        """Close everything. The switch keeps its flows."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            bridges = list(self._links)
        for bridge in bridges:
            self.forget(bridge)
        self._watcher.close()

    def _link(self, bridge: str) -> Link:
        with self._lock:
            if self._closed:
                raise ConnectionLost("the driver is closed")
            link = self._links.get(bridge)
            if link is None:
                path = os.path.join(self._rundir, f"{bridge}.mgmt")
                link = self._links[bridge] = Link(bridge, path, self._watcher)
                self._watcher.mind(link)
            return link

    def _run(self, bridge: str, work: Work[T]) -> T:
        try:
            advance()
            return self._link(bridge).run(work, self._timeout)
        except Refused as no:
            raise refused(bridge, no.what, no.error.name, str(no)) from no
        except VersionRefused as no:
            raise wrong_version(bridge, str(no)) from no
        except ConnectionLost as lost:
            unknown = isinstance(lost, CommitLost)
            raise unavailable(bridge, str(lost), unknown=unknown) from lost


class _Reads:
    """The requests for flows by their cookies, and for how fragments are shown.

    :ivar first: the transaction id of the first
    :ivar last: that of the last, whose answer ends the exchange, and is never in parts
    """

    def __init__(self, cookies: Collection[int]) -> None:
        self._cookies = list(dict.fromkeys(cookies))
        self.first = self.last = 0

    def requests(self, connection: Connection) -> bytes:
        """All of them, for this connection."""
        self.first = connection.xids(len(self._cookies) + 1)
        self.last = self.first + len(self._cookies)
        requests = [
            msg.flow_stats_request(xid, cookie, EXACT)
            for xid, cookie in enumerate(self._cookies, self.first)
        ]
        return b"".join((*requests, fragments.request(self.last)))

    def reading(self, replies: Sequence[Message]) -> Reading:
        """What the answers say, nothing where one is a refusal; others are not looked at."""
        found: dict[int, list[Flow]] = {cookie: [] for cookie in self._cookies}
        mine = [reply for reply in replies if self.first <= reply.xid <= self.last]
        if any(reply.type == Type.ERROR for reply in mine):
            return Reading({}, "")
        for reply in mine:
            if reply.type != Type.GET_CONFIG_REPLY:
                found[self._cookies[reply.xid - self.first]] += msg.flows(reply)
        return Reading(found, fragments.config(mine).mode)


def _config(connection: Connection, deadline: float) -> fragments.Config:
    xid = connection.xids(1)
    request = fragments.request(xid)
    return fragments.config(_answers(connection, request, xid, xid, deadline, "configuration"))


def _answers(
    connection: Connection, request: bytes, first: int, last: int, deadline: float,
    what: str = "flow dump",
) -> list[Message]:  # fmt: skip
    """The parts of the multipart replies to the requests from ``first`` to ``last``."""
    replies = connection.exchange(request, last, deadline)
    mine = [reply for reply in replies if first <= reply.xid <= last]
    for reply in mine:
        if reply.type == Type.ERROR:
            raise Refused(what, msg.error(reply))
    return mine
