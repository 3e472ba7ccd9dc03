"""What a port's evidence reads beyond its own device: a change of it is seen by its event, and the
periodic check, which is off here, is not waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.drift_scene import Host
from support import meddler
from unit.docs import document, port_id
from vifd.drivers import FdbEntry
from vifd.drivers.bridging import Bridging
from vifd.testing.census import Census
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter

TAP = f"tap{port_id(1)[:11]}"
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
FLAT = {"network_type": "flat", "physical_network": "physnet1"}


def _documents(segment: dict[str, Any]) -> list[dict[str, Any]]:
    return [document(n, network__segment=segment) for n in (1, 2)]


def _index(netlink: IPRoute, name: str) -> int:
    (index,) = netlink.link_lookup(ifname=name)
    return int(index)


@pytest.fixture
def nic(leaks: Census) -> Iterator[str]:
    """A card with a cable to nowhere."""
    with IPRoute() as netlink:
        netlink.link("add", ifname="nic0", kind="veth", peer="nic1")
        for name in ("nic0", "nic1"):
            netlink.link("set", index=_index(netlink, name), state="up")
        yield "nic0"
        for index in netlink.link_lookup(ifname="nic0"):
            netlink.link("del", index=index)


# --- Open vSwitch ---------------------------------------------------------------------------------


def _physical_bridge(ovs: PrivateOvs) -> None:
    ovs.vsctl("add-br", "br-ex", "--", "set", "Bridge", "br-ex", OF_DATAPATH)


@pytest.fixture
def switched(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    _physical_bridge(ovs)
    host = Host(tmp_path / "v", ovs, _documents(VLAN), plugin="ovs")
    host.vifd.configure({"ovs": {"bridge_mappings": "physnet1:br-ex"}})
    with host.running():
        yield host


def _patches(host: Host) -> tuple[str, str]:
    near = host.vifd.get(f"/v1/ports/{port_id(1)}")["wiring"]["details"]["patch"]
    return near, near.replace("int-", "phy-")


def test_patch_ports_and_their_peers(switched: Host) -> None:
    near, far = _patches(switched)
    for port in (near, far):
        switched.mark()
        switched.ovs.vsctl("set", "Interface", port, "options:peer=nobody")
        switched.healed("patch")
        switched.mark()
        switched.ovs.vsctl("del-port", port)
        switched.healed("patch")


def test_a_physical_bridge_that_comes_back_is_used_at_once(switched: Host) -> None:
    switched.mark()
    switched.ovs.vsctl("del-br", "br-ex")
    until(lambda: "uplink.bridge is " in switched.news, "that it is gone is seen")
    until(lambda: not switched.quiet(), "no port is well")
    switched.vifd.configure({"engine": {"retry_first": 3600, "retry_longest": 3600}})
    _physical_bridge(switched.ovs)
    until(switched.quiet, "the ports are well by the bridge's event")
    assert _patches(switched)[1] in switched.ovs.vsctl("list-ports", "br-ex")


# --- Linux bridge ---------------------------------------------------------------------------------


@pytest.fixture
def bridged(ovs: PrivateOvs, nic: str, tmp_path: Path) -> Iterator[Host]:
    quiet_netfilter()
    options = {"linuxbridge": {"physical_interface_mappings": f"physnet1:{nic}"}}
    host = Host(tmp_path / "v", ovs, _documents(FLAT), plugin="linuxbridge", **options)
    with host.running():
        yield host


def _mended(host: Host, fact: str) -> bool:
    return "drift on tap" in host.news and f": {fact} is " in host.news and host.quiet()


def test_bridges_uplinks_and_forwarding_entries(bridged: Host) -> None:
    details: dict[str, Any] = bridged.vifd.get(f"/v1/ports/{port_id(1)}")["wiring"]["details"]
    mac = bridged.documents[0]["port"]["mac_address"]
    with contextlib.closing(IPRoute()) as netlink, contextlib.closing(Bridging()) as bridging:
        own = FdbEntry(TAP, mac)
        elsewhere = FdbEntry(details["uplink"], mac)
        edits = {
            "bridge down": (lambda: meddler.set_down(details["bridge"]), "bridge"),
            "uplink down": (lambda: meddler.set_down(details["uplink"]), "uplink"),
            "uplink released": (lambda: meddler.release(details["uplink"]), "uplink"),
            "entry removed": (lambda: bridging.change_fdb(delete=[own]), "bridge.forwarding"),
            "entry moved": (
                lambda: bridging.change_fdb(delete=[own], add=[elsewhere]), "bridge.forwarding",
            ),
            "spanning tree": (
                lambda: netlink.link("set", index=_index(netlink, details["bridge"]),
                                     kind="bridge", br_stp_state=1),
                "bridge",
            ),
        }  # fmt: skip
        for edit, (act, fact) in edits.items():
            bridged.mark()
            act()
            # of what ports share, the first that is looked at mends it for all
            until(partial(_mended, bridged, fact), f"after {edit}: {fact} is found and mended",
                  told=lambda: bridged.news[-2000:])  # fmt: skip
