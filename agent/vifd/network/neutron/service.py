"""The threads between Neutron's server and the daemon.

One reports that this host is alive, and knows by that whether the server is there; one follows what
the server says. Neither is waited for by anything: with bus or server away for days the ports are
what the journal says.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vifd.engine import plan
from vifd.network import Inbox
from vifd.network.neutron import reporting
from vifd.network.neutron.bus import BY, Bus, Refused, Unanswered
from vifd.network.neutron.following import Following
from vifd.network.neutron.listening import Listening
from vifd.network.neutron.messages import AWAITED, READ, SETTLE, Message, Messages
from vifd.network.neutron.objects import SERVED, Plain
from vifd.network.neutron.prewire import NO, Prewiring
from vifd.network.neutron.server import REVIVED, Server
from vifd.network.neutron.standing import Standing
from vifd.network.neutron.teller import Teller
from vifd.network.neutron.tunnels import Tunnels
from vifd.network.neutron.versions import refuses
from vifd.safety.steady import Steady
from vifd.store import Outgoing

LOG = logging.getLogger(__name__)

#: Seconds to wait for a message before it is looked whether something else is due.
TURN = 0.25
#: Seconds between two looks at what waits here, and at what must be said again.
LOOK = 1.0
#: Seconds that what this host sends itself is given to come back, before everything is read.
ECHO = 1.0
#: Seconds after which a server is asked again for its versions that has not answered that.
AGREE_AGAIN = 30.0
#: Seconds that the switch is given to answer before this host is reported for the first time.
FIRST_LOOK = 0.1
#: What the service tells besides its objects.
TOPICS = (
    "q-agent-notifier-tunnel-update", "q-agent-notifier-tunnel-delete",
    "q-agent-notifier-l2population-update",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The options, read once.

    :param plugin: whose bridge is reported
    :param interval: seconds between two reports
    :param resync: seconds between two readings of everything; 0 for never
    """

    reported: reporting.Options
    plugin: str
    interval: float
    resync: float
    groups: bool = True
    gather: float = 0.0


class Service:
    """Both threads.

    :param make: gives the bus; may raise while there is none
    :param prewire: the option of that name, as it is now
    """

    def __init__(
        self, settings: Settings, inbox: Inbox, make: Callable[[], Bus],
        server: Callable[[Bus], Server], prewire: Callable[[], str] = lambda: NO,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._reported = settings.reported
        self._inbox = inbox
        self._make = make
        self._serve = server
        self._bus: Bus | None = None
        self._server: Server | None = None
        self._following: Following | None = None
        self._teller: Teller | None = None
        self._listening: Listening | None = None
        self.prewire = Prewiring(prewire, lambda: inbox.plugger)
        self._messages = Messages()
        self._stopping = threading.Event()
        #: there is something to report earlier than it is due
        self._hurry = threading.Event()
        #: the servers may be others by now
        self._anew = True
        #: whether what the server has was read since it was last away
        self._synchronised = False
        #: something may have been told under a topic that was not listened to when that was read
        self._deaf = False
        self._lost = False
        self._failures = 0
        self._next = 0.0
        self._read_at = self._looked_at = self._flushed_at = self._agree_at = 0.0
        self.standing = Standing(settings.plugin)
        self._reports = Steady(self._reporting, "neutron-reports")
        self._follows = Steady(self._following_loop, "neutron-follows")

    # --- life ---

    def start(self) -> None:
        self._reports.start()
        self._follows.start()

    def stop(self) -> None:
        """End; a call that is under way is not waited for."""
        self._stopping.set()
        self._hurry.set()
        bus, self._bus = self._bus, None
        if bus is not None:
            closing = threading.Thread(target=_close, args=(bus,), daemon=True)
            closing.start()
            closing.join(0.2)

    @property
    def problem(self) -> str:
        """Why nothing can be told or heard just now, and what next; empty while it can."""
        stranger = self._listening is not None and self._listening.echo.stranger
        return self.standing.problem(stranger=stranger)

    # --- reports ---

    def _reporting(self) -> None:
        started, read = False, False
        failures = 0
        while not self._stopping.is_set():
            pause = self._settings.interval
            unusable = reporting.unusable(self._inbox.plugins(), self._settings.plugin)
            self.standing.unusable = unusable
            if unusable:
                # what cannot be bound here shall not be; the server notices that nothing comes
                self._stopping.wait(FIRST_LOOK if not started else min(pause, 1.0))
                continue
            try:
                answer = self._report(started=started)
            except Exception as error:  # noqa: BLE001 - the bus raises anything
                failures += 1
                self._away(error, failures)
                pause = min(pause, plan.delay(failures, longest=30.0, jitter=random.random()))
            else:
                # a server that began after the report was sent does not take it
                started = started or bool(answer)
                if self._lost or failures or answer == REVIVED or not read:
                    read = self._anew = True
                    self._messages.read()
                if failures:
                    LOG.info("neutron: the server is back after %d attempts", failures)
                failures, self._lost = 0, False
                self.standing.answered()
                if not answer:
                    pause = min(pause, 1.0)
            self._hurry.wait(pause)
            self._hurry.clear()

    def _report(self, *, started: bool) -> str:
        """Say that this host is alive, and which versions it speaks where that is news."""
        server = self._connected()
        state, listening, versions = self._state(), self._listening, server.versions.chosen
        if not started:
            state = reporting.first(state)
        if listening is None or not listening.unsaid:
            return server.report(state)
        answer = server.report(reporting.speaking(state, versions))
        if answer:
            listening.said(versions)
        return answer

    def _state(self) -> Plain:
        settings, inbox = self._settings, self._inbox
        host = self._server.host if self._server else ""
        count = len(inbox.ports())
        return reporting.state(self._reported, host, inbox.plugins(), settings.plugin, count)

    def _connected(self) -> Server:
        """The server, once the bus is there and what it tells is heard."""
        if self._server is not None:
            return self._server
        bus = self._bus = self._make()
        server = self._serve(bus)
        self._listening = Listening(bus, server, TOPICS, self._messages.heard)
        settings, reported = self._settings, self._tunnelled()
        tunnels = Tunnels(
            server, self._inbox.sets, reported.tunnel_types, reported.local_ip,
            populated=reported.l2_population,
        )  # fmt: skip
        following = Following(
            server, self._inbox, tunnels, prewire=self.prewire.ahead, groups=settings.groups,
            gather=settings.gather,
        )  # fmt: skip
        self._teller, self._following = Teller(server, self._inbox, following), following
        self._server = server
        return server

    def _tunnelled(self) -> reporting.Options:
        """What is reported, with the tunnels that this host has."""
        plugin = self._settings.plugin
        self._reported, amiss = reporting.tunnelled(
            self._settings.reported, self._inbox.plugins(), plugin
        )
        if amiss:
            LOG.warning(
                "neutron: [network_neutron] %s: other hosts send frames where nobody takes them. "
                "Next: leave tunnel_types and local_ip there empty, so that they are those of [%s]",
                amiss, plugin,
            )  # fmt: skip
        return self._reported

    def _away(self, error: BaseException, failures: int) -> None:
        said = self._lose(error)
        level = logging.WARNING if failures in (1, 2, 4) or failures % 10 == 0 else logging.DEBUG
        LOG.log(
            level, "neutron: no answer (%s); attempt %d. Next: ports go on as they are; %s",
            said[:300], failures, self.standing.next,
        )  # fmt: skip

    def _lose(self, error: BaseException) -> str:
        """The server did not answer; the error in words."""
        self._lost = True
        return self.standing.lost(error)

    # --- what the server tells ---

    def reload(self) -> None:
        """The options may be others: what is said of ports is said anew."""
        self.prewire.look()
        self._messages.read()

    def awaited(self) -> None:
        """Somebody uses a port of which nothing was told: it is asked for after what waits."""
        self._messages.put(AWAITED)

    def _following_loop(self) -> None:
        while not self._stopping.is_set():
            message = self._messages.next(TURN)
            following = self._following
            if following is None:
                self._stopping.wait(0.02)
                continue
            try:
                self._turn(following, message)
            except Exception as error:  # noqa: BLE001 - the bus raises anything
                if self._stopping.is_set():
                    return
                self._failures += 1
                self.standing.unread = f"{type(error).__name__}: {error}"
                pause = plan.delay(self._failures, longest=30.0, jitter=random.random())
                LOG.warning("neutron: what the server has cannot be read (%s: %s); attempt %d, "
                            "again in %.0f s", type(error).__name__, str(error)[:300],
                            self._failures, pause)  # fmt: skip
                self._next = time.monotonic() + pause
                self._messages.anew.set()

    def _turn(self, following: Following, message: Message | None) -> None:
        now = time.monotonic()
        every = self._settings.resync
        if every and self._read_at and now - self._read_at >= every:
            self._messages.anew.set()
        if self._messages.anew.is_set():
            if now < self._next:
                return
            self._read_all(following)
        if message is not None:
            self._take(following, *message)
        # Also where messages never end.
        if self._synchronised and now - self._looked_at >= LOOK:
            self._looked_at = now
            self._look(following)
        if self._messages.empty() or now - self._flushed_at >= LOOK:
            # what many messages say of one set is said once
            self._flushed_at = now
            following.flush()

    def _look(self, following: Following) -> None:
        """See to what no message tells."""
        self.prewire.look()
        following.tunnels.settle()
        following.waiting()
        following.left_alone()
        following.finish()
        following.settle()
        self._agree(following)
        if self._teller is not None:
            self._teller.agree()
        if self._deaf and self._listening is not None:
            if self._listening.echo.complete():
                self._messages.anew.set()
            else:
                self._listening.echo.repeat()

    def _read_all(self, following: Following) -> None:
        """Read everything; the messages that wait come after it, and say nothing older."""
        began = time.monotonic()
        self._messages.anew.clear()
        self._synchronised = False
        self._deaf = self._listening is not None and not self._listening.call(ECHO)
        try:
            following.synchronise()
        except Refused as error:
            if self._listening is None or not refuses(error):
                raise
            self._listening.forget()
            self._hurry.set()
            following.synchronise()
        self._read_at = time.monotonic()
        self._failures, self._synchronised, self.standing.unread = 0, True, ""
        ports = following.cache.all("Port")
        if self._teller is not None:
            self._teller.ask_behind()
        LOG.info("neutron: %d ports are bound here; read in %.2f s", len(ports),
                 self._read_at - began)  # fmt: skip
        if self._deaf and self._listening is not None:
            LOG.info("neutron: what is told under %s is not heard yet. Next: everything is read "
                     "once more when it is", ", ".join(self._listening.echo.silent))  # fmt: skip
        self._inbox.notify()
        # also for versions: all are listened to until they are agreed on
        self._looked_at = self._agree_at = 0.0

    def _agree(self, following: Following) -> None:
        """Agree with the server on the versions of objects. One that is too busy to answer costs
        neither what was read of it nor what it tells meanwhile."""
        now = time.monotonic()
        if self._listening is None or now < self._agree_at:
            return
        anew, self._anew = self._anew, False
        try:
            others = self._listening.agree(following.cache.some(), anew=anew)
        except Unanswered as error:
            self._anew, self._agree_at = True, now + AGREE_AGAIN
            LOG.info("neutron: which versions the servers have is not known (%s). Next: asked "
                     "again in %.0f s; those of before are spoken until then", error,
                     AGREE_AGAIN)  # fmt: skip
            return
        except BaseException:
            self._anew = True
            raise
        if others:
            self._hurry.set()

    def _take(self, following: Following, method: str, arguments: Mapping[str, Any]) -> None:
        if method == AWAITED:
            following.waiting()
        elif method == "push":
            primitives = arguments.get("resource_list")
            kind, event = _kind(primitives), str(arguments.get("event_type"))
            following.push(kind, event, primitives, str(arguments.get(BY) or ""))
        elif method == SETTLE:
            following.settle()
        elif method != READ:
            following.tunnels.heard(method, arguments)

    # --- what the server is told ---

    def report(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """Tell statuses; those that were taken. Nothing is before the server was read: what it has
        already need not be said."""
        teller = self._teller
        if teller is None or not self._synchronised or self._lost:
            return []
        taken: list[Outgoing] = []
        try:
            taken.extend(teller.report(outgoing))
        except Exception as error:  # noqa: BLE001 - the bus raises anything
            # the next report that is answered has all of it told again
            self._lose(error)
            LOG.warning("neutron: statuses are not taken (%s: %s). Next: they wait until the "
                        "server answers", type(error).__name__, str(error)[:300])  # fmt: skip
        if self._following is not None and self._following.trunks.parents:
            # what became of a port may make a trunk work
            self._messages.put(SETTLE)
        return taken


def _kind(primitives: Any) -> str:
    """The type of the objects in a message: all are of one."""
    first = primitives[0] if isinstance(primitives, list) and primitives else {}
    kind = first.get("versioned_object.name", "") if isinstance(first, dict) else ""
    return kind if kind in SERVED else "Port"


def _close(bus: Bus) -> None:
    try:
        bus.close()
    except Exception as error:  # noqa: BLE001 - the process ends
        LOG.debug("neutron: the bus was not closed: %s", error)
