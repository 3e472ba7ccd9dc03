"""Offers of the whole daemon on a real switch: asked by the API, vifctl and os-vif itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import PATIENCE, until

VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
PORT = f"/v1/ports/{port_id(1)}"
DATA = "versioned_object.data"


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    options: dict[str, dict[str, object]] = {
        "ovs": {"bridge_mappings": "physnet1:br-out"},
        "vhostuser": {"bridge_mappings": "physnet1:br-out", "socket_dir": tmp_path / "s"},
    }
    out = ("--", "set", "bridge", "br-out", OF_DATAPATH)
    ovs.vsctl("--may-exist", "add-br", "br-out", *out)
    daemon = Vifd(tmp_path / "v", ovs, options)
    try:
        daemon.start()
        daemon.ready()
        until(lambda: _mapped(daemon), "the daemon has seen the physical network", PATIENCE)
        yield daemon
        daemon.clear()
    finally:
        daemon.close()
        ovs.vsctl("--if-exists", "del-br", "br-out")


def _mapped(vifd: Vifd) -> Any:
    """The physical network as the plugin knows it, once its bridge is there."""
    networks = vifd.get("/v1/host")["plugins"]["ovs"]["physical_networks"]
    return "physnet1" in networks and networks["physnet1"]["up"] is not False


def wanted(number: int = 1, **changes: Any) -> dict[str, Any]:
    return document(number, network__segment=VLAN, **changes)


def ask(vifd: Vifd, doc: dict[str, Any], **more: Any) -> tuple[int, Any]:
    return vifd.call("POST", "/v1/offers", {"attachment": doc, **more})


def vifctl(vifd: Vifd, *argv: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-m", "vifd.cli.main", "--socket", str(vifd.socket), *argv],
        input=json.dumps(stdin), env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_installed_is_not_usable_and_says_what_lacks(vifd: Vifd, ovs: PrivateOvs) -> None:
    bridges, events = ovs.bridges(), vifd.get("/v1/status")["ports"]
    large = {**wanted()["instance"], "flavor_extra_specs": {"hw:mem_page_size": "large"}}
    refused = {}
    for guest, first in ((large, "E_PLUGIN_UNHEALTHY"), (None, "E_CAP_SHARED_MEMORY")):
        status, offer = ask(vifd, wanted(instance=guest))
        assert status == 200
        assert offer["choice"]["plugin"] == "ovs"
        assert offer["choice"]["vif_class"] == "VIFOpenVSwitch"
        refused = {one["plugin"]: one for one in offer["refused"]}
        every = [refused["vhostuser"]["error"], *refused["vhostuser"]["also"]]
        assert every[0]["code"] == first
        (unwell,) = [e for e in every if e["code"] == "E_PLUGIN_UNHEALTHY"]
        assert "has not initialised DPDK" in unwell["message"]
    assert refused["noop"]["error"]["code"] == "E_PLUGIN_NOT_ASKED"
    assert refused["linuxbridge"]["error"]["code"] == "E_SEG_PHYSNET_UNMAPPED"
    # and nothing of it is anywhere
    assert vifd.get("/v1/ports")["ports"] == []
    assert vifd.get("/v1/status")["ports"] == events
    assert ovs.bridges() == bridges


def test_nothing_can_and_every_reason_is_told(vifd: Vifd) -> None:
    doc = wanted(port__vnic_type="direct")
    status, error = ask(vifd, doc)
    assert (status, error["code"]) == (409, "E_NEG_NO_COMMON_VIF")
    codes = {c["facts"]["plugin"]: c["code"] for c in error["candidates"]}
    able = dict.fromkeys(("ovs", "vhostuser", "linuxbridge"), "E_VNIC_UNSUPPORTED")
    # no host of OVN's
    assert codes == {**able, "ovn": "E_PLUGIN_UNHEALTHY"}
    assert error["facts"]["reason_code"] == "E_VNIC_UNSUPPORTED"
    status, same = vifd.plug(doc)
    assert (status, same["code"]) == (409, "E_VNIC_UNSUPPORTED"), "it is the port's own reason"
    assert len(same["candidates"]) == 4
    done = vifctl(vifd, "offer", "-f", "-", stdin=doc)
    assert done.returncode == 1
    assert done.stdout.count("E_VNIC_UNSUPPORTED") >= 3


def test_a_port_is_plugged_as_offered_and_remembers_the_others(vifd: Vifd) -> None:
    done = vifctl(vifd, "offer", "-f", "-", "--format", "json", stdin=wanted())
    assert done.returncode == 0
    (answer,) = json.loads(done.stdout)
    token = answer["offer"]["token"]
    done = vifctl(vifd, "port", "plug", "-f", "-", "--token", token, stdin=wanted())
    assert done.returncode == 0, done.stderr
    assert "ovs/ovs" in done.stdout
    vifd.stop()
    vifd.start()
    vifd.ready()
    selection = vifd.get(PORT)["selection"]
    assert selection["asked"] is True
    codes = {one["plugin"]: one["error"]["code"] for one in selection["refused"]}
    assert codes == {
        "vhostuser": "E_CAP_SHARED_MEMORY", "linuxbridge": "E_SEG_PHYSNET_UNMAPPED",
        "ovn": "E_PLUGIN_UNHEALTHY",
    }  # fmt: skip
    done = vifctl(vifd, "port", "show", port_id(1))
    assert "vhostuser/vhostuser: E_CAP_SHARED_MEMORY" in done.stdout


def test_other_ports_make_no_token_stale(vifd: Vifd) -> None:
    token = ask(vifd, wanted())[1]["token"]
    assert vifd.plug(wanted(2))[0] == 201
    assert vifd.call("POST", "/v1/host/refresh")[0] == 200
    status, answer = vifd.call("PUT", f"{PORT}?token={token}", wanted())
    assert status == 202, answer


def test_a_host_that_has_changed_says_what_has(vifd: Vifd, ovs: PrivateOvs) -> None:
    token = ask(vifd, wanted())[1]["token"]
    ovs.vsctl("del-br", "br-out")
    until(lambda: not _mapped(vifd), "the daemon has seen it", PATIENCE)
    status, error = vifd.call("PUT", f"{PORT}?token={token}", wanted())
    assert (status, error["code"]) == (409, "E_NEG_TOKEN_STALE")
    changed = {c["fact"]: c["is"] for c in error["facts"]["changed"]}
    assert changed["physical_network.physnet1.up"] is False
    assert "candidate" in changed
    assert error["retryable"]
    assert vifd.get("/v1/ports")["ports"] == []


def test_the_network_side_may_have_it_another_way(vifd: Vifd) -> None:
    """It takes a Linux bridge before Open vSwitch, in versions that both have."""
    doc = document(1)
    status, offer = ask(
        vifd, {**doc, "vif_type": None},
        acceptable=[{"vif_class": "VIFBridge"}, {"vif_class": "VIFOpenVSwitch"}],
    )  # fmt: skip
    assert status == 200, offer
    assert offer["candidates"][0]["preference"]["network"] == 1
    assert offer["choice"]["vif_class"] == "VIFOpenVSwitch"
    codes = {one["plugin"]: one["error"]["code"] for one in offer["refused"]}
    assert codes["linuxbridge"] == "E_SEG_TYPE_UNSUPPORTED"
    assert codes["vhostuser"] == "E_NEG_NO_COMMON_VIF"


READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from os_vif import objects
from os_vif.objects.base import VersionedObject
objects.register_all()
given = json.load(sys.stdin)
host, vif, old = (VersionedObject.obj_from_primitive(given[n]) for n in ("host", "vif", "old"))
assert host.get_plugin("ovs").get_vif("VIFOpenVSwitch").get_common_version() == "1.0"
for info in (i for plugin in host.plugin_info for i in plugin.vif_info):
    info.get_common_version()
    [profile.get_common_version() for profile in info.supported_port_profiles]
for name, read in (("host", host), ("vif", vif), ("old", old)):
    assert read.obj_to_primitive() == given[name]
print(json.dumps({
    "class": type(vif).__name__, "name": vif.vif_name, "bridge": vif.bridge_name,
    "profile": vif.port_profile.interface_id, "vlan": vif.network.vlan,
    "tap": vif.port_profile.create_tap, "old": "create_tap" in old.port_profile,
    "plugins": [p.plugin_name for p in host.plugin_info],
}))
"""


def test_os_vif_reads_the_host_and_a_port_of_it(vifd: Vifd) -> None:
    pytest.importorskip("oslo_versionedobjects", reason="os-vif is not installed")
    status, port = vifd.plug(wanted())
    assert status == 201, port
    given = {
        "host": vifd.get("/v1/host?format=os-vif"),
        "vif": vifd.get(f"{PORT}/vif?format=os-vif"),
        "old": vifd.get(f"{PORT}/vif?format=os-vif&max_version=1.0&max_profile_version=1.3"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ], input=json.dumps(given),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "class": "VIFOpenVSwitch", "name": port["device"], "bridge": "br-int",
        "profile": port_id(1), "vlan": 7, "tap": False, "old": False,
        "plugins": [p["name"] for p in vifd.get("/v1/plugins")["plugins"]
                    if p["state"] != "unavailable"],
    }  # fmt: skip
