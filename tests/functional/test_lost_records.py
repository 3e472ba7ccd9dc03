"""Records that a journal lacks: lost with it, damaged, or missing in an older backup. Ports that
stand on the host go on passing every frame, to local guests and to the wire, and are taken over as
they stand: on Open vSwitch and on bridges of the kernel, with the whole daemon and real frames."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functional.test_daemon import FAST, flow_ages
from support import cables
from support.stream import Stream
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import PacketGuest, TapGuest, assert_reaches, guests
from vifd.testing.machines import LinuxMachine
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.testing import quiet_netfilter

FAR, FAR_4, FAR_6 = "02:00:00:00:00:fa", "10.0.0.250", "fd00::fa"
LOCAL = {"network_type": "local"}
FLAT = {"network_type": "flat", "physical_network": "physnet1"}
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101}


def mac(number: int) -> str:
    return str(document(number)["port"]["mac_address"])


def tap(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def hello(one: int, two: int, family: int = 4) -> Callable[[bytes], bytes]:
    def make(payload: bytes) -> bytes:
        first, second = (f"10.0.0.{one}", f"10.0.0.{two}") if family == 4 else (
            f"fd00::{one}", f"fd00::{two}")  # fmt: skip
        return frames.udp(mac(one), mac(two), first, second, payload)

    return make


def like(frame: bytes) -> Callable[[bytes], bool]:
    """Fits this frame, with a tag or without, and padded or not."""
    return lambda other: frames.untagged(other)[: len(frame)] == frame


@dataclass
class Site:
    """One way of plugging: what is asked for, and how its frames look on the wire."""

    vifd: Vifd
    ovs: PrivateOvs
    plugin: str
    segment: dict[str, Any]
    machine: LinuxMachine
    wire: PacketGuest | None = None
    backup: Path = Path()

    def document(self, number: int) -> dict[str, Any]:
        doc = document(number, network__segment=self.segment)
        doc["fixed_ips"] = [
            {"ip_address": f"10.0.0.{number}"}, {"ip_address": f"fd00::{number}"},
        ]  # fmt: skip
        return {**doc, "plugin": self.plugin}

    def plug(self, *numbers: int) -> None:
        for number in numbers:
            status, port = self.vifd.plug(self.document(number))
            assert status in (200, 201), port
            assert port["status"] == "ACTIVE"

    @contextlib.contextmanager
    def guests(self, *numbers: int) -> Iterator[list[TapGuest]]:
        ovs = self.ovs if self.plugin == "ovs" else None
        with guests(*map(tap, numbers), ovs=ovs) as opened:
            if ovs is None:
                self._forwards(*map(tap, numbers), *(["eth-phys"] if self.wire else []))
            yield opened

    def _forwards(self, *names: str) -> None:
        bridging = self.machine.drivers.bridging
        assert bridging is not None
        until(lambda: all(d.forwarding for d in bridging.get(names).values()), "they forward")

    @property
    def vid(self) -> int | None:
        return self.segment.get("segmentation_id")

    def reaches_the_wire(self, guest: TapGuest, number: int) -> None:
        """Out and in, in both families."""
        if self.wire is None:
            return
        for own, other in ((f"10.0.0.{number}", FAR_4), (f"fd00::{number}", FAR_6)):
            out = frames.udp(mac(number), FAR, own, other, b"out")
            arrived = assert_reaches(guest, self.wire, out, expect=like(out))
            assert frames.vlan_of(arrived) == self.vid
            back = frames.udp(FAR, mac(number), other, own, b"in", vlan=self.vid)
            assert_reaches(self.wire, guest, back, expect=like(frames.untagged(back)))

    def flow_ages(self) -> dict[str, float]:
        return flow_ages(self.ovs) if self.plugin == "ovs" else {}

    @property
    def journal(self) -> Path:
        return self.vifd.directory / "state" / "journal.db"

    def live(self, *numbers: int) -> None:
        def all_live() -> bool:
            found = {p["id"]: p["phase"] for p in self.vifd.get("/v1/ports")["ports"]}
            return all(found.get(port_id(n)) == "LIVE" for n in numbers)

        until(all_live, "every port is live", told=lambda: self.vifd.get("/v1/ports"))


@pytest.fixture
def cable(far: Namespace) -> Iterator[PacketGuest]:
    """A cable to another host: ``eth-phys`` here."""
    with cables.cable(far) as guest:
        yield guest


@pytest.fixture(params=["ovs local", "ovs flat", "ovs vlan", "linuxbridge local",
                        "linuxbridge flat"])  # fmt: skip
def site(
    request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path: Path, cable: PacketGuest
) -> Iterator[Site]:
    plugin, kind = request.param.split()
    segments: dict[str, dict[str, Any]] = {"local": LOCAL, "flat": FLAT, "vlan": VLAN}
    segment = segments[kind]
    options: dict[str, dict[str, object]] = {
        "engine": dict(FAST["engine"]), "garbage": {"grace": 0.1, "interval": 0},
        "ovs": {"bridge_mappings": "physnet1:br-phys"},
        "linuxbridge": {"physical_interface_mappings": "physnet1:eth-phys"},
    }  # fmt: skip
    if plugin == "ovs":
        ovs.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", OF_DATAPATH)
        ovs.vsctl("add-port", "br-phys", "eth-phys")
        ovs.wait_for_carrier("eth-phys")
    quiet_netfilter()
    vifd = Vifd(tmp_path / "v", ovs, options)
    with LinuxMachine() as machine, vifd:
        yield Site(vifd, ovs, plugin, segment, machine, cable if segment is not LOCAL else None)
        vifd.process.start(60)
        vifd.ready()
        vifd.clear()
        assert machine.drivers.nft is not None
        machine.drivers.nft.delete_table(TABLE)
        if plugin == "ovs":
            ovs.vsctl("--if-exists", "del-port", "br-phys", "eth-phys")


def removed(journal: Path) -> None:
    for file in journal.parent.glob("journal.db*"):
        file.unlink()


def damaged(journal: Path) -> None:
    raw = bytearray(journal.read_bytes())
    for at in range(4096, len(raw), 512):
        raw[at : at + 64] = os.urandom(64)
    journal.write_bytes(raw)


def rows(journal: Path) -> None:
    """Rows whose bytes changed: their checksums do not add up."""
    with contextlib.closing(sqlite3.connect(journal)) as db:
        db.execute("UPDATE ports SET names = zeroblob(64)")
        db.commit()


@pytest.mark.parametrize("loss", [removed, damaged, rows])
def test_a_lost_journal_costs_no_frame_and_no_way_out(
    site: Site, loss: Callable[[Path], None]
) -> None:
    site.plug(1, 2)
    with site.guests(1, 2) as (one, two):
        site.reaches_the_wire(one, 1)
        with no_frame_lost(one, two):
            site.vifd.stop()
            loss(site.journal)
            site.vifd.start()
            site.vifd.ready()
            site.live(1, 2)
        site.reaches_the_wire(one, 1)
        site.reaches_the_wire(two, 2)
    explained = site.vifd.get(f"/v1/ports/{port_id(1)}/explain")
    assert explained["healthy"], explained


@contextlib.contextmanager
def no_frame_lost(one: TapGuest, two: TapGuest) -> Iterator[None]:
    """Between ports 1 and 2, in both families and directions."""
    with Stream(one, two, hello(1, 2)) as stream, Stream(two, one, hello(2, 1, 6)) as back:
        yield
    assert not stream.lost
    assert not back.lost


def older_backup(site: Site) -> None:
    """Port 2 is plugged after the backup was made that is then put in the journal's place."""
    site.plug(1)
    site.vifd.stop()
    backup = site.journal.with_name("backup")
    shutil.copy(site.journal, backup)
    site.vifd.start()
    site.vifd.ready()
    site.plug(2)
    site.backup = backup


def test_a_record_that_an_older_backup_lacks(site: Site) -> None:
    """Its traffic goes on, whatever is done beside it; ``explain`` says what it is; it is taken
    over as it stands; and then it can be removed."""
    older_backup(site)
    with site.guests(1, 2) as (one, two):
        with no_frame_lost(one, two):
            site.vifd.stop()
            shutil.copy(site.backup, site.journal)
            ages = site.flow_ages()
            site.vifd.start()
            site.vifd.ready()
            site.plug(3)
        status, error = site.vifd.call("GET", f"/v1/ports/{port_id(2)}/explain")
        assert (status, error["code"]) == (404, "E_STATE_UNRECORDED")
        assert tap(2) in error["message"]
        assert "its device is open" in error["message"]
        (orphan,) = site.vifd.get("/v1/garbage")["orphans"]
        assert (orphan["port"], orphan["state"]) == (port_id(2), "held")
        with site.guests(3) as (three,):
            for family in (4, 6):
                assert_reaches(three, two, hello(3, 2, family)(b"new"))
                assert_reaches(two, three, hello(2, 3, family)(b"new"))
            everybody = frames.udp(mac(3), frames.BROADCAST, "10.0.0.3", "255.255.255.255")
            assert_reaches(three, two, everybody)
        site.reaches_the_wire(two, 2)
        with no_frame_lost(one, two):
            assert site.vifd.unplug(port_id(3))[0] in (200, 204)
            site.plug(2)
            site.live(1, 2)
        young = {k for k, age in site.flow_ages().items()
                 if f"in_port={tap(2)}" in k and age < ages.get(k, 0)}  # fmt: skip
        assert not young, "no flow of the port was made anew"
        site.reaches_the_wire(two, 2)
    assert site.vifd.unplug(port_id(2))[0] in (200, 204)
    status, error = site.vifd.call("GET", f"/v1/ports/{port_id(2)}/explain")
    assert error["code"] == "E_STATE_NOT_FOUND"


def test_a_record_that_is_missing_alone_and_that_nobody_holds_goes_as_garbage(site: Site) -> None:
    site.plug(1, 2)
    site.vifd.stop()
    with contextlib.closing(sqlite3.connect(site.journal)) as db:
        db.execute("DELETE FROM ports WHERE id = ?", (port_id(2),))
        db.commit()
    site.vifd.start()
    site.vifd.ready()

    # no plugin in particular: who found them tells it
    until(lambda: site.vifd.get("/v1/status")["unrecorded"] == {"count": 1, "ports": [port_id(2)]},
          "the status says so", told=lambda: site.vifd.get("/v1/status"))  # fmt: skip
    said = f"(plugins {site.plugin}): {port_id(2)}; they stay as they are"
    until(lambda: said in site.vifd.log, "the log says so", told=lambda: site.vifd.log)

    def ripe() -> bool:
        found = site.vifd.get("/v1/garbage")["orphans"]
        return [o["state"] for o in found] == ["ripe"]

    until(ripe, "it is seen twice, after the grace", told=lambda: site.vifd.get("/v1/garbage"))
    status, done = site.vifd.call("POST", "/v1/garbage", {"force": True})
    assert (status, len(done["removed"])) == (200, 1), done
    with site.guests(1) as (one,):
        site.reaches_the_wire(one, 1)
    if site.plugin == "ovs":
        text = site.ovs.ofctl("dump-flows", "br-int")
        assert mac(2) not in text
    assert not site.vifd.get("/v1/garbage")["orphans"]
