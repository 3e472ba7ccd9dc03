"""One migration of the guest, and everything that was seen of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from support.moving import wire
from support.moving.figures import Evidence
from support.moving.world import SUB_PORT, MovingHost, World, of_guest
from unit.docs import port_id
from vifd.hypervisor import library
from vifd.testing.wait import PATIENCE, until

TAP = "tap00000001-00"
#: Seconds of talk before and after a migration that are looked at.
BEFORE, AFTER = 1.0, 3.0


@dataclass
class Word:
    """What libvirt said of a guest on a host."""

    host: int
    what: str
    at: float
    guest: str


@dataclass
class Ears:
    """Listens to both libvirts.

    :ivar words: in the order in which they came
    """

    hosts: list[MovingHost]
    words: list[Word] = field(default_factory=list)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Ears]:
        """For as long as it lasts."""
        libvirt = library.load()
        ends = []
        try:
            for host in self.hosts:
                connection = host.host.connection()
                heard = partial(self._hear, host.number)
                ends.append(library.Subscription(
                    libvirt, connection, lambda _guest: None, lambda: None, heard
                ))  # fmt: skip
            yield self
        finally:
            for one in ends:
                one.end()

    def _hear(self, host: int, guest: str, what: str) -> None:
        self.words.append(Word(host, what, time.time(), guest))

    def at(self, host: int, *kinds: str, since: float = 0.0, number: int = 1) -> float | None:
        """When a host's libvirt first said one of these of a guest."""
        return next((w.at for w in self.words if w.host == host and w.what in kinds
                     and w.at >= since and w.guest == of_guest(number)), None)  # fmt: skip


def migrate(
    source: MovingHost,
    target: MovingHost,
    *,
    postcopy: bool = False,
    number: int = 1,
    slowly: bool = False,
    connection: Any = None,
) -> Any:
    """Have libvirt move a guest as nova does, and wait for it; the domain where it is then.

    :param slowly: so that it takes minutes, and can be disturbed
    :param connection: to the source's libvirt, where several move at once: one takes five calls
    """
    import libvirt

    domain = (connection or source.connection).lookupByUUIDString(of_guest(number))
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
    uri = f"qemu+unix:///system?socket={target.host.libvirt_socket}"
    where: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{target.aside}"}
    if slowly:
        where[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = 1
    if postcopy:
        flags |= libvirt.VIR_MIGRATE_POSTCOPY
        threading.Thread(target=_switch, args=(source, number), daemon=True).start()
    domain.migrateToURI3(uri, where, flags)
    return target.connection.lookupByUUIDString(of_guest(number))


def _switch(source: MovingHost, number: int) -> None:
    """Have the guest go on there as soon as that can be asked for."""
    import libvirt

    connection = source.host.connection()
    domain = connection.lookupByUUIDString(of_guest(number))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(libvirt.libvirtError):
            domain.migrateStartPostCopy(0)
            break
        time.sleep(0.02)
    connection.close()


class Mover:
    """Moves the guest to and fro.

    :param how: ``open``: the port was never closed there; ``source``: opened on the word of the
        source's agent; ``destination``: when libvirt there says that the guest runs
    """

    def __init__(self, world: World, how: str, *, postcopy: bool = False) -> None:
        self._world, self._how, self._postcopy = world, how, postcopy
        self.source, self.target = world.hosts

    def move(
        self,
        prepare: Callable[[MovingHost, MovingHost], None] | None = None,
        bound: Callable[[], None] = lambda: None,
    ) -> Evidence:
        """One migration; afterwards the hosts have changed places.

        :param prepare: called when the port there is ready
        :param bound: called when the port is open there: its binding is the active one
        """
        source, target = self.source, self.target
        target.plug("ACTIVE" if self._how == "open" else "INACTIVE")
        if prepare is not None:
            prepare(source, target)
        if self._how == "source":
            until(lambda: [*source.vifd.get("/v1/status")["peers"].values()] == [""],
                  "the agents are connected")  # fmt: skip
        for host in (source, target):
            host.write_down("eth0", TAP)
        talked = len(self._world.third.listening().answers)
        until(lambda: len(self._world.third.listening().answers) > talked + BEFORE * 100, "talk")
        with Ears(self._world.hosts).listening() as ears:
            began = time.time()
            domain = migrate(source, target, postcopy=self._postcopy)
            until(lambda: target.port()["phase"] == "LIVE", "the port is open there")
            found = self._found(ears, began, domain)
        bound()
        source.call("deactivate")
        closed = time.time()
        self._wait(closed)
        self._clean(source)
        self.source, self.target = target, source
        return found(closed)

    def _wait(self, since: float) -> None:
        """Until the guest was talked with long enough, and its peer's lines arrive again: what was
        lost is sent anew after a pause that doubles. A dead guest takes none."""

        def done() -> bool:
            if time.time() < since + AFTER:
                return False
            heard = self._world.third.listening()
            late = time.time() > since + PATIENCE
            return late or bool(heard.ends) or self._taken(heard.tcp, since)

        until(done, "the guest is talked with", 2 * PATIENCE)

    def _taken(self, taken: list[float], since: float) -> bool:
        return self._world.machine.gave_up or bool(taken and taken[-1] > since + AFTER / 2)

    def _found(
        self, ears: Ears, began: float, domain: Any
    ) -> Callable[[float], Evidence]:  # fmt: skip
        source, target = self.source, self.target
        stats = completed(domain)

        def collect(closed: float) -> Evidence:
            heard = self._world.third.listening()
            known = [m for m in target.vifd.get("/v1/migrations")["migrations"]
                     if m["began"] > began]  # fmt: skip
            return Evidence(
                how=self._how, kind=self._world.kind, postcopy=self._postcopy, began=began,
                ended=time.time(), source=source.number, downtime=stats.get("downtime"),
                suspended=ears.at(source.number, "suspended: migrated", "suspended: postcopy",
                                  since=began),
                resumed=ears.at(target.number, "resumed: migrated", "resumed: postcopy",
                                since=began),
                migration=known[-1] if known else None, closed=closed,
                pings={n: at for n, at in heard.sent.items() if at > began - BEFORE},
                answers=[(n, at) for n, at in heard.answers if at > began - BEFORE],
                taken=[at for at in heard.tcp if at > began - BEFORE],
                ends=[end for end in heard.ends if end[0] > began],
                there=list(wire.read(target.seen)), here=list(wire.read(source.seen)),
                dead=self._world.machine.gave_up,
            )  # fmt: skip

        return collect

    def _clean(self, host: MovingHost) -> None:
        """Unplug, and see that nothing is left."""
        for number in (1, SUB_PORT) if self._world.trunk else (1,):
            status, answer = host.vifd.unplug(port_id(number))
            assert status in (200, 204), answer
        assert TAP not in host.host.run("ip", "-brief", "link")
        assert TAP not in host.ovs.vsctl("list-ports", "br-int")


def completed(domain: Any) -> dict[str, Any]:
    """What libvirt knows of the job that has ended."""
    import libvirt

    with contextlib.suppress(libvirt.libvirtError):
        found: dict[str, Any] = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        return found
    return {}
