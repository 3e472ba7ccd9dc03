"""The status of a port whose switch, or the switch's database, is there and gives no answer
(SIGSTOP), or whose database is gone: what stands and passes is no ERROR, what cannot be read is not
called ACTIVE."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from functional import breaking as b
from functional import test_ovn as wired
from functional.breaking import DOCUMENT, FROZEN, PORT, TAP, Host, running, unplug
from support import ovn
from unit.docs import document
from vifd.testing import frames
from vifd.testing.daemon import Options, Vifd
from vifd.testing.guests import TapGuest, assert_reaches
from vifd.testing.sandbox import Daemon, PrivateOvs
from vifd.testing.wait import until

MENDING: Options = {**FROZEN, "engine": {**FROZEN["engine"], "repair": "true", "verify_timeout": 5}}
OTHER = document(2, network__segment=b.VLAN)


def _plugged(host: Host, wanted: dict[str, Any]) -> bool:
    return host.vifd.plug(wanted)[0] in (200, 201)


@pytest.fixture
def host(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    with running(ovs, tmp_path / "v", MENDING) as host:
        b.physical_bridge_restored(host)
        for wanted in (DOCUMENT, OTHER):
            until(partial(_plugged, host, wanted), "the port is there")
        yield host
        for daemon in (ovs.ovsdb, ovs.vswitchd):
            daemon.resume()
        host.ovs.start()
        host.vifd.start()
        gone = (204, 404)
        until(lambda: host.vifd.unplug(OTHER["port"]["id"])[0] in gone, "the other port is gone")
        unplug(host)
        host.vifd.stop()


@contextlib.contextmanager
def hanging(process: Daemon) -> Iterator[None]:
    process.pause()
    try:
        yield
    finally:
        process.resume()


class Course:
    """What is said of a port while something lasts."""

    def __init__(self, vifd: Vifd) -> None:
        self.vifd = vifd
        self.statuses: set[str] = set()

    def port(self) -> dict[str, Any]:
        found: dict[str, Any] = self.vifd.get(f"/v1/ports/{PORT}")
        self.statuses.add(found["status"])
        return found

    def becomes(self, why: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        last: dict[str, Any] = {}

        def look() -> bool:
            last.update(self.port())
            return holds(last)

        until(look, why, told=lambda: (last["status"], last["phase"], findings(last)))
        return last


def findings(port: dict[str, Any]) -> list[str]:
    return [e["fact"] for e in port.get("evidence") or () if not e["ok"]]


def well(course: Course) -> None:
    course.becomes("it is well again", lambda p: (p["status"], p["phase"]) == ("ACTIVE", "LIVE"))


@contextlib.contextmanager
def guests(host: Host) -> Iterator[Callable[[], None]]:
    """Two of them; called, a frame of one reaches the other."""
    taps = TAP, TAP.replace("00000001", "00000002")
    with TapGuest(taps[0]) as one, TapGuest(taps[1]) as two:
        host.ovs.wait_for_carrier(*taps)
        mac, address = DOCUMENT["port"]["mac_address"], DOCUMENT["fixed_ips"][0]["ip_address"]

        def passes() -> None:
            assert_reaches(one, two, frames.arp_request(mac, address, "10.0.0.99"))

        yield passes


def test_a_switch_that_hangs(host: Host) -> None:
    """With the userspace datapath nothing is forwarded; it is not called an error either."""
    course = Course(host.vifd)
    with guests(host) as passes:
        with hanging(host.ovs.vswitchd):
            found = course.becomes("it is not called ACTIVE", lambda p: p["status"] != "ACTIVE")
            assert (found["status"], findings(found)) == ("DOWN", ["flows"])
            (said,) = [e for e in found["evidence"] if e["fact"] == "flows"]
            assert "its process is stopped; nothing is forwarded" in said["have"]
        well(course)
        passes()
    assert course.statuses <= {"ACTIVE", "DOWN"}


def test_a_switch_that_was_killed(host: Host) -> None:
    """The same: nothing of a port is wrong but that there is no switch, and no plug mends that."""
    course = Course(host.vifd)
    with guests(host) as passes:
        host.ovs.vswitchd.kill()
        found = course.becomes("it is not called ACTIVE", lambda p: p["status"] != "ACTIVE")
        assert (found["status"], findings(found)) == ("DOWN", ["flows"])
        host.vifd.call("POST", f"/v1/ports/{PORT}/check")
        found = course.port()
        assert (found["status"], found["error"]) == ("DOWN", None)
        host.ovs.start()
        well(course)
        host.ovs.wait_for_carrier(TAP, TAP.replace("00000001", "00000002"))
        passes()
    assert "ERROR" not in course.statuses


def _closed(port: dict[str, Any]) -> bool:
    return (port["role"], port["phase"]) == ("INACTIVE", "QUIESCED")


def test_requests_while_the_switch_hangs(host: Host) -> None:
    """Each is answered with what it waits for before its caller gives up, and is carried out once
    the switch goes on."""
    course, third = Course(host.vifd), document(3, network__segment=b.VLAN)
    role, other = f"/v1/ports/{PORT}/deactivate?wait=inactive&timeout=20", OTHER["port"]["id"]
    with hanging(host.ovs.vswitchd):
        course.becomes("it is not called ACTIVE", lambda p: p["status"] != "ACTIVE")
        # a new port is refused before that once the plugin was probed
        refused, answer = host.vifd.plug(third, 20)
        assert refused in (409, 503), answer
        assert answer["retryable"], answer
        assert "its process is stopped" in json.dumps(answer)
        for status, answer in (
            host.vifd.call("POST", role),
            host.vifd.unplug(other, 20),
            host.vifd.unplug(other, 20),
        ):
            assert (status, answer.get("code")) == (503, "E_PLUG_BACKEND_DOWN"), answer
            assert answer["retryable"]
            assert "its process is stopped" in answer["message"]
            assert "continue (SIGCONT) or restart" in answer["remediation"]
        waiting = host.vifd.get(f"/v1/ports/{other}")
        assert (waiting["phase"], waiting["error"]["code"]) == ("UNPLUGGING", "E_PLUG_BACKEND_DOWN")
    until(lambda: host.vifd.call("GET", f"/v1/ports/{other}")[0] == 404, "the other port is gone")
    until(partial(_plugged, host, third), "the new port is there")
    course.becomes("it is closed", _closed)
    assert host.vifd.unplug(third["port"]["id"])[0] == 204


def test_a_database_that_hangs(host: Host) -> None:
    """What stands stays ACTIVE; flows and devices are repaired without the database."""
    course = Course(host.vifd)
    with guests(host) as passes, hanging(host.ovs.ovsdb):
        course.becomes("the silence is told", lambda p: "ovsdb.connected" in findings(p))
        passes()
        host.ovs.ofctl("del-flows", "br-int", "table=0")
        # the port's own, and not the one that vifd asks the switch by
        until(lambda: "priority=100,in_port" in host.ovs.ofctl("dump-flows", "br-int", "table=0"),
              "flows again")  # fmt: skip
        course.becomes("only the silence is left", lambda p: findings(p) == ["ovsdb.connected"])
        passes()
        b.link_down(host)
        until(lambda: host.links.get([TAP])[TAP].up, "the device is up again")
        course.becomes("only the silence is left", lambda p: findings(p) == ["ovsdb.connected"])
        passes()
    well(course)
    assert course.statuses <= {"ACTIVE", "DOWN", "BUILD"}


def test_a_request_while_the_database_hangs(host: Host) -> None:
    """It is told that it could not be carried out, and is carried out afterwards."""
    course = Course(host.vifd)
    with hanging(host.ovs.ovsdb):
        course.becomes("the silence is told", lambda p: "ovsdb.connected" in findings(p))
        renamed = {**DOCUMENT, "port": {**DOCUMENT["port"], "name": "another"}}
        status, answer = host.vifd.plug(renamed)
        assert status >= 500, answer
        course.becomes("its error is told", lambda p: p["error"] is not None)
    well(course)
    assert course.statuses == {"ACTIVE"}


def test_a_database_that_is_gone(host: Host) -> None:
    """A switch without its database serves no taps of its userspace datapath: its main thread does
    nothing else than wait for it. That is told, and is no error."""
    course = Course(host.vifd)
    with guests(host) as passes:
        host.ovs.ovsdb.kill()
        found = course.becomes("it is not called ACTIVE", lambda p: p["status"] != "ACTIVE")
        assert (found["status"], findings(found)) == ("DOWN", ["ovsdb.connected", "flows"])
        host.ovs.start()
        well(course)
        passes()
    assert course.statuses == {"ACTIVE", "DOWN"}


def test_a_start_while_the_database_hangs(host: Host) -> None:
    """Nothing was read in this life of the daemon: neither ACTIVE nor an error."""
    course = Course(host.vifd)
    with guests(host) as passes, hanging(host.ovs.ovsdb):
        host.vifd.stop()
        host.vifd.start()
        found = course.becomes("it was looked at", lambda p: "ovsdb.connected" in findings(p))
        assert (found["status"], findings(found)) == ("BUILD", ["ovsdb.connected", "flows"])
        host.vifd.ready()
        passes()
    well(course)
    assert "ERROR" not in course.statuses


@pytest.fixture
def chassis(ovs: PrivateOvs) -> Iterator[wired.Host]:
    if reason := ovn.lacking():
        pytest.skip(f"needs ovn: {reason}")
    with tempfile.TemporaryDirectory(prefix="vo-") as directory:
        made = wired.Host(ovs, Path(directory))
        made.start()
        made.plug(1)
        yield made
        for daemon in (ovs.ovsdb, ovs.vswitchd):
            daemon.resume()
        made.close()


@pytest.mark.needs("tun")
def test_ovn_and_a_switch_that_hangs(chassis: wired.Host) -> None:
    course = Course(chassis.vifd)
    with hanging(chassis.ovs.vswitchd):
        found = course.becomes("it is not called ACTIVE", lambda p: p["status"] != "ACTIVE")
        assert (found["status"], findings(found)) == ("DOWN", ["flows"])
        explained = chassis.vifd.get(f"/v1/ports/{PORT}/explain")
        assert (explained["broken"], explained["healthy"]) == ("switch", False)
    well(course)
    assert course.statuses <= {"ACTIVE", "DOWN"}


@pytest.mark.needs("tun")
def test_ovn_and_a_database_that_hangs(chassis: wired.Host) -> None:
    course = Course(chassis.vifd)
    with hanging(chassis.ovs.ovsdb):
        course.becomes("the silence is told", lambda p: "ovsdb.connected" in findings(p))
    well(course)
    assert course.statuses == {"ACTIVE"}
