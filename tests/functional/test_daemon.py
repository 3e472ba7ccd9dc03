"""The whole daemon on a real switch: outages, restarts, damage, and what operators see of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.testing import census, frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, assert_only, assert_reaches, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

DEVICES = [f"tap{port_id(n)[:11]}" for n in range(10)]
FAST = {"engine": {"retry_first": 0.05, "retry_longest": 0.5}}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, FAST)
    yield daemon
    daemon.close()


@pytest.fixture
def up(vifd: Vifd) -> Vifd:
    vifd.start()
    vifd.ready()
    return vifd


@pytest.fixture(autouse=True)
def _clean(ovs: PrivateOvs, vifd: Vifd) -> Iterator[None]:
    """Take every port away again, whatever the test did to daemon and switch."""
    yield
    ovs.start()
    vifd.start()
    vifd.ready()
    vifd.clear()


def mac(number: int) -> str:
    return str(document(number)["port"]["mac_address"])


def hello(one: int, two: int) -> bytes:
    """An ARP request that port ``one`` may send."""
    return frames.arp_request(mac(one), f"10.0.0.{one}", f"10.0.0.{two}")


@contextlib.contextmanager
def guests_of(ovs: PrivateOvs, *numbers: int) -> Iterator[list[TapGuest]]:
    """Guests on the taps of these ports, once the kernel passes frames to them."""
    with guests(*(DEVICES[n] for n in numbers), ovs=ovs) as opened:
        yield opened


def phases(vifd: Vifd) -> dict[str, str]:
    return {p["id"]: p["phase"] for p in vifd.get("/v1/ports")["ports"]}


def states(vifd: Vifd) -> list[tuple[str, str]]:
    return [(p["phase"], p["status"]) for p in vifd.get("/v1/ports")["ports"]]


def all_live(vifd: Vifd, count: int) -> bool:
    found = phases(vifd)
    return len(found) == count and set(found.values()) == {"LIVE"}


def flow_ages(ovs: PrivateOvs) -> dict[str, float]:
    """Seconds since each flow was added, by what the flow is: one that was replaced is young."""
    ages = {}
    for line in ovs.ofctl("dump-flows", "br-int").splitlines():
        found = re.search(r"duration=([0-9.]+)s", line)
        if found:
            key = re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]*,? ?", "", line)
            ages[key.strip()] = float(found.group(1))
    return ages


def test_frames_pass_once_the_answer_is_here(ovs: PrivateOvs, up: Vifd) -> None:
    for number in (1, 2):
        status, answer = up.plug(document(number))
        assert (status, answer["status"]) == (201, "ACTIVE")
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))


def test_the_switch_is_absent_at_start_and_comes_later(ovs: PrivateOvs, vifd: Vifd) -> None:
    ovs.stop()
    vifd.start()
    vifd.ready()
    status, error = vifd.plug(document(1))
    assert (status, error["code"]) == (409, "E_NEG_NO_COMMON_VIF")
    facts = error["facts"]
    assert (facts["reason_code"], facts["plugin"]) == ("E_PLUGIN_UNHEALTHY", "ovs")
    assert error["retryable"]
    assert vifd.get("/v1/ports")["ports"] == []
    ovs.start()
    until(lambda: vifd.get("/v1/status")["plugins"]["ovs"] == "ready", "the plugin is back")
    assert vifd.plug(document(1))[0] == 201


def test_ports_of_the_journal_come_back_with_the_switch(ovs: PrivateOvs, up: Vifd) -> None:
    up.plug(document(1))
    up.plug(document(2))
    up.stop()
    ovs.stop()
    up.start()
    until(lambda: set(states(up)) == {("DEGRADED", "BUILD")}, "nothing is claimed that is not read")
    ovs.start()
    until(lambda: all_live(up, 2), "both ports are back")
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))


def test_ovsdb_server_restarts_in_the_middle(ovs: PrivateOvs, up: Vifd) -> None:
    up.plug(document(1))
    ovs.ovsdb.kill()
    status, error = up.plug(document(2), timeout=5)
    assert status >= 409
    assert error["retryable"]
    assert error["code"].startswith("E_")
    ovs.start()
    # "ready" may still be what was known before the loss
    until(lambda: up.plug(document(2))[0] in (200, 201), "ports can be plugged")
    until(lambda: all_live(up, 2), "both ports are proven", told=lambda: phases(up))


def test_vswitchd_dies_and_every_flow_comes_back(ovs: PrivateOvs, up: Vifd) -> None:
    for number in (1, 2, 3):
        up.plug(document(number))
    ovs.vswitchd.kill()
    ovs.start()
    with guests_of(ovs, 1, 2) as (one, two):

        def passes() -> bool:
            one.send(hello(1, 2))
            return hello(1, 2) in two.drain()

        until(passes, "frames pass again")
    until(lambda: all_live(up, 3), "all ports are proven again")


def test_a_killed_daemon_changes_no_flow_that_is_right(ovs: PrivateOvs, up: Vifd) -> None:
    for number in (1, 2):
        up.plug(document(number))
    with guests_of(ovs, 1, 2) as (one, two):
        assert_reaches(one, two, hello(1, 2))
        before = flow_ages(ovs)
        up.kill()
        assert_reaches(one, two, hello(1, 2))
        up.start()
        up.ready()
        assert_reaches(one, two, hello(1, 2))
    after = flow_ages(ovs)
    assert after.keys() == before.keys()
    assert [key for key, age in after.items() if age < before[key]] == []


def test_a_lost_journal_is_rebuilt_from_the_marks(ovs: PrivateOvs, up: Vifd) -> None:
    pair = [{"ip_address": "10.0.0.99"}]
    up.plug(document(1, port__allowed_address_pairs=pair))
    up.plug(document(2))
    up.kill()
    journal = up.directory / "state" / "journal.db"
    journal.write_bytes(b"this is no database" * 500)
    for companion in ("-wal", "-shm"):
        journal.with_name(f"journal.db{companion}").unlink(missing_ok=True)
    up.start()
    up.ready()
    until(lambda: all_live(up, 2), "both ports are taken back")
    status = up.get("/v1/status")
    assert Path(status["journal_set_aside"]).exists()
    found = up.get(f"/v1/ports/{port_id(1)}")
    assert found["document"]["port"]["allowed_address_pairs"] == pair
    assert "moved to" in up.log


def test_a_lost_journal_gives_each_port_back_to_its_plugin(up: Vifd) -> None:
    up.plug(document(1))
    status, answer = up.plug({**document(2), "plugin": "linuxbridge"})
    assert status == 201, answer
    up.kill()
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (up.directory / "state" / name).unlink(missing_ok=True)
    up.start()
    up.ready()
    until(lambda: all_live(up, 2), "both ports are taken back")
    plugins = {p["id"]: p["plugin"] for p in up.get("/v1/ports")["ports"]}
    assert plugins == {port_id(1): "ovs", port_id(2): "linuxbridge"}


def test_a_flipped_page_loses_no_port_that_can_be_read(up: Vifd) -> None:
    for number in range(1, 9):
        up.plug(document(number))
    up.stop()
    journal = up.directory / "state" / "journal.db"
    raw = bytearray(journal.read_bytes())
    raw[4096 + 100 : 4096 + 200] = os.urandom(100)
    journal.write_bytes(raw)
    up.start()
    up.ready()
    until(lambda: all_live(up, 8), "all ports are there")


def test_a_journal_of_a_newer_vifd_is_left_alone(vifd: Vifd) -> None:
    state = vifd.directory / "state"
    state.mkdir()
    with sqlite3.connect(state / "journal.db") as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(RuntimeError, match="E_REC_STORE_VERSION"):
        vifd.start()
    vifd.process.stop()
    (state / "journal.db").unlink()


def test_a_second_daemon_is_refused_by_name(up: Vifd) -> None:
    argv = [sys.executable, "-m", "vifd.main", "--config-file", str(up.config)]
    done = subprocess.run(argv, env=up.process.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4
    assert f"pid {up.process.pid}" in done.stderr
    assert up.get("/v1/status")["live"]


def test_hangup_takes_what_can_change_and_names_what_cannot(up: Vifd) -> None:
    up.configure({"engine": {"check_interval": 17}, "api": {"socket": "/elsewhere"}})
    assert up.process.pid is not None
    os.kill(up.process.pid, signal.SIGHUP)
    until(lambda: "configuration read again" in up.log, "the daemon read its file again")
    for said in ("engine.check_interval", "Ignoring change to immutable option api.socket"):
        until(lambda said=said: said in up.log, said)  # type: ignore[misc]
    up.configure({"api": {"socket": up.directory / "vifd.sock"}})


def test_a_plugin_is_not_ready_without_the_control_socket_and_is_again_at_once(
    ovs: PrivateOvs, up: Vifd
) -> None:
    up.plug(document(1))
    socket_file = next(Path(ovs.rundir).glob("ovs-vswitchd.*.ctl"))
    aside = socket_file.with_suffix(".aside")
    socket_file.rename(aside)
    try:
        # a connection that is open is used on; a restart of the daemon has none
        up.stop()
        up.start()
        status, error = up.plug(document(2, plugin="ovs"))
        assert (status, error["code"]) == (503, "E_PLUGIN_UNHEALTHY")
        assert "control socket" in error["message"]
        (plugin,) = [p for p in up.get("/v1/plugins")["plugins"] if p["name"] == "ovs"]
        assert plugin["state"] == "unavailable"
    finally:
        aside.rename(socket_file)
    # nothing tells of a file that is back: the request itself has it looked for
    status, port = up.plug(document(2, plugin="ovs"))
    assert (status, port["status"]) == (201, "ACTIVE")


def test_a_document_of_the_networking_api_gets_its_address_rules(ovs: PrivateOvs, up: Vifd) -> None:
    ours, theirs = document(1), document(2)
    theirs["port"]["fixed_ips"] = theirs.pop("fixed_ips")
    theirs["port"]["port_security_enable"] = True
    status, port = up.plug(theirs)
    assert (status, port["status"]) == (201, "ACTIVE")
    assert port["document"]["fixed_ips"]
    said = "port.port_security_enable is not read; did you mean port.port_security_enabled?"
    assert port["unread"] == [said]
    until(lambda: said in up.log, "the log says so")
    up.plug(ours)
    with guests_of(ovs, 1, 2) as (one, two):
        forged = frames.arp_request(mac(2), "10.0.9.9", "10.0.0.1")
        assert_only(one, forbidden=[(two, forged)], allowed=(two, hello(2, 1)))


def test_hangup_with_nonsense_leaves_everything_in_force(ovs: PrivateOvs, up: Vifd) -> None:
    up.plug(document(1))
    device = up.get(f"/v1/ports/{document(1)['port']['id']}")["device"]
    up.configure({"engine": {"check_interval": "soon"}, "ovs": {"integration_brige": "br-x"}})
    assert up.process.pid is not None
    os.kill(up.process.pid, signal.SIGHUP)
    until(lambda: up.get("/v1/status")["configuration_problem"], "the status says so")
    assert "[engine] check_interval" in up.get("/v1/status")["configuration_problem"]
    assert "vifd_config_last_reload_successful 0.0" in _text(up, "/metrics")
    # what drifts is mended as before: the watcher lives
    ovs.vsctl("clear", "interface", device, "external_ids")
    mark = ("--if-exists", "get", "interface", device, "external_ids:vifd-port")
    until(lambda: ovs.vsctl(*mark).strip(), "the port is marked again")
    assert "the watcher failed" not in up.log
    up.configure({"engine": {"check_interval": 60}})
    os.kill(up.process.pid, signal.SIGHUP)
    until(lambda: not up.get("/v1/status")["configuration_problem"], "the status is well again")
    status = up.get("/v1/status")
    assert status["configuration_unknown"] == [
        "[ovs] integration_brige is no option; did you mean integration_bridge?"
    ]
    assert "vifd_config_last_reload_successful 1.0" in _text(up, "/metrics")
    assert "vifd_config_unknown_options 1.0" in _text(up, "/metrics")
    del up.options["ovs"]["integration_brige"]
    up.configure({})


def test_a_stop_leaves_ports_and_traffic_alone(ovs: PrivateOvs, up: Vifd) -> None:
    up.plug(document(1))
    up.plug(document(2))
    with guests_of(ovs, 1, 2) as (one, two):
        up.stop()
        assert_reaches(one, two, hello(1, 2))
        up.start()


def test_systemd_is_told(ovs: PrivateOvs, vifd: Vifd, tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(60)
    told: list[str] = []

    def until_told(word: str) -> None:
        while not any(word in message for message in told):
            told.append(manager.recv(4096).decode())

    vifd.process.env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with manager:
        vifd.start()
        until_told("READY=1")
        until_told("WATCHDOG=1")
        vifd.stop()
        until_told("STOPPING=1")
    del vifd.process.env["NOTIFY_SOCKET"], vifd.process.env["WATCHDOG_USEC"]


def test_drift_is_found_by_its_event_logged_and_repaired(ovs: PrivateOvs, up: Vifd) -> None:
    up.plug(document(1))
    ovs.vsctl("set", "port", DEVICES[1], "tag=77")
    tag = str(up.get(f"/v1/ports/{port_id(1)}")["wiring"]["details"]["tag"])

    def healed() -> bool:
        return ovs.vsctl("get", "port", DEVICES[1], "tag").strip() == tag

    until(healed, "the tag is as wanted again")
    found = [line for line in up.log.splitlines() if "ovsdb.tag is 77" in line]
    assert any(f"port={port_id(1)}" in line for line in found), up.log


def test_many_ports_in_one_call(up: Vifd, ovs: PrivateOvs) -> None:
    before = census.take(ovs)
    docs = [document(n) for n in range(1, 61)]
    docs[30]["port"]["mac_address"] = docs[29]["port"]["mac_address"]
    status, answer = up.call("POST", "/v1/ports:plug?wait=active&timeout=60", {"ports": docs})
    assert status == 207
    by_status = [entry["status"] for entry in answer["ports"]]
    assert by_status.count(201) == 59
    (refused,) = [e for e in answer["ports"] if e["status"] not in (200, 201)]
    assert refused["error"]["code"] == "E_IP_DUPLICATE"
    ids = [doc["port"]["id"] for doc in docs]
    up.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": ids})
    assert up.get("/v1/ports")["ports"] == []
    assert [line for line in census.take(ovs).beyond(before) if "tap" in line] == []


def test_what_is_gone_can_be_removed_again(up: Vifd) -> None:
    up.plug(document(1))
    assert up.unplug(port_id(1))[0] == 204
    assert up.unplug(port_id(1))[0] == 204
    status, answer = up.call("POST", "/v1/ports:unplug?wait=gone", {"ids": [port_id(1)]})
    assert (status, answer["ports"][0]["status"]) == (200, 204)


def test_metrics_tell_what_happened(up: Vifd) -> None:
    up.plug(document(1))
    counted = 'vifd_plugs_total{plugin="ovs",result="ok"} 1.0'
    # It is counted after the answer.
    until(lambda: counted in _text(up, "/metrics"), "it is counted")
    text = _text(up, "/metrics")
    assert 'vifd_step_seconds_count{plugin="ovs",step="plug"} 1.0' in text
    assert 'vifd_ports{phase="LIVE"} 1.0' in text


def _text(vifd: Vifd, path: str) -> str:
    from vifd.testing.daemon import UnixConnection

    connection = UnixConnection(vifd.socket)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_the_log_has_one_line_per_plug_with_everything_in_it(up: Vifd) -> None:
    status, _ = up.plug(document(1))
    assert status == 201
    # The line follows the answer.
    until(lambda: "plugged tap" in up.log, "it is logged")
    (line,) = [x for x in up.log.splitlines() if "plugged tap" in x and " INFO " in x]
    for word in (DEVICES[1], port_id(1), document(1)["instance"]["id"], "request=req-", "ms"):
        assert word in line


def test_json_log_carries_the_context_in_fields(vifd: Vifd) -> None:
    vifd.configure({"DEFAULT": {"use_json": "true"}})
    vifd.start()
    vifd.ready()
    vifd.plug(document(1))
    until(lambda: "plugged tap" in vifd.log, "it is logged")
    lines: list[dict[str, Any]] = []
    for text in (vifd.directory / "vifd.out").read_text().splitlines() + vifd.log.splitlines():
        if text.startswith("{"):
            lines.append(json.loads(text))
    (line,) = [x for x in lines if "plugged tap" in x["message"]]
    assert line["extra"]["port"] == port_id(1)
    assert line["extra"]["instance"] == document(1)["instance"]["id"]
    assert line["extra"]["request_id"].startswith("req-")
