"""A host with one port, and the hands that break it."""

from __future__ import annotations

import contextlib
import os
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
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import Change, Element
from vifd.testing.daemon import Options, Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import FROM, OPEN, TABLE

PORT = port_id(1)
TAP = f"tap{PORT[:11]}"
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
DOCUMENT = document(1, network__segment=VLAN)
#: Nothing is repaired, and nobody looks but for events.
FROZEN: Options = {
    "engine": {
        "repair": "false",
        "check_interval": 0,
        "retry_first": 0.05,
        "retry_longest": 0.5,
        "verify_timeout": 20,
    },
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
    until(lambda: host.vifd.unplug(PORT)[0] == 204, "the port is gone")
    until(lambda: host.links.get(["br-int"]), "the switch made its bridges again")


def named(host: Host, step: str, *words: str) -> dict[str, Any]:
    """Wait until the explanation names this step first, with these words; also ``vifctl``."""

    def so() -> dict[str, Any] | None:
        found = host.explain()
        said = all(word in found["sentence"] for word in words)
        return found if found["broken"] == step and said else None

    found = (
        until(so, f"{step} is named first, with {words}", told=lambda: host.explain()["sentence"])
        or {}
    )
    # who is known to be away is asked no more, and that says who
    assert found["asked"] or (step == "switch" and words[0] in found["unasked"]), found["unasked"]
    assert not found["healthy"]
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
    host.ovs.vsctl("add-br", "br-ex", "--", "set", "Bridge", "br-ex", OF_DATAPATH)


def bridge_deleted(host: Host) -> None:
    host.ovs.vsctl("del-br", "br-int")


def healed_by_a_request(host: Host) -> None:
    """What is asked for is carried out although nothing is repaired, and brings everything back."""
    status, answer = host.vifd.plug({**DOCUMENT, "port": {**DOCUMENT["port"], "name": "anew"}})
    assert status == 200, answer
    assert host.explain()["healthy"]


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


@contextlib.contextmanager
def device_in_the_way() -> Iterator[None]:
    """A tap of somebody else with the name of the port's."""
    with IPRoute() as netlink:
        netlink.link("add", ifname=TAP, kind="tuntap", mode="tap")
        try:
            yield
        finally:
            netlink.link("del", index=netlink.link_lookup(ifname=TAP)[0])


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
