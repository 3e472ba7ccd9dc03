"""The daemon: startup, run, shutdown."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from vifd import __version__
from vifd.api import server
from vifd.api.app import Api
from vifd.api.hub import Hub
from vifd.daemon import config, packetlogging, parts, scraping, systemd, tracing
from vifd.daemon.agent import Agent
from vifd.daemon.hostview import HostView
from vifd.daemon.rereading import Configuration
from vifd.daemon.startup import LOOK, Startup
from vifd.daemon.wiring import wire
from vifd.drivers import Drivers
from vifd.engine import Engine
from vifd.engine.garbage import options as garbage_options
from vifd.engine.garbage.collector import Collector
from vifd.engine.heartbeat import Heartbeat
from vifd.engine.hosting import Hosting
from vifd.engine.metrics import Metrics
from vifd.engine.packetlog import PacketLog
from vifd.engine.upgrade import installed
from vifd.engine.upgrade import options as upgrade_options
from vifd.engine.upgrade.guard import Guard
from vifd.engine.watcher import Watcher
from vifd.engine.worker import ledger
from vifd.explain.examiner import Examiner
from vifd.guests import Guests
from vifd.hypervisor.making import make as make_hypervisor
from vifd.migration.abandoned import Abandoned
from vifd.migration.arrivals import Arrivals, Departures
from vifd.migration.frames import FrameWatch, through_at_once
from vifd.migration.peers.peers import Here, Peers
from vifd.model import Role
from vifd.network.reporter import StatusReporter
from vifd.plugin import Host, VifPlugin, identity, registry, sources
from vifd.safety import steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

DriverFactory = Callable[[Any], tuple[Drivers, list[Callable[[], None]]]]

#: How long a stop may take, in seconds; systemd's own limit is longer.
GRACE = 10.0


class Daemon:
    """One vifd process.

    :param make: makes the drivers and says how to close them; a harness wraps them here
    """

    def __init__(self, conf: Any, make: DriverFactory | None = None) -> None:
        self._conf = conf
        self._configuration = Configuration(conf, parts.elsewhere)
        self._changeable = parts.Changeable.of(conf)
        self._started = time.monotonic()
        self._announced = False
        register = partial(config.register_source, conf)
        more = partial(sources.find, register)
        found = registry.discover(conf.plugins.enabled_plugins, more=more)
        self._demand(found)
        self._shared = config.share(conf, [f.cls for f in found if f.cls is not None])
        self._journal = Journal.open(Path(conf.state_path) / "journal.db")
        self._identity = identity.here(Path(conf.state_path))
        self._drivers, self._closers = (make or parts.local_drivers)(conf)
        metrics = Metrics()
        self._packets = self._make_packets(metrics)
        plugins, found = registry.build(found, self._make_plugin)
        self._demand(found)
        if conf.migration.guest_frames:
            _tell_deaf(plugins)
        self._engine = Engine(plugins, self._journal, metrics, parts.settings(conf))
        self._guard = Guard(
            self._engine, self._journal, upgrade_options.settings(conf.upgrade),
            installed.present(__version__, plugins),
        )  # fmt: skip
        self._service = parts.network_service(conf)
        self._reporter = StatusReporter(self._service, self._journal)
        self._hypervisor = make_hypervisor(conf.libvirt, self._journal)
        examiner = Examiner(
            self._engine, self._journal, self._reporter, self._hypervisor, self._guard.holds
        )
        self._guests = Guests(
            self._engine, self._journal, self._hypervisor, self._drivers.links,
            parts.start_policy(conf),
        )  # fmt: skip
        self._collector = Collector.of(
            self._engine, self._journal, self._hypervisor, garbage_options.settings(conf.garbage)
        )
        emulator = conf.capabilities.emulator
        self._host = HostView.of(
            self._engine, self._drivers, self._hypervisor, emulator, self._facts
        )
        self._agent = Agent(
            self._engine, self._journal, metrics, found, self._host, examiner, self._guests,
            self._collector, self._guard, reading=lambda: self._configuration.reading,
            budget=lambda: self._changeable.budget, peers=lambda: self._peers.problems(),
            service=lambda: (self._reporter.name, self._reporter.problem),
            ahead=lambda: self._reporter.ahead,
        )  # fmt: skip
        self._peers = self._make_peers()
        self._frames = FrameWatch(self._agent.migrations.passed, self._lets_through)
        self._arrivals = self._make_arrivals()
        self._hypervisor.on_life(self._arrivals.happened)
        self._hypervisor.subscribe(self._arrivals.changed)
        at = scraping.address(conf.api.metrics_address)
        self._scraping = scraping.Scraping(at, metrics.registry, self._agent.gauge)
        self._tracing = tracing.make(conf.tracing.endpoint)
        self._engine.lanes.trace(self._tracing)
        self._watcher = self._watching()
        # Without a network service what other programs plug is theirs alone.
        self._hosting = None if parts.settings(conf).alone else Hosting(self._engine, self._journal)
        self._heartbeat = Heartbeat(self._engine, self._journal, self._watcher.pulse_changed)
        self._journal.rebuilt = self._reassert
        wire(
            self._engine, self._agent, guard=self._guard, reporter=self._reporter, view=self._host,
            watcher=self._watcher,
        )  # fmt: skip

    def _open_for_guest(self, port_id: str, request_id: str) -> None:
        self._agent.set_role(port_id, Role.ACTIVE, request_id)

    def _close_for_guest(self, port_id: str, request_id: str) -> None:
        self._agent.set_role(port_id, Role.INACTIVE, request_id)

    def _announced_by(self, port_id: str) -> None:
        """Plugins call it, and may before the daemon is whole."""
        if self._engine.ready:
            self._arrivals.announced(port_id)

    def _unplug(self, port_id: str, request_id: str) -> None:
        self._agent.unplug([port_id], request_id)

    def _make_packets(self, metrics: Metrics) -> PacketLog:
        options = self._conf.packet_log
        return PacketLog(
            self._journal, metrics, packetlogging.settings(options), packetlogging.writer(options),
            lambda ports: packetlogging.unlogged(self._engine, self._journal, ports),
        )  # fmt: skip

    def _lets_through(self, port_id: str) -> bool:
        """Whether what a guest sends passes its port, as far as is known."""
        at_once = through_at_once(self._journal.get(port_id), self._engine.adverts)
        return at_once and self._agent.migrations.opened(port_id)

    def _make_peers(self) -> Peers:
        hypervisor = self._hypervisor
        here = Here(
            self._journal.get,
            lambda: hypervisor.interfaces().values() if hypervisor.connected() else None,
            self._open_for_guest, self._close_for_guest, self._agent.migrations.left,
        )  # fmt: skip
        return Peers(parts.peers(self._conf), here)

    def _make_arrivals(self) -> Arrivals:
        """Who acts on what the hypervisor says of guests that move."""
        hypervisor = self._hypervisor
        return Arrivals(
            self._agent.migrations, self._journal.records,
            lambda: hypervisor.interfaces().values(), lambda: hypervisor.guests().values(),
            self._open_for_guest,
            enabled=lambda: self._changeable.arrivals,
            departures=Departures(
                self._peers.say, self._engine.lanes.announce, self._close_for_guest
            ),
            abandoned=Abandoned(
                lambda: self._changeable.remove_failed, self._unplug, self._journal
            ),
            frames=self._frames, hears=hypervisor.connected,
        )  # fmt: skip

    def _watching(self) -> Watcher:
        """Its intervals are read each time, so that a reload changes them."""
        return Watcher(
            self._engine,
            self._journal,
            interval=lambda: self._changeable.check_interval,
            reassert=self._reassert,
            reassert_interval=lambda: self._changeable.reassert_interval,
        )

    def _demand(self, found: Sequence[registry.Found]) -> None:
        """In strict mode one refused plugin is one too many."""
        refused = [f.refusal for f in found if f.refusal is not None]
        if refused and self._conf.plugins.strict:
            raise refused[0]

    # --- startup, run, shutdown ---

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        hub = Hub()
        api = Api(hub, self._agent, self._changeable.policy)
        with _signals(hub, lambda: self._reload(api)), steady.watched():
            self._startup(hub, api)
            hub.run_until()
            self._shutdown()
        hub.close()

    def _startup(self, hub: Hub, api: Api) -> None:
        options = self._conf.api
        mode = int(options.socket_mode, 8)
        listener = server.listen(options.socket, mode, options.socket_group or None)
        self._server = server.Server(hub, api, listener)
        self._watcher.subscribe(self._drivers)
        self._guard.begin()
        self._engine.start(recover=self._journal.in_doubt, settled=self._switch_settled)
        self._watcher.start()
        if self._hosting is not None:
            self._hosting.subscribe(self._drivers)
            self._hosting.start()
        self._heartbeat.start()
        self._packets.begin()
        self._host.start()
        self._arrivals.start()
        self._peers.start()
        self._frames.start()
        self._guests.start()
        self._collector.start()
        self._reporter.start()
        self._service.start(self._agent)
        self._configuration.first()
        self._server.start()
        self._scraping.start()
        self._readiness = hub.every(0.02, self._announce)
        startup = Startup(lambda: len(self._engine.unsettled.ids))
        startup.look()
        self._progress = hub.every(LOOK, startup.look)
        period = systemd.watchdog_interval()
        if period:
            hub.every(period, self._feed)
        LOG.info(
            "vifd %s started in %.2f s: plugins %s; %d ports in the journal; API on %s",
            __version__, time.monotonic() - self._started,
            ", ".join(self._engine.plugins) or "none", len(self._journal.records()), options.socket,
        )  # fmt: skip

    def _feed(self) -> None:
        """Tell systemd that the daemon lives, unless a part of it does not: it is started anew."""
        lost = steady.stuck()
        if not lost:
            systemd.notify("WATCHDOG=1")
            return
        LOG.critical(
            "%s; the watchdog is not fed any more. Next: systemd starts vifd anew, ports stay as "
            "they are", "; ".join(lost),
        )  # fmt: skip

    def _announce(self) -> None:
        """Tell systemd once every port of the journal is proven or has its error."""
        if not self._announced and self._engine.ready and not self._guard.measuring:
            self._announced = True
            self._readiness.cancel()
            self._progress.cancel()
            systemd.notify("READY=1\nSTATUS=" + self._state())
            LOG.info("ready after %.2f s", time.monotonic() - self._started)
            # What start-up made stays: the collector need not walk it in the middle of a plug.
            gc.collect()
            gc.freeze()
            gc.enable()

    def _shutdown(self) -> None:
        """Let what runs end; every port stays as it is."""
        systemd.notify("STOPPING=1")
        LOG.info("stopping; ports stay as they are")
        self._engine.stopping = True
        self._scraping.stop()
        self._server.stop(GRACE / 2)
        self._guests.stop(1.0)
        self._arrivals.stop(1.0)
        self._peers.stop(1.0)
        self._frames.stop(0.5)
        self._host.stop(1.0)
        self._collector.stop(5.0)
        self._heartbeat.stop(0.1)
        self._agent.counting.stop(0.5)
        self._packets.stop(0.5)
        self._watcher.stop(1.0)
        if self._hosting is not None:
            self._hosting.stop(1.0)
        self._engine.stop(GRACE)
        # a call that is under way to a service that is away is not waited for
        self._service.stop()
        self._reporter.stop(0.3)
        if self._tracing is not None:
            self._tracing.stop()
        for close in reversed(self._closers):
            close()
        self._journal.close()
        LOG.info("stopped")

    # --- parts ---

    def _make_plugin(self, cls: type[VifPlugin]) -> VifPlugin:
        host = Host(
            drivers=self._drivers,
            ledger=lambda: ledger(self._journal),
            hostname=self._conf.host or os.uname().nodename,
            careful=lambda: self._guard.careful,
            identity=self._identity,
            sets=self._journal.sets,
            logs=self._packets.desk,
            announced=self._announced_by if self._conf.migration.guest_frames else None,
        )
        return cls(host, config.register_plugin(self._conf, cls, self._shared))

    def _switch_settled(self) -> bool:
        """Whether the database of the switch answers, or none is running here."""
        kind, _, path = self._conf.openvswitch.ovsdb_connection.partition(":")
        absent = kind == "unix" and not os.path.exists(path)
        return absent or self._drivers.ovsdb.connected()

    def _facts(self) -> dict[str, Any]:
        return {"openvswitch": self._drivers.ovsdb.facts(), "libvirt": self._hypervisor.facts()}

    def _reassert(self) -> None:
        if self._reporter.told:
            self._agent.reassert()
            self._reporter.notify()

    def _reload(self, api: Api) -> None:
        """SIGHUP: take what may change at run time; oslo.config names in the log what may not."""
        systemd.notify("RELOADING=1")
        new = self._configuration.again(self._judge)
        if new is not None:
            self._changeable = new
            api.policy = new.policy
            self._engine.configure(new.settings)
            self._collector.configure(new.garbage)
            self._service.reload()
        systemd.notify("READY=1\nSTATUS=" + self._state())

    def _judge(self, conf: Any) -> parts.Changeable:
        config.agree(conf, self._shared)
        return parts.Changeable.of(conf)

    def _state(self) -> str:
        """The line that "systemctl status" shows."""
        ports = f"{len(self._journal.records())} ports"
        problem = self._configuration.reading.problem
        return f"{ports}; the configuration cannot be used: {problem}" if problem else ports


def _tell_deaf(plugins: Mapping[str, VifPlugin]) -> None:
    """What the operator asked for has no effect with these."""
    deaf = sorted(name for name, plugin in plugins.items() if not plugin.listens)
    if deaf:
        LOG.warning(
            "[migration] guest_frames has no effect on ports of %s: what they stand on gives vifd "
            "no frame of a closed port. Next: nothing, if none of them migrates; else they are "
            "opened by libvirt's word, the source's agent, the network service or the API",
            ", ".join(deaf),
        )  # fmt: skip


@contextmanager
def _signals(hub: Hub, reload: Callable[[], None]) -> Iterator[None]:
    """The one place for signals: TERM and INT stop, HUP reloads; the old handlers come back."""

    def stop(number: int, _frame: object) -> None:
        LOG.info("got %s", signal.Signals(number).name)
        hub.stop()

    def again(_number: int, _frame: object) -> None:
        hub.call_soon(reload)

    wanted: Sequence[tuple[int, Any]] = (
        (signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, again),
    )  # fmt: skip
    old = [(number, signal.signal(number, handler)) for number, handler in wanted]
    try:
        yield
    finally:
        for number, handler in old:
            signal.signal(number, handler)
