"""A vhost-user port by nova's own code, on a real Open vSwitch with DPDK."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from support import nova
from support.nova import Compute
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.wait import until

pytestmark = [pytest.mark.needs("nova"), pytest.mark.needs("dpdk"), pytest.mark.needs("tun")]


def test_plug_repeat_and_unplug(isolated: None) -> None:
    with tempfile.TemporaryDirectory(prefix="vd-", dir="/tmp") as place:
        directory = Path(place)
        directory.chmod(0o755)
        options = {
            "api": {"socket_mode": "0666", "compute_uids": 65534},
            "vhostuser": {"socket_dir": directory / "s", "file_backed_memory": "true"},
        }
        with DpdkOvs(directory / "o") as ovs, Vifd(directory / "v", ovs, options) as vifd:
            (directory / "v").chmod(0o755)
            socket = directory / "s" / f"vhu{port_id(1)[:11]}"
            details = {
                "vhostuser_ovs_plug": True, "vhostuser_socket": str(socket),
                "vhostuser_mode": "server",
            }  # fmt: skip
            body = {k: v for k, v in document(1).items() if k != "instance"}
            assert vifd.call("PUT", f"/v1/ports/{port_id(1)}/network", body)[0] == 202
            conf = nova.config(directory, vifd.socket)
            with Compute(conf, "unprivileged") as compute:
                assert int(compute.hello["capabilities"], 16) == 0
                for _ in range(2):
                    answer = compute.ask("plug", type="vhostuser", details=details)
                    assert "error" not in answer, answer
                port = vifd.get(f"/v1/ports/{port_id(1)}")
                assert (port["phase"], port["vif"]["socket_path"]) == ("LIVE", str(socket))
                xml = compute.ask("xml", type="vhostuser", details=details)["xml"]
                assert f'<source type="unix" mode="server" path="{socket}"/>' in xml
                assert port["device"] in ovs.vsctl("list-ports", "br-int")
                other = {**details, "vhostuser_socket": str(directory / "s" / "elsewhere")}
                answer = compute.ask("plug", type="vhostuser", details=other)
                assert "elsewhere" in answer["text"], "the guest would have another socket"
                for _ in range(2):
                    answer = compute.ask("unplug", type="vhostuser", details=details)
                    assert "error" not in answer, answer
            until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["phase"] == "WAITING", "it is gone")
            assert ovs.vsctl("list-ports", "br-int").split() == []
