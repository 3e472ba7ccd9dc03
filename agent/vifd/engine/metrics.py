"""What Prometheus may scrape of the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from vifd.model.counted import Count
from vifd.model.sets import SetKind

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Frames(Collector):
    """Frames of all ports by plugin, direction and what became of them: so many series however
    many ports there are. The sums are kept elsewhere, and only grow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.totals: Mapping[tuple[str, str, str], Count] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        labels = ["plugin", "direction", "result"]
        frames = CounterMetricFamily(
            "vifd_port_frames", "Frames of ports, by what became of them", labels=labels
        )
        octets = CounterMetricFamily(
            "vifd_port_bytes", "The bytes of these frames", labels=labels
        )  # fmt: skip
        for key, count in sorted(self.totals.items()):
            frames.add_metric(key, count.packets)
            octets.add_metric(key, count.bytes)
        yield frames
        yield octets


class Metrics:
    """The daemon's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        #: durations by plugin and step, as they were looked up
        self._steps: dict[tuple[str, str], Histogram] = {}
        self._of_ports(self.registry)
        self._frames = Frames(self.registry)
        self._of_sets(self.registry)
        self._of_garbage(self.registry)
        self._of_guests(self.registry)
        self._of_the_daemon(self.registry)

    def _of_ports(self, r: CollectorRegistry) -> None:
        """Ports on their way, by plugin; and what the network service has not taken yet."""
        self.plugs = Counter(
            "vifd_plugs", "Ports brought to their document, by outcome", ["plugin", "result"],
            registry=r,
        )  # fmt: skip
        self.unplugs = Counter(
            "vifd_unplugs", "Ports removed, by outcome", ["plugin", "result"], registry=r
        )
        self.step = Histogram(
            "vifd_step_seconds", "Duration of one step of one batch", ["plugin", "step"],
            buckets=_BUCKETS, registry=r,
        )  # fmt: skip
        self.batch = Histogram(
            "vifd_batch_ports", "Ports in one batch", ["plugin"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=r,
        )  # fmt: skip
        self.drift = Counter(
            "vifd_drift", "Findings on ports that had been clean", ["plugin", "fact"], registry=r
        )
        self.queue = Gauge("vifd_queue_ports", "Ports that wait for a lane", ["plugin"], registry=r)
        self.ports = Gauge("vifd_ports", "Ports of this host by phase", ["phase"], registry=r)
        self.outbox = Gauge(
            "vifd_outbox", "Statuses the network service has not acknowledged", registry=r
        )
        self.healthy = Gauge(
            "vifd_plugin_up", "1 where the plugin can work on this host now", ["plugin"],
            registry=r,
        )  # fmt: skip

    def _of_sets(self, r: CollectorRegistry) -> None:
        """Shared sets, and their changes on the way to the host."""
        self.refreshes = Counter(
            "vifd_refreshes", "Changes of shared sets brought to the host, by outcome",
            ["plugin", "result"], registry=r,
        )  # fmt: skip
        self.logged = Counter(
            "vifd_logged_packets", "Packets that logs of security groups are about, by outcome",
            ["result"], registry=r,
        )  # fmt: skip
        self.sets = Gauge("vifd_sets", "Shared sets by kind", ["kind"], registry=r)
        self.pieces = Gauge(
            "vifd_set_pieces", "Rules, members, addresses and endpoints of all shared sets",
            registry=r,
        )  # fmt: skip

    def _of_garbage(self, r: CollectorRegistry) -> None:
        """What bears our mark and belongs to no port."""
        self.orphans = Gauge(
            "vifd_orphans", "Marked objects on the host without a port in the journal", registry=r
        )
        self.garbage = Gauge(
            "vifd_orphans_by_state", "The same by where they are: seen, ripe, held, kept",
            ["state"], registry=r,
        )  # fmt: skip
        self.held_back = Gauge(
            "vifd_garbage_held_back",
            "Orphans that are not removed because they are more than may go without asking",
            registry=r,
        )
        self.collected = Counter(
            "vifd_garbage", "Orphans removed and put back", ["plugin", "result"], registry=r
        )

    def _of_guests(self, r: CollectorRegistry) -> None:
        """Guests, and their moves to this host."""
        self.hypervisor = Gauge("vifd_hypervisor_up", "1 where libvirt answers", registry=r)
        self.lost = Gauge(
            "vifd_guests_lost", "Ports whose running guest lost its device", registry=r
        )
        self.guests = Counter(
            "vifd_guest_actions", "Guests started at boot, prepared for, repaired, by outcome",
            ["action", "result"], registry=r,
        )  # fmt: skip
        self.opening = Histogram(
            "vifd_migration_opening_seconds",
            "From the first word that a guest has arrived until its port is open and announced",
            ["trigger"], buckets=_BUCKETS, registry=r,
        )  # fmt: skip
        self.added = Histogram(
            "vifd_migration_added_seconds",
            "How long a guest that arrived ran without its port", ["trigger"],
            buckets=(0, *_BUCKETS), registry=r,
        )  # fmt: skip
        self.gap = Histogram(
            "vifd_migration_gap_seconds",
            "From a guest's last frame on its old host to the first one here", ["trigger"],
            buckets=_BUCKETS, registry=r,
        )  # fmt: skip
        self.moved = Histogram(
            "vifd_backend_move_gap_seconds",
            "The longest time without a frame for its guest while a port changed its back end",
            buckets=_BUCKETS, registry=r,
        )  # fmt: skip
        self.migrations = Counter(
            "vifd_migrations", "Arrivals of guests at ports, by outcome", ["trigger", "result"],
            registry=r,
        )  # fmt: skip

    def _of_the_daemon(self, r: CollectorRegistry) -> None:
        """Its threads and its configuration."""
        self.threads = Gauge(
            "vifd_thread_failures", "How often a thread of the daemon was begun anew", ["thread"],
            registry=r,
        )  # fmt: skip
        self.config_good = Gauge(
            "vifd_config_last_reload_successful",
            "0 where the files of the configuration cannot be used and the one before is in force",
            registry=r,
        )  # fmt: skip
        self.config_at = Gauge(
            "vifd_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read", registry=r,
        )  # fmt: skip
        self.config_unknown = Gauge(
            "vifd_config_unknown_options",
            "Options and groups in the configuration that do not exist", registry=r,
        )  # fmt: skip

    def counted(self, totals: Mapping[tuple[str, str, str], Count]) -> None:
        """Bring the counters of frames up to date.

        :param totals: by plugin, direction, and what became of the frames
        """
        self._frames.totals = totals

    def configured(self, *, good: bool, at: float, unknown: int) -> None:
        """Bring the gauges of the configuration up to date.

        :param good: whether the files as they are now are in force
        :param at: when those in force were read, seconds since the epoch
        :param unknown: how many things stand in them that are no option
        """
        self.config_good.set(good)
        self.config_at.set(at)
        self.config_unknown.set(unknown)

    def shared(self, counts: Mapping[SetKind, int], pieces: int) -> None:
        """Bring the gauges of shared sets up to date."""
        for kind, number in counts.items():
            self.sets.labels(kind.value).set(number)
        self.pieces.set(pieces)

    @contextmanager
    def timed(
        self, plugin: str, step: str, spent: dict[str, float] | None = None
    ) -> Iterator[None]:
        """Observe the duration of a step, also into ``spent`` in seconds."""
        start = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - start
            observed = self._steps.get((plugin, step))
            if observed is None:
                observed = self._steps[plugin, step] = self.step.labels(plugin, step)
            observed.observe(seconds)
            if spent is not None:
                spent[step] = spent.get(step, 0.0) + seconds

    def render(self, refresh: Callable[[], None]) -> bytes:
        """The text exposition, with the gauges brought up to date."""
        refresh()
        return generate_latest(self.registry)
