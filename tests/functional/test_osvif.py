"""Classic os-vif plugins in the daemon: os-vif's own, and vendors' that misbehave."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("module:os_vif")

TAP = f"tap{port_id(1)[:11]}"

VENDOR = """
    import os, time
    from os_vif import objects, plugin
    from oslo_privsep import capabilities, priv_context

    privileged = priv_context.PrivContext(
        {module!r}, cfg_section={module!r}, pypath=__name__ + ".privileged",
        capabilities=[capabilities.CAP_NET_ADMIN])
    RELEASE = os.environ.get("VENDOR_RELEASE", "")

    class Plugin(plugin.PluginBase):
        def describe(self):
            kind = objects.host_info.HostVIFInfo(
                vif_object_name="VIFGeneric", min_version="1.0", max_version="1.0",
                supported_port_profiles=[])
            return objects.host_info.HostPluginInfo(plugin_name={name!r}, vif_info=[kind])

        def plug(self, vif, instance_info):
            {plug}

        def unplug(self, vif, instance_info):
            pass

    @privileged.entrypoint
    def whoami():
        return os.getpid()
"""

HANG = """
            while not os.path.exists(RELEASE):
                time.sleep(0.01)
"""


class Vendors:
    """A directory on the daemon's path with fake vendors' distributions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.release = path / "release"
        path.mkdir()

    def install(self, name: str, code: str, **values: str) -> None:
        module = f"vif_plug_{name}"
        text = dedent(code).format(name=name, module=module, **values)
        (self.path / f"{module}.py").write_text(text)
        info = self.path / f"vif_plug_{name}-7.1.dist-info"
        info.mkdir()
        meta = f"Metadata-Version: 2.1\nName: vif-plug-{name}\nVersion: 7.1\n"
        (info / "METADATA").write_text(meta)
        (info / "entry_points.txt").write_text(f"[os_vif]\n{name} = {module}:Plugin\n")


@pytest.fixture
def vendors(tmp_path: Path) -> Vendors:
    return Vendors(tmp_path / "vendors")


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, vendors: Vendors) -> Iterator[Vifd]:
    options: dict[str, dict[str, object]] = {
        "osvif": {"plugins": "ovs,noop", "datapath_type": "netdev", "load_timeout": 60},
        "engine": {"retry_first": 0.05, "retry_longest": 0.2},
    }
    daemon = Vifd(tmp_path / "v", ovs, options)
    environment = daemon.process.env
    environment["PYTHONPATH"] = os.pathsep.join([str(vendors.path), environment["PYTHONPATH"]])
    environment["VENDOR_RELEASE"] = str(vendors.release)
    yield daemon
    vendors.release.touch()
    daemon.close()


def host(vifd: Vifd, *names: str) -> None:
    vifd.configure({"osvif": {"plugins": ",".join(names)}})
    vifd.start()
    vifd.ready()


def plugins(vifd: Vifd) -> dict[str, dict[str, Any]]:
    return {p["name"]: p for p in vifd.get("/v1/plugins")["plugins"]}


def test_the_ovs_plugin_of_os_vif(vifd: Vifd, ovs: PrivateOvs) -> None:
    host(vifd, "ovs")
    found = plugins(vifd)["osvif-ovs"]
    assert found["state"] == "ready"
    assert found["distribution"].startswith("os")
    facts = found["facts"]
    assert facts["objects"]["VIFPortProfileOpenVSwitch"] != "1.0"
    assert facts["stated_otherwise"]["VIFPortProfileOpenVSwitch"] == "1.0"

    status, port = vifd.plug(document(1, plugin="osvif-ovs"))
    assert (status, port["status"]) == (201, "ACTIVE"), port
    row = ovs.vsctl("get", "Interface", TAP, "external_ids:iface-id").strip().strip('"')
    assert row == port_id(1)
    assert ovs.vsctl("get", "Bridge", "br-int", "datapath_type").strip() == "netdev"
    assert {e["fact"] for e in port["evidence"]} >= {"device.mac", "device.mtu", "ovsdb.ofport"}
    assert vifd.plug(document(1, plugin="osvif-ovs"))[0] == 200
    assert vifd.unplug(port_id(1))[0] == 204
    assert TAP not in os.listdir("/sys/class/net")
    assert TAP not in ovs.vsctl("list-ports", "br-int").split()


def test_the_ovs_plugin_with_a_bridge_of_the_ports_own(vifd: Vifd, ovs: PrivateOvs) -> None:
    host(vifd, "ovs")
    before = set(os.listdir("/sys/class/net"))
    status, port = vifd.plug(document(1, plugin="osvif-ovs", vif_type="bridge"))
    assert (status, port["status"]) == (201, "ACTIVE"), port
    assert (port["vif"]["type"], port["vif"]["bridge"]) == ("bridge", f"qbr{port_id(1)[:11]}")
    beyond = f"qvo{port_id(1)[:11]}"
    assert beyond in ovs.vsctl("list-ports", "br-int").split()
    assert {e["fact"]: e["ok"] for e in port["evidence"]}["ovsdb.ofport"]
    assert vifd.unplug(port_id(1))[0] == 204
    assert beyond not in ovs.vsctl("list-ports", "br-int").split()
    assert set(os.listdir("/sys/class/net")) - before <= {"br-int", "ovs-netdev"}


def test_it_is_never_chosen_unasked(vifd: Vifd) -> None:
    host(vifd, "ovs", "noop")
    assert vifd.plug(document(1))[1]["plugin"] == "ovs"
    vifd.unplug(port_id(1))


def test_damage_is_found_and_repaired(vifd: Vifd, ovs: PrivateOvs) -> None:
    host(vifd, "ovs")
    vifd.plug(document(1, plugin="osvif-ovs"))
    ovs.vsctl("del-port", "br-int", TAP)
    until(lambda: TAP in ovs.vsctl("list-ports", "br-int").split(), "the port is back")
    until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["phase"] == "LIVE", "it is proven")
    vifd.unplug(port_id(1))


def test_a_port_survives_a_restart_and_goes_from_its_stored_names(
    vifd: Vifd, ovs: PrivateOvs
) -> None:
    host(vifd, "ovs")
    vifd.plug(document(1, plugin="osvif-ovs"))
    vifd.kill()
    vifd.start()
    vifd.ready()
    assert vifd.get(f"/v1/ports/{port_id(1)}")["phase"] == "LIVE"
    assert vifd.unplug(port_id(1))[0] == 204
    assert TAP not in ovs.vsctl("list-ports", "br-int").split()


def test_the_noop_plugin_of_os_vif(vifd: Vifd) -> None:
    host(vifd, "noop")
    status, port = vifd.plug(document(1, plugin="osvif-noop"))
    assert (status, port["status"]) == (201, "ACTIVE"), port
    assert port["vif"]["type"] == "vhostuser"
    assert port["vif"]["socket_path"].endswith(f"/vhu{port_id(1)[:11]}")
    assert vifd.unplug(port_id(1))[0] == 204


def test_one_that_hangs_costs_its_own_ports_only(vifd: Vifd, vendors: Vendors) -> None:
    vendors.install("slow", VENDOR, plug=HANG.strip())
    vifd.configure({"plugins": {"call_timeout": 3}})
    host(vifd, "slow")
    hanging = threading.Thread(target=vifd.plug, args=(document(1, plugin="osvif-slow"),))
    hanging.start()
    until(lambda: plugins(vifd)["osvif-slow"]["busy"], "the plugin hangs")
    status, port = vifd.plug(document(2))
    assert (status, port["status"]) == (201, "ACTIVE")
    until(lambda: plugins(vifd)["osvif-slow"]["quarantined"], "it is quarantined")
    hanging.join(60)
    status, error = vifd.plug(document(3, plugin="osvif-slow"))
    assert (status, error["code"]) == (503, "E_PLUGIN_UNHEALTHY")
    vendors.release.touch()
    until(lambda: plugins(vifd)["osvif-slow"]["state"] == "ready", "it is back")
    until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["phase"] == "LIVE", "its port too")
    for number in (1, 2):
        vifd.unplug(port_id(number))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise AssertionError('no vendor card')", "AssertionError: no vendor card"),
        ("raise SystemExit(1)", "SystemExit: 1"),
        ("import time\ntime.sleep(60)", "it did not load within 0.5 s"),
        ("class Plugin: pass", "its class lacks load, describe, plug, unplug"),
    ],
)
def test_one_that_cannot_be_loaded_is_refused_by_name(
    vifd: Vifd, vendors: Vendors, code: str, reason: str
) -> None:
    vendors.install("bad", code)
    vifd.configure({"osvif": {"load_timeout": 0.5 if "0.5" in reason else 60}})
    host(vifd, "bad", "noop")
    found = plugins(vifd)
    assert found["osvif-bad"]["state"] == "refused"
    assert found["osvif-bad"]["distribution"] == "vif-plug-bad 7.1"
    assert reason in found["osvif-bad"]["reasons"][0]
    if "within" not in reason:
        assert found["osvif-noop"]["state"] == "ready"


def test_one_that_raises_at_load_as_an_object(vifd: Vifd, vendors: Vendors) -> None:
    code = VENDOR + "\n    Plugin.load = classmethod(lambda cls, name: 1 / 0)\n"
    vendors.install("bad", code, plug="pass")
    host(vifd, "bad")
    assert "ZeroDivisionError" in plugins(vifd)["osvif-bad"]["reasons"][0]


def test_one_that_is_not_installed_is_refused_by_name(vifd: Vifd) -> None:
    host(vifd, "nowhere")
    reason = plugins(vifd)["osvif-nowhere"]["reasons"][0]
    assert "0 os-vif plugins have the name 'nowhere'" in reason
    assert "noop" in reason


@pytest.mark.parametrize(
    ("plug", "code"),
    [
        ("raise ValueError('no such thing')", "E_PLUG_BACKEND"),
        ("raise PermissionError(1, 'not you')", "E_PLUG_PRIV"),
        ("raise OSError(19, 'no such device')", "E_PLUG_DEVICE"),
        ("raise ConnectionRefusedError('nobody')", "E_PLUG_BACKEND_DOWN"),
        ("raise SystemExit(3)", "E_PLUG_BACKEND"),
        ("from oslo_concurrency import processutils; "
         "raise processutils.ProcessExecutionError(cmd='vrctl', exit_code=7, stderr='busy')",
         "E_PLUG_BACKEND"),
    ],
)  # fmt: skip
def test_what_it_raises_becomes_an_error_with_a_code(
    vifd: Vifd, vendors: Vendors, plug: str, code: str
) -> None:
    vendors.install("bad", VENDOR, plug=plug)
    host(vifd, "bad")
    _, error = vifd.plug(document(1, plugin="osvif-bad"))
    assert error["code"] == code
    assert error["cause"]
    assert "not_undone" not in error["facts"]
    status, port = vifd.plug(document(2))
    assert (status, port["status"]) == (201, "ACTIVE")
    for number in (1, 2):
        vifd.unplug(port_id(number))


def test_privileged_calls_are_made_in_the_daemon(vifd: Vifd, vendors: Vendors) -> None:
    plug = "assert whoami() == os.getpid()"
    vendors.install("priv", VENDOR, plug=plug)
    host(vifd, "priv")
    status, port = vifd.plug(document(1, plugin="osvif-priv"))
    assert status == 201, port
    vifd.unplug(port_id(1))
