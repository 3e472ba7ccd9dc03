"""A host of vifd beside a host of the stock agent: one switch, bridges of its own for each, a cable
between their physical networks, and an underlay for tunnels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.cloud.server import Cloud
from support.cloud.stockagent import StockAgent
from support.cloud.vifdhost import PATIENCE, VifdHost
from vifd.testing.netns import link_up
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

#: The bridge in which packets between endpoints turn around: all hosts of a switch share it.
UNDERLAY, MAC = "br-under", "02:00:00:00:00:f0"
#: Where tunnels to each host lead.
ENDPOINTS = {"vifd": "172.31.9.1", "stock": "172.31.9.2"}
#: Each host's integration bridge.
BRIDGES = {"vifd": "br-int", "stock": "br-is"}


class Beside:
    """Both hosts.

    :param directory: with a short name
    :param names: of the hosts for Neutron: that of vifd's, and that of the stock agent's
    :param populated: the service tells who is behind which endpoint
    """

    def __init__(
        self, directory: Path, cloud: Cloud, ovs: PrivateOvs, names: tuple[str, str], *,
        populated: bool,
    ) -> None:  # fmt: skip
        self.cloud = cloud
        self.ovs = ovs
        self.names = dict(zip(BRIDGES, names, strict=True))
        self.vifd = VifdHost(directory / "v", cloud, ovs, names[0], {
            "network_neutron": {
                "rpc_timeout": 60, "tunnel_types": "vxlan", "local_ip": ENDPOINTS["vifd"],
                "l2_population": populated,
            },
            "ovs": {
                "create_bridge": False, "tunnel_types": "vxlan", "local_ip": ENDPOINTS["vifd"],
            },
        })  # fmt: skip
        self._bridge("br-is")
        self._bridge("br-ps")
        self.stock = StockAgent(directory / "s", cloud, ovs, names[1], {
            "ovs": {
                "bridge_mappings": "physnet1:br-ps", "integration_bridge": "br-is",
                "tunnel_bridge": "br-ts", "local_ip": ENDPOINTS["stock"],
                # Another agent on this switch and in this network namespace has the usual ones.
                "int_peer_patch_port": "patch-tun-s", "tun_peer_patch_port": "patch-int-s",
                "of_listen_port": 6634,
            },
            "agent": {"tunnel_types": "vxlan", "l2_population": populated},
            "securitygroup": {"firewall_driver": "openvswitch"},
        })  # fmt: skip
        self._cable()
        self._underlay()

    def start(self) -> None:
        """Start both, and wait until Neutron knows them and they are ready."""
        self.stock.start()
        self.vifd.start()
        until(lambda: "iteration:0 completed" in self.stock.log, "the stock agent is ready",
              PATIENCE, lambda: self.stock.log[-3000:])  # fmt: skip
        until(self._stock_lives, "Neutron knows it", PATIENCE)

    def close(self) -> None:
        """End both."""
        self.stock.kill()
        self.vifd.close()

    def network(self, number: int, **given: Any) -> str:
        """A network with addresses 10.20.<number>.0/24; its id."""
        made = str(self.cloud.make("network", name=f"b{number}", **given)["id"])
        self.cloud.make("subnet", network_id=made, cidr=f"10.20.{number}.0/24", ip_version=4,
                        enable_dhcp=False)  # fmt: skip
        return made

    def told(self) -> str:
        """The last of what both said, for a test that fails."""
        flows = self.ovs.ofctl("dump-flows", "br-int")[-4000:]
        return f"{self.vifd.vifd.log[-3000:]}\n{self.stock.log[-2000:]}\n{flows}"

    def _stock_lives(self) -> bool:
        agent: Mapping[str, Any] | None = self.cloud.agent(self.names["stock"])
        return bool(agent and agent["alive"])

    def _bridge(self, name: str) -> None:
        self.ovs.vsctl("--may-exist", "add-br", name, "--", "set", "bridge", name,
                       OF_DATAPATH)  # fmt: skip

    def _cable(self) -> None:
        ends = ("cable-v", "cable-s")
        for bridge, mine, other in (("br-phys", *ends), ("br-ps", *ends[::-1])):
            self.ovs.vsctl("--may-exist", "add-port", bridge, mine, "--", "set", "Interface", mine,
                           "type=patch", f"options:peer={other}")  # fmt: skip

    def _underlay(self) -> None:
        self._bridge(UNDERLAY)
        self.ovs.vsctl("set", "bridge", UNDERLAY, f"other-config:hwaddr={MAC}")
        link_up(UNDERLAY)
        # Both ends of a tunnel are addresses of this one bridge.
        self.ovs.ofctl("add-flow", UNDERLAY, "priority=10,in_port=LOCAL,ip,actions=in_port")
        for address in ENDPOINTS.values():
            _address(UNDERLAY, address)
            self.ovs.appctl("tnl/neigh/set", UNDERLAY, address, MAC)


def _address(device: str, address: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname=device)[0]
        netlink.addr("replace", index=index, address=address, prefixlen=24)
