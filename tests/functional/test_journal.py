"""The whole daemon on a disk that fills up, fails, vanishes or forgets: what cannot be written is
not done, what stands goes on passing traffic, and when the disk is back so is everything else."""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functional import mounts
from functional.test_daemon import FAST, all_live, flow_ages, guests_of, hello, phases
from unit.docs import document, port_id
from vifd import main
from vifd.testing import netns
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The daemon's state directory, with little room."""
    with mounts.small(tmp_path / "v" / "state", 1024) as directory:
        yield directory


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, state: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, FAST)
    daemon.start()
    daemon.ready()
    yield daemon
    answers = {port: daemon.unplug(port) for port in phases(daemon)}
    daemon.close()
    assert all(status in (200, 204) for status, _ in answers.values()), answers


def no_space(vifd: Vifd, state: Path) -> Callable[[], None]:
    return mounts.fill(state).unlink


def io_error(vifd: Vifd, state: Path) -> Callable[[], None]:
    """Writing fails although there is room: what a dying disk answers."""
    pid = vifd.process.pid
    assert pid is not None
    free = resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, free))

    def end() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (free, free))

    return end


@pytest.mark.parametrize("trouble", [no_space, io_error])
def test_what_cannot_be_written_is_not_done_and_goes_on_when_it_can(
    ovs: PrivateOvs, vifd: Vifd, state: Path, trouble: Callable[[Vifd, Path], Callable[[], None]]
) -> None:
    for number in (1, 2):
        assert vifd.plug(document(number))[0] == 201
    ages = flow_ages(ovs)
    end = trouble(vifd, state)
    devices = set(netns.links())
    status, error = vifd.plug(document(3))
    assert (status, error["code"]) == (503, "E_REC_STORE")
    assert error["retryable"]
    assert str(state) in error["message"]
    assert set(netns.links()) == devices, "nothing was made"
    status, error = vifd.unplug(port_id(1))
    assert (status, error["code"]) == (503, "E_REC_STORE")
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))
    young = {k: age for k, age in flow_ages(ovs).items() if k not in ages or age < ages[k]}
    assert not young, "no flow was touched"
    # What is repaired must be written down as well: it waits, and goes on by itself.
    ovs.vsctl("clear", "port", f"tap{port_id(2)[:11]}", "tag")
    until(lambda: vifd.log.count("recording [-] E_REC_STORE") > 2, "the repair met it as well")
    assert str(state) in vifd.get("/v1/status")["journal_problem"]
    assert "repairing it" not in vifd.log, "nothing is, so far"
    end()
    assert vifd.plug(document(3))[0] == 201
    until(lambda: all_live(vifd, 3), "the repair went on by itself")
    assert vifd.get("/v1/status")["journal_problem"] is None
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))
    until(lambda: "Next: free space" in vifd.log, "the log says what to do")


def test_a_read_only_file_system_at_start_is_said_and_leaves_traffic_alone(
    ovs: PrivateOvs, vifd: Vifd, state: Path
) -> None:
    for number in (1, 2):
        vifd.plug(document(number))
    ages = flow_ages(ovs)
    vifd.stop()
    mounts.readonly(state, on=True)
    done = subprocess.run(vifd.process.argv, env=vifd.process.env, capture_output=True, timeout=60)
    said = done.stderr.decode()
    assert done.returncode == main.EXIT_JOURNAL
    assert "E_REC_STORE" in said
    assert "Read-only file system" in said
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))
    mounts.readonly(state, on=False)
    vifd.start()
    vifd.ready()
    assert all_live(vifd, 2)
    assert all(age >= ages[flow] for flow, age in flow_ages(ovs).items())


def test_a_journal_that_is_removed_under_the_daemon_is_written_anew(
    ovs: PrivateOvs, vifd: Vifd, state: Path
) -> None:
    vifd.plug(document(1))
    for file in state.iterdir():
        file.unlink()
    assert vifd.plug(document(2))[0] == 201
    until(lambda: "writing it anew from memory" in vifd.log, "it is said")
    ages = flow_ages(ovs)
    vifd.kill()
    vifd.start()
    vifd.ready()
    assert all_live(vifd, 2)
    assert all(age >= ages[flow] for flow, age in flow_ages(ovs).items())


def test_a_log_that_was_cut_brings_every_port_back(
    ovs: PrivateOvs, vifd: Vifd, state: Path
) -> None:
    """Power cuts that took more and more: the rest is read from the host."""
    seed = random.randrange(2**32) if os.environ.get("VIFD_SEED") == "random" else 7
    chance = random.Random(seed)
    for number in range(1, 5):
        vifd.plug(document(number))
    for turn in range(2):
        vifd.kill()
        log = state / "journal.db-wal"
        raw = bytearray(log.read_bytes())
        at = chance.randrange(len(raw)) if turn else 40
        raw[at : at + 64] = chance.randbytes(len(raw[at : at + 64]))
        log.write_bytes(raw)
        vifd.start()
        vifd.ready()
        until(lambda: all_live(vifd, 4), f"every port is back (seed {seed}, turn {turn})")
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))


def test_a_copy_of_an_old_journal_is_brought_up_to_the_host(
    ovs: PrivateOvs, vifd: Vifd, state: Path
) -> None:
    """Somebody restored a backup: ports that it knows not are orphans, and none is lost."""
    vifd.plug(document(1))
    vifd.stop()
    backup = (state / "journal.db").read_bytes()
    vifd.start()
    vifd.ready()
    vifd.plug(document(2))
    vifd.kill()
    (state / "journal.db").write_bytes(backup)
    vifd.start()
    vifd.ready()
    answer: dict[str, Any] = vifd.get("/v1/status")
    assert answer["ready"]
    until(lambda: all_live(vifd, 2), "both ports are back")
