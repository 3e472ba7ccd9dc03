"""A vhost-user port by nova's own code, on a real Open vSwitch with DPDK."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest

from functional.test_hosted import hello, phase
from functional.test_hosted import options as hosting
from support import nova
from support.nova import Compute
from support.vhostguest import VhostGuest
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.guests import assert_reaches
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


def test_one_that_was_made_ahead_and_that_stock_os_vif_plugs_is_served(isolated: None) -> None:
    """vifd-nova was rolled back: row, socket and number stay, and frames pass the rings."""
    with tempfile.TemporaryDirectory(prefix="vd-", dir="/tmp") as place:
        directory = Path(place)
        bridge = {"integration_bridge": "br-int", "create_bridge": "false"}
        options = {
            **hosting(), "ovs": bridge,
            "vhostuser": {"socket_dir": directory / "s", "file_backed_memory": "true"},
        }  # fmt: skip
        with DpdkOvs(directory / "o") as ovs, contextlib.ExitStack() as stack:
            ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
            vifd = stack.enter_context(Vifd(directory / "v", ovs, options))
            for number in (1, 2):
                path = f"/v1/ports/{port_id(number)}/network?prewire=closed&wait=active&timeout=60"
                body = {k: v for k, v in document(number).items() if k != "instance"}
                status, made = vifd.call("PUT", path, {**body, "vif_type": "vhostuser"})
                assert (status, made.get("phase")) == (201, "READY"), made
            sockets = {n: directory / "s" / f"vhu{port_id(n)[:11]}" for n in (1, 2)}
            row = "type", "options", "ofport"
            before = {n: ovs.vsctl("get", "Interface", sockets[n].name, *row) for n in sockets}
            with Compute(nova.stock(directory, ovs)) as stock:

                def ask(do: str, number: int) -> None:
                    details = {
                        "vhostuser_ovs_plug": True, "vhostuser_mode": "server",
                        "vhostuser_socket": str(sockets[number]), "datapath_type": "netdev",
                    }  # fmt: skip
                    answer = stock.ask(do, number, type="vhostuser", details=details)
                    assert "error" not in answer, answer

                for number in sockets:
                    ask("plug", number)
                until(lambda: all(phase(vifd, n) == "LIVE" for n in sockets), "they are open")
                for number, at in sockets.items():
                    port = vifd.get(f"/v1/ports/{port_id(number)}")
                    assert port["document"]["hosted"] == {"device": at.name}
                    assert ovs.vsctl("get", "Interface", at.name, *row) == before[number]
                with VhostGuest(sockets[1]) as one, VhostGuest(sockets[2]) as two:
                    for number in sockets:
                        ovs.wait_for_carrier(sockets[number].name)
                    assert_reaches(one, two, hello(1, 2))
                    assert_reaches(two, one, hello(2, 1))
                for number in sockets:
                    ask("unplug", number)
            until(lambda: all(phase(vifd, n) == "WAITING" for n in sockets), "they wait")
            assert ovs.vsctl("list-ports", "br-int").split() == []
