"""Ten guests that leave one host for the other at the same moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.moving import caller, wire
from support.moving.figures import Evidence
from support.moving.move import AFTER, BEFORE, Ears, completed, migrate
from support.moving.wire import Seen
from support.moving.world import Mover, World
from unit.docs import document, port_id
from vifd.testing.wait import PATIENCE, until

#: MiB of memory of each.
MEMORY = 80
#: The number of the first one: the third place has the address of an earlier one.
FIRST = 11
#: Seconds between two pings and between two lines of each.
PERIOD = "0.05"


class Guest:
    """One of them, and who talks with it: an address of its own at the third place."""

    def __init__(self, world: World, number: int) -> None:
        self.number, self._world = number, world
        self.mac = str(document(number)["port"]["mac_address"])
        self.device = f"tap{port_id(number)[:11]}"
        self._calls = f"10.0.0.{100 + number}"
        self._path = world.disk / f"heard{number}"
        self._reader = caller.Reader(self._path)
        vif = world.hosts[0].plug("ACTIVE", number)["vif"]
        self.machine = Mover(world.hosts[0].host, number, vif, self._calls)

    def start(self) -> None:
        """It and the talk with it; nobody waits."""
        xml = self.machine.xml()
        small = xml.replace(">96</memory>", f">{MEMORY}</memory>")
        self._world.hosts[0].connection.createXML(small, 0)
        self._world.third.space.command(["ip", "addr", "add", f"{self._calls}/24", "dev", "peer0"])
        self._world.third.talk(self._path, f"10.0.0.{self.number}", self._calls, PERIOD)

    @property
    def heard(self) -> caller.Heard:
        return self._reader.read()

    def settled(self, since: float) -> bool:
        """Whether its peer's lines arrive again, or never will."""
        heard = self.heard
        again = bool(heard.tcp) and heard.tcp[-1] > since + AFTER / 2
        return again or bool(heard.ends) or self.machine.gave_up

    def frames(self, path: Path) -> list[Seen]:
        """Those of its device, and those on the cable that are of it."""
        return [one for one in wire.read(path) if one.device == self.device
                or (one.device == "eth0" and self.mac in one[3:5])]  # fmt: skip


class Crowd:
    """All of them."""

    def __init__(self, world: World, size: int = 10) -> None:
        self._world = world
        self.guests = [Guest(world, number) for number in range(FIRST, FIRST + size)]

    def start(self) -> None:
        """Start them, and wait until each talks; a few cores take their time for that."""
        for guest in self.guests:
            guest.start()
        for guest in self.guests:
            until(lambda g=guest: len(g.heard.tcp) > 20, "it talks", 8 * PATIENCE)  # type: ignore[misc]

    def move(self) -> list[Evidence]:
        """All at once; one piece of evidence for each."""
        source, target = self._world.hosts
        for guest in self.guests:
            target.plug("INACTIVE", guest.number)
        for host in (source, target):
            host.write_down("eth0", *(guest.device for guest in self.guests))
        until(lambda: [*source.vifd.get("/v1/status")["peers"].values()] == [""], "peers hear")
        with Ears(self._world.hosts).listening() as ears:
            began = time.time()
            with ThreadPoolExecutor(len(self.guests)) as movers:
                stats = list(movers.map(self._one, self.guests))
            for guest in self.guests:
                until(lambda g=guest: target.port(g.number)["phase"] == "LIVE",  # type: ignore[misc]
                      "the port is open there", 2 * PATIENCE)  # fmt: skip
        closed = {}
        for guest in self.guests:
            source.call("deactivate", guest.number)
            closed[guest.number] = time.time()
        since = time.time()
        until(lambda: time.time() > since + AFTER and all(g.settled(since) for g in self.guests),
              "they are talked with", 3 * PATIENCE)  # fmt: skip
        found = [self._seen(g, ears, began, closed[g.number], s)
                 for g, s in zip(self.guests, stats, strict=True)]  # fmt: skip
        for guest in self.guests:
            status, answer = source.vifd.unplug(port_id(guest.number))
            assert status in (200, 204), answer
        return found

    def _one(self, guest: Guest) -> dict[str, Any]:
        source, target = self._world.hosts
        connection = source.host.connection()
        try:
            return completed(migrate(source, target, number=guest.number, connection=connection))
        finally:
            connection.close()

    def _seen(
        self, guest: Guest, ears: Ears, began: float, closed: float, stats: dict[str, Any]
    ) -> Evidence:  # fmt: skip
        source, target = self._world.hosts
        heard, number = guest.heard, guest.number
        known = [m for m in target.vifd.get("/v1/migrations")["migrations"]
                 if m["port"] == port_id(number)]  # fmt: skip
        return Evidence(
            how=f"source, {len(self.guests)} at once", kind=self._world.kind, postcopy=False,
            began=began, ended=time.time(), source=source.number, downtime=stats.get("downtime"),
            suspended=ears.at(source.number, "suspended: migrated", number=number),
            resumed=ears.at(target.number, "resumed: migrated", number=number),
            migration=known[-1] if known else None, closed=closed,
            pings={n: at for n, at in heard.sent.items() if at > began - BEFORE},
            answers=[(n, at) for n, at in heard.answers if at > began - BEFORE],
            taken=[at for at in heard.tcp if at > began - BEFORE],
            ends=[end for end in heard.ends if end[0] > began],
            there=guest.frames(target.seen), here=guest.frames(source.seen),
            dead=guest.machine.gave_up, mac=guest.mac,
        )  # fmt: skip


def moved_at_once(world: World, size: int = 10) -> Iterator[Evidence]:
    """Start them, and move them."""
    crowd = Crowd(world, size)
    crowd.start()
    yield from crowd.move()
