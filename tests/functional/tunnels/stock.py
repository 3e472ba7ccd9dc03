"""A host as Neutron's Open vSwitch agent makes it: ``br-int`` that learns, patched to ``br-tun``
with one tunnel port per remote host, and the flows of its ``br-tun``, by hand."""

from __future__ import annotations

from functional.tunnels.hosts import Fabric, TunnelHost, underlay_ip
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import OF_DATAPATH

_LEARN = (
    "learn(table=20,hard_timeout=300,priority=1,cookie=0x1,NXM_OF_VLAN_TCI[0..11],"
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
    "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[])"
)
_LOCAL_VLAN = 7


class StockHost(TunnelHost):
    """One, with one network.

    :param number: of the host
    :param kind: the network's type
    :param vni: its segmentation id
    """

    def __init__(self, fabric: Fabric, number: int, kind: str, vni: int, version: int = 4) -> None:
        super().__init__(fabric, number)
        self._kind, self._vni, self._version = kind, vni, version
        bridges = [
            word for name in ("br-int", "br-tun")
            for word in ("--", "add-br", name, "--", "set", "Bridge", name, OF_DATAPATH)
        ]  # fmt: skip
        self.ovs.vsctl(
            *bridges[1:],
            *_patch("br-int", "patch-tun", "patch-int"),
            *_patch("br-tun", "patch-int", "patch-tun"),
        )
        self.ovs.ofctl("del-flows", "br-tun")
        patch = self._number("patch-int")
        for table, flow in (
            (0, f"priority=1,in_port={patch},actions=resubmit(,2)"),
            (0, "priority=0,actions=drop"),
            (2, "priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,20)"),
            (2, "priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,22)"),
            (4, f"priority=1,tun_id={vni},actions=mod_vlan_vid:{_LOCAL_VLAN},resubmit(,10)"),
            (10, f"priority=1,actions={_LEARN},output:{patch}"),
            (20, "priority=0,actions=resubmit(,22)"),
            (22, "priority=0,actions=drop"),
        ):
            self.ovs.ofctl("add-flow", "br-tun", f"table={table},{flow}")

    def _number(self, name: str) -> int:
        return int(self.ovs.vsctl("get", "Interface", name, "ofport"))

    def tunnel(self, *hosts: int, known: dict[int, list[str]] | None = None) -> None:
        """Have tunnels to hosts, as ``tunnel_sync`` and ``tunnel_update`` say.

        :param known: with ``l2population``, the MACs behind each
        """
        numbers = []
        for host in hosts:
            name, remote = f"{self._kind}-{host}", underlay_ip(host, self._version)
            local = underlay_ip(self.number, self._version)
            kind = "ip6gre" if (self._kind, self._version) == ("gre", 6) else self._kind
            more = ["options:packet_type=legacy_l2"] if kind == "ip6gre" else []
            self.ovs.vsctl(
                "add-port", "br-tun", name, "--", "set", "Interface", name, f"type={kind}",
                f'options:remote_ip="{remote}"', f'options:local_ip="{local}"',
                "options:in_key=flow", "options:out_key=flow", "options:df_default=true",
                "options:egress_pkt_mark=0", *more,
            )  # fmt: skip
            number = self._number(name)
            numbers.append(number)
            self.ovs.ofctl(
                "add-flow", "br-tun", f"priority=1,in_port={number},actions=resubmit(,4)"
            )
            for mac in (known or {}).get(host, []):
                self.ovs.ofctl(
                    "add-flow", "br-tun",
                    f"table=20,priority=2,dl_vlan={_LOCAL_VLAN},dl_dst={mac},"
                    f"actions=strip_vlan,set_tunnel:{self._vni},output:{number}",
                )  # fmt: skip
        outputs = ",".join(f"output:{n}" for n in numbers)
        self.ovs.ofctl(
            "add-flow", "br-tun",
            f"table=22,priority=1,dl_vlan={_LOCAL_VLAN},"
            f"actions=strip_vlan,set_tunnel:{self._vni},{outputs}",
        )  # fmt: skip

    def guest(self, name: str) -> TapGuest:
        """A guest on the integration bridge."""
        self.ip("tuntap", "add", "dev", name, "mode", "tap")
        self.callback(self.ip, "link", "del", name)
        self.ip("link", "set", name, "up")
        self.ovs.vsctl("add-port", "br-int", name, f"tag={_LOCAL_VLAN}")
        self.callback(self.ovs.vsctl, "--if-exists", "del-port", "br-int", name)
        guest = self.enter_context(self.space.run(TapGuest, name))
        self.ovs.wait_for_carrier(name)
        return guest


def _patch(bridge: str, name: str, peer: str) -> list[str]:
    return ["--", "add-port", bridge, name, "--", "set", "Interface", name, "type=patch",
            f"options:peer={peer}"]  # fmt: skip
