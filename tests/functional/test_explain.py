"""``port explain`` on ports that were broken by hand: the first broken step is the cause.

Each host is whole: the real daemon, a real switch or bridge, ``vifctl`` as people run it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional import breaking as b
from functional.breaking import DOCUMENT, FROZEN, PORT, TAP, Host, named, running, unplug
from unit.docs import document, port_id
from vifd.drivers.bridging import Bridging
from vifd.drivers.nft.driver import Nft
from vifd.testing import sandbox
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A switch, and a daemon that repairs nothing, for all tests here."""
    if lacking := sandbox.missing():
        pytest.fail(f"not installed: {', '.join(lacking)}; run tools/bootstrap")
    quiet_netfilter()
    directory = tmp_path_factory.mktemp("x")
    with PrivateOvs(directory / "o") as ovs, running(ovs, directory / "v", FROZEN) as host:
        b.physical_bridge_restored(host)
        # What the first port leaves: bridge and patch ports stay. The bridge above is made under a
        # running daemon, which has to notice it first.
        until(lambda: host.vifd.plug(DOCUMENT)[0] in (200, 201), "the first port is plugged",
              told=lambda: host.vifd.plug(DOCUMENT)[1])  # fmt: skip
        unplug(host)
        yield host
        host.vifd.stop()


@pytest.fixture
def host(world: Host) -> Iterator[Host]:
    """A port of a VLAN network on Open vSwitch, and a daemon that repairs nothing."""
    status, answer = world.vifd.plug(DOCUMENT)
    assert status == 201, answer
    yield world
    unplug(world)


@pytest.fixture
def bridged(world: Host) -> Iterator[Host]:
    """The same port on a Linux bridge."""
    status, answer = world.vifd.plug({**document(1), "plugin": "linuxbridge"})
    if answer.get("code") == "E_PLUGIN_UNHEALTHY":
        pytest.skip(answer["message"])
    assert status == 201, answer
    world.nft, world.bridging = Nft(), Bridging()
    yield world
    unplug(world)
    world.nft.close()
    world.bridging.close()


# --- Open vSwitch ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaks", "step", "words", "restores"),
    [
        (b.tap_deleted, "device", (TAP, "does not exist"), None),
        (b.tap_made_anew, "device", ("deleted and made anew",), None),
        (b.port_removed, "port", ("no port", TAP), b.healed_by_a_request),
        (b.tag_changed, "port", ("77", "wanted 1"), None),
        (b.flow_deleted, "flows", ("of this port", "table=120"), None),
        (b.flows_deleted, "flows", ("missing",), None),
        (b.foreign_flow, "flows", ("priority 5000", "0xbad", "dhcp"), b.foreign_flow_removed),
        (
            b.foreign_flow_for_connections,
            "flows",
            ("priority 5000", "connection"),
            b.foreign_flow_removed,
        ),
        (b.link_down, "device", ("down",), None),
        (b.mtu_changed, "device", ("1300", "wanted 1450"), None),
        (b.mac_changed, "device", ("02:00:00:00:00:01",), None),
        (b.alias_changed, "device", ("mark",), b.alias_restored),
        (b.ipv6_on, "device", ("IPv6",), None),
        (b.mapping_removed, "uplink", ("physnet1", "not mapped", "elsewhere"), b.mapping_restored),
        (b.switch_dead, "switch", ("ovs-vswitchd", "br-int"), None),
        (b.database_dead, "switch", ("ovsdb-server",), None),
        (b.patch_removed, "uplink", ("missing on bridge br-int",), None),
        (b.far_patch_removed, "uplink", ("missing on bridge br-ex",), None),
        (
            b.physical_bridge_deleted,
            "uplink",
            ("br-ex", "does not exist"),
            b.physical_bridge_restored,
        ),
        (b.bridge_deleted, "switch", ("br-int", "does not exist"), b.healed_by_a_request),
        (b.number_changed, "port", ("99",), None),
        (b.twin, "port", ("twin", "iface-id"), b.twin_removed),
        (b.owner_changed, "port", ("iface-id is somebody",), None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_broken_step_on_open_vswitch(
    host: Host, breaks: b.Breaker, step: str, words: tuple[str, ...], restores: b.Breaker | None
) -> None:
    until(lambda: host.explain()["healthy"], "nothing is broken yet",
          told=lambda: host.explain()["sentence"])  # fmt: skip
    try:
        breaks(host)
        found = named(host, step, *words)
        order = [s["name"] for s in found["steps"]]
        before = found["steps"][: order.index(step)]
        # what is broken before it on the path is said to be so because of it
        assert all(s["state"] != "broken" or s["because"] for s in before), before
    finally:
        if restores is not None:
            restores(host)


# --- Linux bridge ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaks", "step", "words"),
    [
        (b.chain_gone, "filter", (f"chain {TAP}", "gone")),
        (b.table_gone, "filter", ("table vifd",)),
        (b.gate_gone, "filter", (TAP, "'open'")),
        (b.released, "port", (TAP, "not a port of bridge")),
        (b.linux_bridge_deleted, "switch", ("missing",)),
        (b.linux_bridge_down, "switch", ("down",)),
        (b.tap_deleted, "device", ("does not exist",)),
        (b.link_down, "device", ("down",)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_broken_step_on_a_linux_bridge(
    bridged: Host, breaks: b.Breaker, step: str, words: tuple[str, ...]
) -> None:
    found = bridged.explain()
    assert (found["healthy"], found["broken"]) == (True, None), found["sentence"]
    breaks(bridged)
    named(bridged, step, *words)


# --- what is repaired meanwhile, and what is not --------------------------------------------------


@pytest.fixture
def repairing(host: Host) -> Iterator[Host]:
    """The same daemon, told to repair while it runs."""
    _reload(host.vifd, repair=True)
    yield host
    host.ovs.start()
    _reload(host.vifd, repair=False)


def _reload(vifd: Vifd, *, repair: bool) -> None:
    vifd.configure({"engine": {"repair": str(repair).lower()}})
    assert vifd.process.pid is not None
    os.kill(vifd.process.pid, signal.SIGHUP)
    until(lambda: vifd.get("/v1/status")["repair"] is repair, "the daemon read its file again")


def test_drift_that_was_repaired_is_told_as_history(repairing: Host) -> None:
    b.tag_changed(repairing)

    def repaired() -> list[dict[str, Any]]:
        found = repairing.explain()
        done = [h for h in found["history"] if h["lasted"] is not None]
        return done if found["healthy"] else []

    (happened, *_) = until(repaired, "the drift is repaired and told")
    assert "ovsdb.tag was 77, wanted 1" in happened["text"]
    assert happened["lasted"] >= 0
    page = repairing.vifctl("port", "explain", PORT)
    assert page.returncode == 0
    assert "over after" in (said := " ".join(page.stdout.split()))
    assert "ovsdb.tag was 77, wanted 1" in said


def test_a_switch_that_is_gone_is_no_failed_attempt_with_repair_on(repairing: Host) -> None:
    """No attempt is made before it is back: there is nothing to mend it with."""
    b.switch_dead(repairing)
    found = named(repairing, "switch", "ovs-vswitchd")
    error = repairing.vifd.get(f"/v1/ports/{PORT}")["error"]
    if error is None:
        assert found["action"].startswith(("watches it", "waits for an answer"))
    else:
        # its end is seen on several ways: one attempt may have begun before all were heard
        assert error["code"] == "E_PLUG_BACKEND_DOWN"


def test_a_foreign_flow_is_named_while_vifd_tries_in_vain(repairing: Host) -> None:
    b.foreign_flow(repairing)
    try:
        assert repairing.vifd.call("POST", f"/v1/ports/{PORT}/check?timeout=60")[0] in (200, 504)
        until(lambda: repairing.vifd.get(f"/v1/ports/{PORT}")["error"], "the repair has failed")
        found = named(repairing, "flows", "priority 5000", "0xbad")
        assert "the last attempt ended with E_WIRE_TIMEOUT" in found["action"]
    finally:
        b.foreign_flow_removed(repairing)
    until(lambda: repairing.explain()["healthy"], "the port is well again")


def test_a_port_that_could_not_be_made(world: Host) -> None:
    with b.device_in_the_way():
        status, answer = world.vifd.plug(DOCUMENT)
        assert (status, answer["code"]) == (409, "E_PLUG_NAME_CLASH")
        found = world.explain()
        assert (found["healthy"], found["broken"], found["asked"]) == (False, "device", False)
        assert "E_PLUG_NAME_CLASH" in found["sentence"]
        assert "nothing of it is on the host" in found["unasked"]
        assert found["action"].startswith("tries again")
        states = {s["name"]: s["state"] for s in found["steps"]}
        assert (states["intent"], states["choice"]) == ("ok", "ok")
        unplug(world)


def test_a_role_is_no_fault(host: Host) -> None:
    status, _ = host.vifd.call("POST", f"/v1/ports/{PORT}/deactivate?wait=inactive")
    assert status == 200
    found = host.explain()
    assert (found["healthy"], found["status"]) == (True, "DOWN")
    assert "closed, as its role on this host is INACTIVE" in found["sentence"]


def test_a_guest_that_holds_the_device(host: Host) -> None:
    with TapGuest(TAP):
        host.ovs.wait_for_carrier(TAP)
        (guest,) = [s for s in host.explain()["steps"] if s["name"] == "guest"]
    assert (guest["state"], guest["sentence"]) == ("ok", f"a guest holds {TAP} open")


def test_explaining_changes_and_records_nothing(host: Host) -> None:
    """Late news of the plug may have the port checked once more meanwhile, which is recorded; but
    not every time."""
    columns = "--columns=ofport,error,admin_state,external_ids,mtu_request,options,other_config"

    def state() -> tuple[Any, str, str]:
        rows = host.ovs.vsctl(columns, "list", "Interface", TAP)
        flows = host.ovs.ofctl("dump-flows", "br-int", "--no-stats")
        return host.vifd.get(f"/v1/ports/{PORT}"), flows, rows

    seen = []
    for _ in range(5):
        seen.append(state())
        for _ in range(3):
            host.explain()
        if state() == seen[-1]:
            return
    pytest.fail(f"it differs every time: {seen}")


# --- without the daemon ---------------------------------------------------------------------------


def listing(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its inode, its time of change and its content."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.iterdir()
    }


def test_from_the_journal_of_a_daemon_that_was_stopped(host: Host) -> None:
    b.tag_changed(host)
    until(lambda: host.vifd.get(f"/v1/ports/{PORT}")["phase"] == "DEGRADED", "the drift is seen")
    host.vifd.stop()
    before = listing(host.journal.parent)
    done = host.vifctl("port", "explain", PORT, "--journal", str(host.journal))
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert "port: when it was last read: the VLAN tag of port" in text
    assert "the host was not asked: vifd cannot be reached" in text
    assert "The last report is" in text
    assert "nothing while it does not run" in text
    assert listing(host.journal.parent) == before


def test_from_the_journal_of_a_daemon_that_was_killed(host: Host) -> None:
    host.vifd.kill()
    before = listing(host.journal.parent)
    assert f"{host.journal.name}-wal" in before
    done = host.vifctl("port", "explain", PORT, "--journal", str(host.journal), "-f", "json")
    assert done.returncode == 3, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["healthy"], found["asked"]) == (True, False)
    assert found["age"] >= 0
    after = listing(host.journal.parent)
    # the index of the log is SQLite's own scratch; nothing else may be touched
    assert {k: v for k, v in after.items() if not k.endswith("-shm")} == {
        k: v for k, v in before.items() if not k.endswith("-shm")
    }


def test_from_the_journal_of_a_daemon_that_hangs(host: Host) -> None:
    host.vifd.process.pause()
    try:
        done = host.vifctl(
            "port", "explain", PORT, "--journal", str(host.journal), "--timeout", "0"
        )
    finally:
        host.vifd.process.resume()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "vifd does not answer" in done.stdout
    # it goes on as if nobody had looked
    assert host.explain()["healthy"]


def test_a_journal_that_cannot_be_read(host: Host, tmp_path: Path) -> None:
    missing = str(tmp_path / "no.db")
    done = host.vifctl("port", "explain", PORT, "--offline", "--journal", missing)
    assert done.returncode == 1
    assert "E_REC_JOURNAL" in done.stderr or "journal" in done.stderr
    assert "--journal" in done.stderr
    other = port_id(2)
    done = host.vifctl("port", "explain", other, "--offline", "--journal", str(host.journal))
    assert (done.returncode, done.stdout) == (4, "")


def test_the_page_fits_a_screen_and_is_fast(host: Host) -> None:
    b.foreign_flow(host)
    try:
        named(host, "flows", "0xbad")
        done = host.vifctl("port", "explain", PORT)
    finally:
        b.foreign_flow_removed(host)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    (arrow,) = [line for line in lines if line.startswith("→")]
    assert "flows" in arrow
    assert "\x1b" not in done.stdout
