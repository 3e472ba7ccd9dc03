"""The vhost-user plugin on a host of fakes, with real sockets in a directory of its own."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from contract import vhostuser
from vifd.errors import BackendError, SocketError
from vifd.plugin import Health
from vifd.testing.attachments import attachment, vlan
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.options import SERVER
from vifd_vhostuser.plugin import VhostUserPlugin
from vifd_vhostuser.probing import cores_of
from vifd_vhostuser.processes import Processes
from vifd_vhostuser.sockets import NOBODY, Holding, UnixTable

DEVICE = "vhu00000001-00"


class Scene:
    def __init__(self, directory, **options):
        self.directory = Path(directory)
        self.machine = FakeMachine()
        self.dpdk = FakeDpdk(self.machine.ovsdb, self.machine.tracer)
        self.ledger = Ledger(
            self.machine.drivers,
            lambda host: vhostuser.plugin(host, self.directory, **options),
            patience=0,
        )
        plugin = self.ledger.plugin
        assert isinstance(plugin, VhostUserPlugin)
        self.plugin = plugin
        # the sockets here are held by this very process, which is no guest
        self.plugin.files.processes = Processes(str(self.directory.parent))

    @property
    def ovsdb(self):
        return self.machine.ovsdb

    def plug(self, *attachments, **more):
        failed = self.ledger.plug(*attachments, **more)
        assert not failed, failed

    def reasons(self, health):
        probe = self.plugin.probe()
        assert probe.health is health, probe.reasons
        return " | ".join(probe.reasons)

    def wiring(self, number):
        return self.ledger.records[attachment(number).id].wiring


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="vhu-") as path:
        (Path(path) / "s").mkdir()
        yield Path(path) / "s"


@pytest.fixture
def scene(directory):
    return Scene(directory)


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def silent(scene, problem):
    """The switch says nothing of its polling threads."""

    def refuse(*_):
        raise BackendError(facts={"backend": "control socket", "problem": problem})

    scene.machine.tracer.commands["dpif-netdev/pmd-rxq-show"] = refuse


class Sleeper(UnixTable):
    """A kernel whose switch sleeps on the sockets that it has closed, for a number of looks."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def held(self, paths):
        self.looks -= 1
        held = Holding(listening=True, inodes=frozenset({1}))
        return dict.fromkeys(paths, held if self.looks > 0 else NOBODY)


class TestPlug:
    def test_the_row_names_type_socket_and_mtu(self, scene, directory):
        scene.plug(attachment(1))
        row = scene.ovsdb.port(DEVICE)
        assert row.type == "dpdkvhostuserclient"
        assert row.options == {"vhost-server-path": f"{directory}/{DEVICE}"}
        assert row.mtu_request == 1450
        assert row.external_ids["vifd-plugin"] == "vhostuser"

    def test_libvirt_is_told_to_serve(self, scene, directory):
        instance = {"vcpus": 4, "flavor_extra_specs": {"hw:vif_multiqueue_enabled": "true"}}
        wanted = attachment(1, instance=instance)
        scene.plug(wanted)
        vif = scene.plugin.vif(wanted, scene.wiring(1))
        assert (vif.type, vif.socket_path) == ("vhostuser", f"{directory}/{DEVICE}")
        assert (vif.socket_mode, vif.model, vif.queues) == ("server", "virtio", 4)

    def test_the_legacy_type_makes_libvirt_the_client(self, directory):
        scene = Scene(directory, port_type=SERVER)
        server = listen(directory / "other")
        wanted = attachment(1)
        assert scene.ledger.plug(wanted)  # the switch made no socket: not proven
        names = scene.plugin.name(wanted, {})
        assert scene.plugin.vif(wanted, names).socket_mode == "client"
        server.close()

    def test_a_stale_socket_is_cleared_away(self, scene, directory):
        listen(directory / DEVICE).close()
        scene.plug(attachment(1))
        assert not (directory / DEVICE).exists()

    @pytest.mark.parametrize("looks", [2, 3])
    def test_one_that_turns_stale_while_the_switch_is_waited_for_goes(self, directory, looks):
        scene = Scene(directory, port_type=SERVER)
        scene.plugin.files.table = Sleeper(looks)
        listen(directory / DEVICE).close()
        scene.ledger.plug(attachment(1))
        assert not (directory / DEVICE).exists()

    def test_the_switch_is_not_waited_for_where_no_file_is_in_its_way(self, directory):
        scene = Scene(directory, port_type=SERVER)
        scene.plugin.files.table = table = Sleeper(1000)
        scene.ledger.plug(attachment(1))
        assert table.looks > 990

    def test_the_socket_of_a_running_guest_stays(self, scene, directory):
        with listen(directory / DEVICE):
            scene.plug(attachment(1))
            assert (directory / DEVICE).exists()
            assert not scene.ledger.unplug()
            assert (directory / DEVICE).exists()

    def test_what_is_no_socket_is_refused_and_stays(self, scene, directory):
        (directory / DEVICE).write_text("precious")
        (error,) = scene.ledger.plug(attachment(1)).values()
        assert isinstance(error, SocketError)
        assert (directory / DEVICE).read_text() == "precious"
        assert scene.ovsdb.port(DEVICE) is None

    def test_the_directory_is_made(self, directory):
        scene = Scene(directory / "sockets", socket_group=str(os.getgid()))
        scene.plug(attachment(1))
        assert (directory / "sockets").stat().st_mode & 0o7777 == 0o2775

    def test_a_missing_directory_is_refused(self, directory):
        scene = Scene(directory / "sockets", make_socket_dir=False)
        (error,) = scene.ledger.plug(attachment(1)).values()
        assert error.code == "E_PLUG_SOCKET"
        assert "does not exist" in error.message

    def test_access_is_found_lacking_and_given(self, directory):
        scene = Scene(directory, socket_mode="0660")
        scene.plug(attachment(1))
        with listen(directory / DEVICE):
            os.chmod(directory / DEVICE, 0o600)
            assert scene.ledger.findings() == {"socket.mode": "0600"}
            scene.plug(attachment(1))
            assert scene.ledger.findings() == {}

    def test_what_a_killed_guest_left_goes_with_the_port(self, scene, directory):
        scene.plug(attachment(1))
        listen(directory / DEVICE).close()
        assert not scene.ledger.unplug()
        assert list(directory.iterdir()) == []


class TestCheck:
    def test_waiting_connected_gone(self, scene, directory):
        scene.plug(attachment(1))
        assert scene.ledger.findings() == {}
        with listen(directory / DEVICE):
            scene.dpdk.connect(DEVICE)
            assert scene.ledger.findings() == {}
        scene.dpdk.disconnect(DEVICE)
        assert scene.ledger.findings() == {}

    def test_a_socket_deleted_under_its_guest(self, scene, directory):
        scene.plug(attachment(1))
        with listen(directory / DEVICE):
            scene.dpdk.connect(DEVICE)
            (directory / DEVICE).unlink()
            assert scene.ledger.findings() == {}
            scene.dpdk.disconnect(DEVICE)
            (report,) = scene.ledger.check(thorough=True).values()
            assert [(f.fact, f.have, f.repairable) for f in report.findings] == [
                ("socket", "missing", False)
            ]
            assert scene.ledger.findings() == {}, "it is no reason to refuse the port"
        (report,) = scene.ledger.check(thorough=True).values()
        assert report.clean

    def test_what_a_dead_switch_said_of_the_guest_is_told_as_old(self, scene):
        scene.plug(attachment(1))
        scene.dpdk.connect(DEVICE)
        silent(scene, "connection refused")
        (report,) = scene.ledger.check().values()
        facts = {e.fact: e.have for e in report.evidence}
        assert facts["guest"] == "connected, as the switch said last"

    def test_no_memory_for_packets_is_found_and_not_for_plug_to_mend(self, scene):
        scene.plug(attachment(1))
        scene.dpdk.free = 1 << 20
        scene.dpdk.connect(DEVICE)
        assert "vhost.buffers" in scene.ledger.findings()

    def test_another_socket_path_is_found_and_mended(self, scene):
        scene.plug(attachment(1))
        scene.ovsdb.change(DEVICE, options={"vhost-server-path": "/elsewhere"})
        assert scene.ledger.findings() == {"vhost.socket": "/elsewhere"}
        scene.plug(attachment(1))
        assert scene.ledger.findings() == {}

    def test_another_type_is_mended(self, scene):
        scene.plug(attachment(1))
        scene.ovsdb.change(DEVICE, type="dpdkvhostuser")
        assert "vhost.type" in scene.ledger.findings()
        scene.plug(attachment(1))
        assert scene.ledger.findings() == {}

    def test_the_socket_outlives_a_change_of_options(self, scene, directory):
        scene.plug(attachment(1))
        other = Scene(directory / "new")
        other.plugin.host = scene.plugin.host
        item = scene.ledger.records[attachment(1).id].item()
        assert other.plugin.vif(attachment(1), item.wiring).socket_path == f"{directory}/{DEVICE}"


class TestObserve:
    def test_a_lost_journal_is_rebuilt(self, scene, directory):
        wanted = attachment(1)
        scene.plug(wanted)
        (observed,) = scene.plugin.observe()
        assert observed.document["port"]["id"] == wanted.id
        assert observed.wiring.details["socket"] == f"{directory}/{DEVICE}"
        assert observed.wiring.details["interface_type"] == "dpdkvhostuserclient"

    def test_a_socket_alone_is_nobodys(self, scene, directory):
        scene.plug(attachment(1))
        scene.ledger.unplug()
        with listen(directory / DEVICE):
            assert scene.plugin.observe() == []


class TestProbe:
    def test_ready(self, scene):
        assert scene.reasons(Health.READY) == ""

    def test_before_the_first_bridge_no_thread_can_poll(self, scene):
        silent(scene, "please specify an existing datapath")
        assert scene.reasons(Health.READY) == ""
        silent(scene, "connection refused")
        assert "connection refused" in scene.reasons(Health.DEGRADED)

    def test_without_a_database(self, scene):
        scene.ovsdb.stop()
        assert "database" in scene.reasons(Health.UNAVAILABLE)

    def test_without_dpdk(self, scene):
        scene.ovsdb.root["dpdk_initialized"] = False
        assert "has not initialised DPDK" in scene.reasons(Health.UNAVAILABLE)

    def test_without_the_type(self, scene):
        scene.ovsdb.root["iface_types"] = ["dpdk"]
        assert "no interface type" in scene.reasons(Health.UNAVAILABLE)

    def test_a_bridge_of_the_kernel(self, scene):
        scene.ovsdb.ensure_bridge(
            "br-int", datapath_type="system", fail_mode="secure", protocols=(), external_ids={}
        )
        assert "needs 'netdev'" in scene.reasons(Health.UNAVAILABLE)

    def test_a_bridge_that_may_not_be_made(self, directory):
        scene = Scene(directory, create_bridge=False)
        assert "does not exist" in scene.reasons(Health.UNAVAILABLE)

    def test_no_memory_for_packets(self, scene):
        scene.dpdk.free = 10 << 20
        assert "10 MiB free" in scene.reasons(Health.UNAVAILABLE)
        scene.dpdk.free = 500 << 20
        assert "may pass nothing" in scene.reasons(Health.DEGRADED)
        scene.dpdk.pool = True
        scene.reasons(Health.READY)

    def test_a_path_too_long(self, directory):
        scene = Scene(directory / ("x" * 100))
        assert "limit is 108" in scene.reasons(Health.UNAVAILABLE)

    def test_a_directory_that_is_missing(self, directory):
        scene = Scene(directory / "none", make_socket_dir=False)
        assert "does not exist" in scene.reasons(Health.UNAVAILABLE)

    def test_the_switch_makes_its_sockets_elsewhere(self, directory):
        scene = Scene(directory, port_type=SERVER)
        scene.ovsdb.root["other_config"] = {"vhost-sock-dir": "vhost"}
        assert "vhost-sock-dir" in scene.reasons(Health.UNAVAILABLE)

    def test_no_large_pages(self, directory, tmp_path):
        scene = Scene(directory, file_backed_memory=False)
        scene.plugin.files = HostFiles(sys=str(tmp_path))
        assert "no large pages" in scene.reasons(Health.DEGRADED)
        pages = tmp_path / "devices/system/node/node0/hugepages/hugepages-2048kB"
        pages.mkdir(parents=True)
        (pages / "nr_hugepages").write_text("8\n")
        (pages / "free_hugepages").write_text("3\n")
        probe = scene.plugin.probe()
        assert probe.health is Health.READY
        assert probe.facts["hugepages"] == {"node0": {"2048kB": {"nr": 8, "free": 3}}}

    @pytest.mark.parametrize(
        ("mask", "reason"), [("zz", "no hexadecimal"), ("0x10", "do not run"), ("3", "every core")]
    )
    def test_cores(self, scene, tmp_path, mask, reason):
        (tmp_path / "devices/system/cpu").mkdir(parents=True)
        (tmp_path / "devices/system/cpu/online").write_text("0-1\n")
        scene.plugin.files = HostFiles(sys=str(tmp_path))
        scene.ovsdb.root["other_config"] = {"pmd-cpu-mask": mask}
        assert reason in scene.reasons(Health.DEGRADED)

    def test_a_physical_bridge_that_is_missing_or_of_the_kernel(self, directory):
        scene = Scene(directory, bridge_mappings=["physnet1:br-phys"])
        assert "br-phys" in scene.reasons(Health.DEGRADED)
        scene.machine.add_bridge("br-phys")
        scene.reasons(Health.READY)

    def test_nobody_sets_dpdk_init(self, scene):
        scene.ovsdb.root |= {"dpdk_initialized": False, "other_config": {}}
        before = scene.ovsdb.transactions
        scene.plugin.probe()
        assert scene.ovsdb.transactions == before


def test_masks():
    assert cores_of("0x6") == {1, 2}
    assert cores_of("") == set()
    assert cores_of("g") is None


class TestRequires:
    def codes(self, scene, wanted):
        needs = scene.plugin.requires(wanted)
        return [n.error.code for n in needs if not n.met and n.error is not None]

    def test_private_memory(self, directory):
        scene = Scene(directory, file_backed_memory=False)
        assert self.codes(scene, attachment(1)) == ["E_CAP_SHARED_MEMORY"]

    def test_the_segment_as_on_every_switch(self, scene):
        assert self.codes(scene, attachment(1, segment=vlan(5))) == ["E_SEG_PHYSNET_UNMAPPED"]

    def test_all_is_well(self, scene):
        assert self.codes(scene, attachment(1)) == []
