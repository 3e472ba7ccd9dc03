"""A later vifd that makes other flows, on a host whose guests talk: it looks, waits, and begins
with one port."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_daemon import DEVICES, FAST, all_live, flow_ages, guests_of, hello, phases
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

NEWER = Path(__file__).with_name("newer.py")
SECOND = "0d1e0000-0000-4000-8000-000000000002"
THIRD = "0d1e0000-0000-4000-8000-000000000003"
LIMITS = {"upgrade": {"max_ports": 1, "max_percent": 0}}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with contextlib.closing(Vifd(tmp_path / "v", ovs, {**FAST, **LIMITS})) as daemon:
        daemon.start()
        daemon.ready()
        for number in (1, 2, 3, 4):
            assert daemon.plug(document(number))[0] == 201
        for number in (5, 6):
            assert daemon.plug(document(number, network__id=SECOND))[0] == 201
        daemon.stop()
        yield daemon
        daemon.start()
        answers = {port: daemon.unplug(port) for port in phases(daemon)}
        assert all(status in (200, 204) for status, _ in answers.values()), answers


def upgrade(vifd: Vifd) -> None:
    """The next start is that of the later version."""
    argv = vifd.process.argv
    at = argv.index("-m")
    argv[at : at + 2] = [str(NEWER)]
    vifd.start()
    vifd.ready()


def vifctl(vifd: Vifd, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "vifd.cli.main", *arguments, "--socket", str(vifd.socket)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


def guards(ovs: PrivateOvs, priority: int) -> int:
    flows = ovs.ofctl("dump-flows", "br-int", "table=0").splitlines()
    return sum(f"priority={priority},in_port" in line for line in flows)


def untouched(ovs: PrivateOvs, ages: dict[str, float]) -> bool:
    """Whether every flow of before is still there and was not made anew."""
    now = flow_ages(ovs)
    return all(now.get(flow, -1.0) >= age for flow, age in ages.items())


def test_an_upgrade_is_shown_approved_and_begins_with_one_port(ovs: PrivateOvs, vifd: Vifd) -> None:
    ages = flow_ages(ovs)
    upgrade(vifd)
    view: dict[str, Any] = vifd.get("/v1/reconcile")
    assert view["state"] == "held"
    assert "vifd 0" in view["upgraded"][0]
    assert "became 9.9.9" in view["upgraded"][0]
    assert {a["port"] for a in view["affected"]} == {port_id(n) for n in range(1, 7)}
    assert all("flows.port" in [c["fact"] for c in a["changes"]] for a in view["affected"])
    assert untouched(ovs, ages)
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))

    status, error = vifd.plug(document(7))
    assert (status, error["code"]) == (409, "E_REC_APPROVAL")
    assert vifd.plug(document(8, network__id=THIRD))[0] == 201, "it concerns no port of before"
    assert untouched(ovs, ages), "nor does it touch one"

    shown = vifctl(vifd, "reconcile")
    assert shown.returncode == 0
    assert "flows.port" in shown.stdout
    assert "6 of 7 ports that pass traffic differ" in shown.stderr
    approved = vifctl(vifd, "reconcile", "--approve")
    assert approved.returncode == 0, approved.stderr
    until(lambda: all_live(vifd, 7), "every port is in the new way", told=lambda: phases(vifd))
    until(lambda: vifd.get("/v1/reconcile")["state"] == "none", "nothing is left to approve")
    assert guards(ovs, 90) == 0
    assert guards(ovs, 91) == 7
    plugged = [f"plugged {device}" for device in DEVICES[1:7]]
    told = "upgrade approved"
    # the lines of a plug follow its effect
    until(lambda: all(p in vifd.log.rpartition(told)[2] for p in plugged), "all is in the log")
    log = vifd.log
    first = log.index(f"upgrade approved; port {port_id(5)} first, then 5 others")
    proven = log.index(f"upgrade: port {port_id(5)} is proven in the new way")
    others = [log.index(f"plugged {DEVICES[n]}", first) for n in (1, 2, 3, 4, 6)]
    assert first < proven < min(others)
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))

    ages = flow_ages(ovs)
    vifd.stop()
    vifd.start()
    vifd.ready()
    assert vifd.get("/v1/reconcile")["state"] == "none", "it is asked once"
    assert untouched(ovs, ages)


def test_a_reboot_with_a_later_version_asks_nobody(ovs: PrivateOvs, vifd: Vifd) -> None:
    """Nothing passes traffic, so there is nothing to lose by making it in the new way."""
    ovs.vswitchd.kill()
    ovs.start()
    upgrade(vifd)
    until(lambda: all_live(vifd, 6), "every port is there")
    assert vifd.get("/v1/reconcile")["state"] == "none"
    assert guards(ovs, 91) == 6
