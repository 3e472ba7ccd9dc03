"""``port explain`` on ports that were broken by hand: the first broken step is the cause.

Each host is whole: the real daemon, a real switch or bridge, ``vifctl`` as people run it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from unit.docs import document, port_id
from vifd.drivers import Tap
from vifd.drivers.bridging import Bridging
from vifd.drivers.links import Links
from vifd.drivers.nft import Nft
from vifd.nft.objects import Change, Element
from vifd.testing import sandbox
from vifd.testing.daemon import Options, Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import FROM, OPEN, TABLE
from vifd_linuxbridge.testing import quiet_netfilter

PORT = port_id(1)
TAP = f"tap{PORT[:11]}"
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
DOCUMENT = document(1, network__segment=VLAN)
#: Nothing is repaired, and nobody looks but for events.
FROZEN = {
    "engine": {"repair": "false", "check_interval": 0, "retry_first": 0.05, "retry_longest": 0.5},
    "ovs": {"bridge_mappings": "physnet1:br-ex"},
}


@dataclass
class Host:
    """A host with one port of a daemon, and hands that break it."""

    vifd: Vifd
    ovs: PrivateOvs
    links: Links = field(default_factory=Links)
    nft: Nft = field(init=False)
    bridging: Bridging = field(init=False)

    def explain(self) -> dict[str, Any]:
        found: dict[str, Any] = self.vifd.get(f"/v1/ports/{PORT}/explain")
        return found

    @property
    def details(self) -> dict[str, Any]:
        found: dict[str, Any] = self.vifd.get(f"/v1/ports/{PORT}")["wiring"]["details"]
        return found

    def vifctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "vifd.cli.main", "--socket", str(self.vifd.socket)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(
            [*argv, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def journal(self) -> Path:
        return self.vifd.directory / "state" / "journal.db"


@contextlib.contextmanager
def running(ovs: PrivateOvs, directory: Path, options: Options) -> Iterator[Host]:
    """A daemon of a test's own."""
    with contextlib.ExitStack() as stack:
        vifd = Vifd(directory, ovs, options)
        stack.callback(vifd.close)
        host = Host(vifd, ovs)
        stack.callback(host.links.close)
        vifd.start()
        vifd.ready()
        yield host


def unplug(host: Host) -> None:
    """Remove the port, whatever became of daemon and switch."""
    host.ovs.start()
    host.vifd.start()
    until(lambda: host.vifd.unplug(PORT)[0] == 204, "the port is gone", 30)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A switch, and a daemon that repairs nothing, for all tests here."""
    if lacking := sandbox.missing():
        pytest.fail(f"not installed: {', '.join(lacking)}; run tools/bootstrap")
    quiet_netfilter()
    directory = tmp_path_factory.mktemp("x")
    with PrivateOvs(directory / "o") as ovs, running(ovs, directory / "v", FROZEN) as host:
        physical_bridge_restored(host)
        # what the first port leaves: bridge and patch ports stay
        host.vifd.plug(DOCUMENT)
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


def named(host: Host, step: str, *words: str) -> dict[str, Any]:
    """Wait until the explanation names this step first, with these words; also ``vifctl``."""

    def so() -> dict[str, Any] | None:
        found = host.explain()
        return found if found["broken"] == step else None

    found = until(so, f"{step} is named first; now: {host.explain()['sentence']}") or {}
    assert found["asked"], found["unasked"]
    assert not found["healthy"]
    for word in words:
        assert word in found["sentence"], found["sentence"]
    assert found["hint"]
    assert found["action"]
    return found


# --- Open vSwitch ---------------------------------------------------------------------------------

Breaker = Callable[[Host], None]


def tap_deleted(host: Host) -> None:
    host.links.delete([TAP])


def tap_made_anew(host: Host) -> None:
    before = host.links.get([TAP])[TAP]
    host.links.delete([TAP])
    made = host.links.create_taps([Tap(TAP, before.mac, before.mtu, before.alias)])[TAP]
    assert getattr(made, "ifindex", 0) != before.ifindex


def port_removed(host: Host) -> None:
    host.ovs.vsctl("del-port", TAP)


def tag_changed(host: Host) -> None:
    host.ovs.vsctl("set", "Port", TAP, "tag=77")


def flow_deleted(host: Host) -> None:
    host.ovs.ofctl("del-flows", "br-int", f"table=120,in_port={host.details['ofport']}")


def flows_deleted(host: Host) -> None:
    host.ovs.ofctl("del-flows", "br-int")


def foreign_flow(host: Host) -> None:
    flow = "cookie=0xbad,table=0,priority=5000,udp,actions=drop"
    host.ovs.ofctl("add-flow", "br-int", flow)


def foreign_flow_for_connections(host: Host) -> None:
    flow = "cookie=0xbad,table=0,priority=5000,tcp,tp_dst=443,actions=drop"
    host.ovs.ofctl("add-flow", "br-int", flow)


def foreign_flow_removed(host: Host) -> None:
    host.ovs.ofctl("del-flows", "br-int", "cookie=0xbad/-1")


def link_down(host: Host) -> None:
    host.links.set(TAP, up=False)


def mtu_changed(host: Host) -> None:
    host.links.set(TAP, mtu=1300)


def mac_changed(host: Host) -> None:
    host.links.set(TAP, mac="02:00:00:00:00:01")


def alias_changed(host: Host) -> None:
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=TAP)
        netlink.link("set", index=index, ifalias="somebody else's")


def alias_restored(host: Host) -> None:
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=TAP)
        netlink.link("set", index=index, ifalias=f"vifd:{PORT}")


def ipv6_on(host: Host) -> None:
    path = Path(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6")
    if not path.exists():
        pytest.skip("this kernel has no IPv6")
    path.write_text("0")


def mapping_removed(host: Host) -> None:
    host.vifd.stop()
    host.vifd.configure({"ovs": {"bridge_mappings": "elsewhere:br-ex"}})
    host.vifd.start()
    host.vifd.ready()


def mapping_restored(host: Host) -> None:
    host.vifd.stop()
    host.vifd.configure({"ovs": {"bridge_mappings": "physnet1:br-ex"}})
    host.vifd.start()
    host.vifd.ready()


def switch_dead(host: Host) -> None:
    host.ovs.vswitchd.kill()


def database_dead(host: Host) -> None:
    host.ovs.ovsdb.kill()


def patch_removed(host: Host) -> None:
    host.ovs.vsctl("del-port", host.details["patch"])


def far_patch_removed(host: Host) -> None:
    host.ovs.vsctl("del-port", host.details["patch"].replace("int-", "phy-"))


def physical_bridge_deleted(host: Host) -> None:
    host.ovs.vsctl("del-br", "br-ex")


def physical_bridge_restored(host: Host) -> None:
    host.ovs.vsctl("add-br", "br-ex", "--", "set", "Bridge", "br-ex", "datapath_type=netdev")


def bridge_deleted(host: Host) -> None:
    host.ovs.vsctl("del-br", "br-int")


def number_changed(host: Host) -> None:
    host.ovs.vsctl("set", "Interface", TAP, "ofport_request=99")


def twin(host: Host) -> None:
    host.ovs.vsctl(
        "add-port", "br-int", "twin", "--", "set", "Interface", "twin", "type=internal",
        f"external_ids:iface-id={PORT}",
    )  # fmt: skip


def twin_removed(host: Host) -> None:
    host.ovs.vsctl("del-port", "twin")


def owner_changed(host: Host) -> None:
    host.ovs.vsctl("set", "Interface", TAP, "external_ids:iface-id=somebody")


@pytest.mark.parametrize(
    ("breaks", "step", "words", "restores"),
    [
        (tap_deleted, "device", (TAP, "does not exist"), None),
        (tap_made_anew, "device", ("deleted and made anew",), None),
        (port_removed, "port", ("no port", TAP), None),
        (tag_changed, "port", ("77", "wanted 1"), None),
        (flow_deleted, "flows", ("of this port", "table=120"), None),
        (flows_deleted, "flows", ("missing",), None),
        (foreign_flow, "flows", ("priority 5000", "0xbad", "dhcp"), foreign_flow_removed),
        (
            foreign_flow_for_connections,
            "flows",
            ("priority 5000", "connection"),
            foreign_flow_removed,
        ),
        (link_down, "device", ("down",), None),
        (mtu_changed, "device", ("1300", "wanted 1450"), None),
        (mac_changed, "device", ("02:00:00:00:00:01",), None),
        (alias_changed, "device", ("mark",), alias_restored),
        (ipv6_on, "device", ("IPv6",), None),
        (mapping_removed, "uplink", ("physnet1", "not mapped", "elsewhere"), mapping_restored),
        (switch_dead, "switch", ("ovs-vswitchd", "br-int"), None),
        (database_dead, "switch", ("ovsdb-server",), None),
        (patch_removed, "uplink", ("missing on bridge br-int",), None),
        (far_patch_removed, "uplink", ("missing on bridge br-ex",), None),
        (physical_bridge_deleted, "uplink", ("br-ex", "does not exist"), physical_bridge_restored),
        (bridge_deleted, "switch", ("br-int", "does not exist"), None),
        (number_changed, "port", ("99",), None),
        (twin, "port", ("twin", "iface-id"), twin_removed),
        (owner_changed, "port", ("iface-id is somebody",), None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_broken_step_on_open_vswitch(
    host: Host, breaks: Breaker, step: str, words: tuple[str, ...], restores: Breaker | None
) -> None:
    found = host.explain()
    assert (found["healthy"], found["broken"]) == (True, None), found["sentence"]
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


def chain_gone(host: Host) -> None:
    """The port's own chain, with what leads to it."""
    delete = [Element(FROM, TAP)]
    host.nft.apply(TABLE, Change(delete=delete, delete_chains=[TAP]))


def table_gone(host: Host) -> None:
    host.nft.delete_table(TABLE)


def gate_gone(host: Host) -> None:
    host.nft.apply(TABLE, Change(delete=[Element(OPEN, TAP)]))


def released(host: Host) -> None:
    host.bridging.release([TAP])


def linux_bridge_deleted(host: Host) -> None:
    host.links.delete([host.details["bridge"]])


def linux_bridge_down(host: Host) -> None:
    host.links.set(host.details["bridge"], up=False)


@pytest.mark.parametrize(
    ("breaks", "step", "words"),
    [
        (chain_gone, "filter", (f"chain {TAP}", "gone")),
        (table_gone, "filter", ("table vifd",)),
        (gate_gone, "filter", (TAP, "'open'")),
        (released, "port", (TAP, "not a port of bridge")),
        (linux_bridge_deleted, "switch", ("missing",)),
        (linux_bridge_down, "switch", ("down",)),
        (tap_deleted, "device", ("does not exist",)),
        (link_down, "device", ("down",)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_broken_step_on_a_linux_bridge(
    bridged: Host, breaks: Breaker, step: str, words: tuple[str, ...]
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
    tag_changed(repairing)

    def repaired() -> list[dict[str, Any]]:
        found = repairing.explain()
        done = [h for h in found["history"] if h["lasted"] is not None]
        return done if found["healthy"] else []

    (happened, *_) = until(repaired, "the drift is repaired and told")
    assert "ovsdb.tag was 77, wanted 1" in happened["text"]
    assert 0 <= happened["lasted"] < 10
    page = repairing.vifctl("port", "explain", PORT)
    assert page.returncode == 0
    assert "ovsdb.tag was 77, wanted 1 (degraded, over after" in " ".join(page.stdout.split())


def test_what_cannot_be_repaired_is_named_with_repair_on(repairing: Host) -> None:
    switch_dead(repairing)
    named(repairing, "switch", "ovs-vswitchd")
    found = until(
        lambda: (f := repairing.explain())["action"].find("the next one is in") > 0 and f,
        "the next attempt is told",
    )
    assert "the last attempt ended with E_" in found["action"]


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
    before = host.vifd.get(f"/v1/ports/{PORT}")
    flows = host.ovs.ofctl("dump-flows", "br-int", "--no-stats")
    rows = host.ovs.vsctl("list", "Interface", TAP)
    for _ in range(3):
        host.explain()
    assert host.vifd.get(f"/v1/ports/{PORT}") == before
    assert host.ovs.ofctl("dump-flows", "br-int", "--no-stats") == flows
    assert host.ovs.vsctl("list", "Interface", TAP) == rows


# --- without the daemon ---------------------------------------------------------------------------


def listing(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its inode, its time of change and its content."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.iterdir()
    }


def test_from_the_journal_of_a_daemon_that_was_stopped(host: Host) -> None:
    tag_changed(host)
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
    foreign_flow(host)
    try:
        named(host, "flows", "0xbad")
        done = host.vifctl("port", "explain", PORT)
    finally:
        foreign_flow_removed(host)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    (arrow,) = [line for line in lines if line.startswith("→")]
    assert "flows" in arrow
    assert "\x1b" not in done.stdout
