"""What the collector makes of sub-ports, whose flows alone bear our mark, and a journal that was
lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.trunks.test_daemon import OPTIONS, parent, port, status, sub_port
from support import oracle
from unit.docs import port_id
from vifd.testing.daemon import Options, Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

GREEDY: Options = {**OPTIONS, "garbage": {"grace": 0, "interval": 0}}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    """A daemon with a parent and two sub-ports."""
    with Vifd(tmp_path / "v", ovs, GREEDY) as daemon:
        plug(daemon)
        yield daemon
        daemon.clear()
        collected(daemon)
        assert orphans(daemon) == []


def plug(vifd: Vifd) -> None:
    for raw in (parent(1, (2, 101), (3, 102)), sub_port(2), sub_port(3, 8)):
        assert vifd.plug(raw)[0] in (200, 201)
    until(lambda: status(vifd, 1, 2, 3) == ["ACTIVE"] * 3, "all are there")


def known(vifd: Vifd) -> list[tuple[str, str]]:
    return [(p["id"], p["status"]) for p in vifd.get("/v1/ports")["ports"]]


def orphans(vifd: Vifd) -> list[Any]:
    return list(vifd.get("/v1/garbage?timeout=60")["orphans"])


def collected(vifd: Vifd) -> None:
    answer = vifd.call("POST", "/v1/garbage?timeout=60", {"force": True})
    assert answer[0] == 200, answer


def test_the_collector_leaves_what_has_a_record(ovs: PrivateOvs, vifd: Vifd) -> None:
    before = oracle.flow_ages(ovs)
    for end in (None, vifd.stop, vifd.kill):
        if end is not None:
            end()
            vifd.start()
            vifd.ready()
        assert orphans(vifd) == []
        collected(vifd)
        vifd.call("POST", "/v1/reconcile?timeout=60", {})
        after = oracle.flow_ages(ovs)
        assert after.keys() == before.keys()
        assert all(after[flow] >= before[flow] for flow in before)
    # nor where its parent is not there
    vifd.unplug(port_id(1))
    until(lambda: status(vifd, 2, 3) == ["DOWN", "DOWN"], "both wait")
    assert orphans(vifd) == []


def test_a_journal_that_was_lost(ovs: PrivateOvs, vifd: Vifd) -> None:
    before = {*oracle.flow_ages(ovs)}
    vifd.stop()
    for path in (vifd.directory / "state").glob("journal.db*"):
        path.unlink()
    vifd.start()
    vifd.ready()
    # the parent is known by its row, and passes as before; a sub-port has none, and is closed
    until(lambda: known(vifd) == [(port_id(1), "ACTIVE")], "the parent is there again",
          told=lambda: known(vifd))  # fmt: skip
    assert [s["status"] for s in port(vifd, 1)["trunk"]["sub_ports"]] == ["", ""]
    plug(vifd)
    collected(vifd)
    assert orphans(vifd) == []
    assert status(vifd, 1, 2, 3) == ["ACTIVE"] * 3
    assert len(oracle.flow_ages(ovs)) == len(before)
