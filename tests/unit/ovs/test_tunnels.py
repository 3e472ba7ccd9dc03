"""Tunnel ports on a host of fakes: made, kept, mended, told apart, found by garbage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from oslo_config import cfg

from contract import ovs as make
from vifd.drivers import PortSpec
from vifd.model.sets import Endpoint, Forwarding, Reachable, SetKey, SetKind
from vifd.plugin import Health, NoSets, SetChange
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import overlay
from vifd_ovs.bridge.kinds import Kind as Object
from vifd_ovs.bridge.overlay import Kind, Overlay, port_name

VXLAN = {"network_type": "vxlan", "segmentation_id": 101}
NETWORK = attachment(1).network.id
FIRST, SECOND = "172.31.0.2", "172.31.0.3"


class Sets(NoSets):
    def __init__(self) -> None:
        self.one: Forwarding | None = None

    def forwarding(self, network_id: str) -> Forwarding | None:
        return self.one if network_id == NETWORK else None


class Host:
    """A machine of fakes with the plugin on it."""

    def __init__(self, machine: FakeMachine | None = None, **options: Any) -> None:
        self.machine = machine or FakeMachine()
        self.sets = Sets()
        self.options = {"local_ip": ["172.31.0.1", "fd31::1"], **options}
        self.ledger = Ledger(self.machine.drivers, self._plugin)

    def _plugin(self, host: Any) -> Any:
        return make.plugin(replace(host, sets=self.sets), **self.options)

    @property
    def plugin(self) -> Any:
        return self.ledger.plugin

    def plug(self, *numbers: int, **more: Any) -> None:
        wanted = [attachment(n, **{"segment": VXLAN, **more}) for n in numbers]
        failed = self.ledger.plug(*wanted)
        assert not failed, failed

    def know(self, *endpoints: Endpoint) -> set[str]:
        before, self.sets.one = self.sets.one, Forwarding(id=NETWORK, endpoints=endpoints)
        change = SetChange(SetKey(SetKind.FORWARDING, NETWORK), before, self.sets.one)
        return set(self.plugin.refresh([change]))

    def row(self, kind: str, version: int, bridge: str = "br-int") -> Any:
        return self.machine.ovsdb.port(port_name(bridge, Kind(kind, version)))


def behind(address: str, *numbers: int) -> Endpoint:
    return Endpoint(address=address, ports=tuple(Reachable(mac_address=mac(n)) for n in numbers))


@pytest.mark.parametrize(("datapath", "advertises"), [("netdev", True), ("system", False)])
def test_a_datapath_that_can_make_no_advertisement_is_not_asked_to(datapath, advertises):
    host = Host(datapath_type=datapath)
    host.plug(1)
    there = Reachable(mac_address=mac(2), ip_addresses=(ipv4(2), ipv6(2)))
    host.know(Endpoint(address=FIRST, ports=(there,)))
    flows = [str(f) for f in host.machine.drivers.openflow.dump("br-int", 0, 0)]
    assert any(f"arp_tpa={ipv4(2)}," in f for f in flows)
    assert any(f"nd_target={ipv6(2)} " in f for f in flows) is advertises
    assert not host.ledger.findings()


def test_one_port_per_type_and_version_made_when_first_needed():
    host = Host()
    host.plug(1, segment={"network_type": "local"})
    assert host.row("vxlan", 4) is None
    host.plug(2, 3)
    four, six = host.row("vxlan", 4), host.row("vxlan", 6)
    assert (four.type, six.type) == ("vxlan", "vxlan")
    wanted = {"remote_ip": "flow", "key": "flow", "local_ip": "172.31.0.1", "dst_port": "4789"}
    assert wanted.items() <= four.options.items()
    assert six.options["local_ip"] == "fd31::1"
    host.plug(4, network=2, segment={"network_type": "gre", "segmentation_id": 7})
    assert host.row("gre", 6).type == "ip6gre"
    assert not host.ledger.findings()


def test_options_reach_the_port():
    options: dict[str, Any] = {"dont_fragment": False, "tunnel_csum": True, "vxlan_udp_port": 8472}
    host = Host(local_ip=["172.31.0.1"], **options)
    host.plug(1)
    found = host.row("vxlan", 4).options
    assert (found["df_default"], found["csum"], found["dst_port"]) == ("false", "true", "8472")
    assert host.row("vxlan", 6) is None


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"local_ip": []}, "set local_ip to an address of this host, in"),
        ({"tunnel_types": ["gre"]}, "add vxlan to tunnel_types, in"),
        ({"local_ip": [], "tunnel_types": []},
         "set local_ip to an address of this host and add vxlan to tunnel_types, in"),
    ],
)  # fmt: skip
def test_a_type_without_tunnels_comes_with_the_options_that_lack(options, hint):
    needs = Host(**options).plugin.requires(attachment(1, segment=VXLAN))
    (error,) = [n.error for n in needs if not n.met]
    assert error.code == "E_SEG_TYPE_UNSUPPORTED"
    assert error.hint == f"{hint} the plugin's group of agent.conf, and restart vifd"


def test_a_changed_address_is_brought_to_the_port_in_place():
    host = Host(local_ip=["172.31.0.1"])
    host.plug(1)
    number = host.row("vxlan", 4).ofport
    host.options["local_ip"] = ["172.31.0.9"]
    host.ledger = host.ledger.restart()
    assert "tunnel.port" in host.ledger.findings()
    assert not host.ledger.carry_out([attachment(1).id])
    assert host.row("vxlan", 4).options["local_ip"] == "172.31.0.9"
    assert host.row("vxlan", 4).ofport == number


def test_a_restart_with_nothing_changed_sends_nothing():
    host = Host()
    host.know(behind(FIRST, 5))
    host.plug(1, 2)
    flows, transactions = host.machine.openflow.flows("br-int"), host.machine.ovsdb.transactions
    host.ledger = host.ledger.restart()
    host.plug(1, 2)
    assert host.know(behind(FIRST, 5)) == set()
    assert host.machine.openflow.flows("br-int") == flows
    assert host.machine.ovsdb.transactions == transactions


def test_a_change_of_forwarding_changes_the_ports_of_its_network():
    host = Host()
    host.plug(1, 2)
    host.plug(3, network=2, segment={"network_type": "vxlan", "segmentation_id": 102})
    ids = {attachment(1).id, attachment(2).id}
    assert host.know(behind(FIRST, 5)) == ids
    assert host.know(behind(FIRST), behind(SECOND, 5)) == ids
    assert host.know(behind(FIRST), behind(SECOND, 5)) == set()
    assert not host.ledger.findings()


def test_two_tunnels_that_are_configured_alike():
    host = Host(local_ip=["172.31.0.1"])
    host.plug(1)
    other = Host(host.machine, local_ip=["172.31.0.1"], integration_bridge="br-two")
    (error,) = other.ledger.plug(attachment(2, segment=VXLAN)).values()
    assert host.row("vxlan", 4).name in str(error)
    assert "br-int" in str(error)
    assert not host.ledger.findings()
    apart = Host(host.machine, local_ip=["172.31.0.8"], integration_bridge="br-three")
    apart.plug(3)


def test_a_port_of_others_with_the_name_is_left_alone():
    host = Host(local_ip=["172.31.0.1"])
    host.plug(1, segment={"network_type": "local"})
    name = port_name("br-int", Kind("vxlan", 4))
    host.machine.add_bridge("br-other")
    host.machine.ovsdb.ensure_ports("br-other", [PortSpec(name, type="internal")])
    (error,) = host.ledger.plug(attachment(2, segment=VXLAN)).values()
    assert error.code == "E_PLUG_NAME_CLASH"
    row = host.machine.ovsdb.port(name)
    assert row is not None
    assert row.type == "internal"


def test_garbage():
    host = Host(local_ip=["172.31.0.1"])
    host.plug(1)
    tunnels = [o for o in host.plugin.inventory() if o.kind is Object.TUNNEL]
    assert [o.name for o in tunnels] == [host.row("vxlan", 4).name]
    assert {o.key for o in tunnels} <= host.plugin.expected({}).keys()
    host.ledger.unplug()
    host.options["local_ip"] = []
    host.ledger = host.ledger.restart()
    assert not {o.key for o in tunnels} & host.plugin.expected({}).keys()
    assert host.plugin.discard(tunnels) == {}
    assert host.row("vxlan", 4) is None


def test_a_probe_tells_the_tunnels():
    host = Host(local_ip=["172.31.0.1"])
    found = host.plugin.probe()
    assert {*found.tunnels} == {"vxlan", "gre", "geneve"}
    assert found.tunnels["vxlan"].up is False
    assert found.health is Health.DEGRADED
    assert any("172.31.0.1" in reason for reason in found.reasons)
    assert Host(local_ip=[]).plugin.probe().tunnels == {}


def test_a_port_leans_on_its_tunnels():
    host = Host(local_ip=["172.31.0.1"])
    host.plug(1)
    made = host.ledger.records[attachment(1).id].wiring
    assert host.row("vxlan", 4).name in host.plugin.leans_on(made)


@pytest.mark.parametrize(
    ("kind", "version", "checksum", "bytes_"),
    [("vxlan", 4, False, 50), ("vxlan", 6, False, 70), ("geneve", 4, False, 50),
     ("gre", 4, False, 42), ("gre", 4, True, 46), ("gre", 6, False, 62)],
)  # fmt: skip
def test_what_a_tunnel_adds(kind, version, checksum, bytes_):
    assert Overlay(checksum=checksum).overhead(Kind(kind, version)) == bytes_


@pytest.mark.parametrize(
    "addresses",
    [["here"], ["10.0.0.1", "10.0.0.2"], ["224.0.0.1"], ["127.0.0.1"], ["::"], ["10.0.0.1/24"]],
)
def test_addresses_that_make_no_sense(addresses):
    conf = cfg.ConfigOpts()
    conf.register_opts(list(overlay.OPTIONS))
    conf([], default_config_files=[])
    conf.set_override("local_ip", addresses)
    with pytest.raises(ValueError, match="local_ip"):
        overlay.overlay(conf)


def test_names_fit_a_device():
    kinds = [Kind(t, v) for t in overlay.OVERLAYS for v in (4, 6)]
    names = [port_name(bridge, kind) for kind in kinds for bridge in ("br-int", "br-integrated")]
    assert all(len(name) <= 15 for name in names)
    assert len({*names}) == len(names)
