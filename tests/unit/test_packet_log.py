"""What was left out of the log of packets is told, also where the file could not be written."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from unit.docs import port_id
from vifd.engine.metrics import Metrics
from vifd.engine.packetlog import PacketLog, Settings
from vifd.plugin.logged import Seen
from vifd.policy.rule import Direction
from vifd.store import Journal

PORT = port_id(1)


class Place:
    """Takes lines, unless its disk is full; and a plugin's limit."""

    def __init__(self) -> None:
        self.full = False
        self.lines: list[str] = []
        self.kept: dict[str, int] = {}

    def write(self, line: str) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append(line)

    def unlogged(self, ports: Collection[str]) -> Mapping[str, int]:
        return {port: count for port, count in self.kept.items() if port in ports}


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def log(tmp_path: Path, place: Place) -> Iterator[PacketLog]:
    """Nobody works on it but the test."""
    journal = Journal.open(tmp_path / "journal.db")
    made = PacketLog(
        journal, Metrics(), Settings(rate=1, burst=1), place.write, place.unlogged, lambda: 0.0
    )
    made.stop(0.0)
    yield made
    journal.close()


def flood(log: PacketLog, count: int) -> None:
    for _ in range(count):
        log.seen(Seen(PORT, Direction.INGRESS, False, b"", 60, lambda _packet, _groups: None))


def test_what_was_left_out_waits_for_room(
    log: PacketLog, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    flood(log, 5)
    place.full = True
    with caplog.at_level(logging.ERROR):
        log._tell(ask=True)
        log._tell(ask=True)
    assert len(caplog.records) == 1, "it is said once"
    assert "No space left" in caplog.text
    flood(log, 2)
    place.full = False
    log._tell(ask=True)
    assert place.lines == [f"action=LIMITED port={PORT} instance=- count=6 rate=1 burst=1"]
    log._tell(ask=True)
    assert len(place.lines) == 1, "it is told once"


def test_what_the_switch_kept_back_is_told_and_ports_that_went_are_forgotten(
    log: PacketLog, place: Place
) -> None:
    place.kept = {PORT: 40}
    flood(log, 1)
    log._tell(ask=True)
    assert "count=40 " in place.lines[0]
    assert not log._known, "the journal has no such port"
