"""What the facts of a port on a bridge of Open vSwitch mean, the graver first. Pure."""

from __future__ import annotations

from typing import Any

from vifd.plugin import trunks
from vifd.plugin.meanings import WHO, Meaning, Meanings, missing, plain
from vifd.plugin.severing import Severing, always, dropping
from vifd_ovs.bridge import phrases as say

_OF_SWITCH = (
    "ovsdb.*", "switch.*", "flows*", "patch", "tunnel.*", "uplink*", "trace.*", "vhost.*",
    "device.unheard",
)  # fmt: skip
_OF_SILENCE = (
    "flows*", "trace.*", "ovsdb.ofport", "ovsdb.error", "ovsdb.admin_state", "ovsdb.ifindex",
    "patch", "uplink.*", "vhost.*",
)  # fmt: skip
_OF_WAY_OUT = ("flows.network", "flows.bridge")

_NAMES = (
    Meaning("names", ("names.network",), say.names_differ,
            "nothing: the port is plugged anew by what its document calls for",
            ("patch", "uplink", "ovsdb.external_ids", "flows.network", "trace.*")),
)  # fmt: skip
_SWITCH = (
    Meaning("switch", ("ovsdb.connected",), say.database, say.START_DATABASE, _OF_SWITCH),
    Meaning("switch", ("switch.bridge",), say.bridge_missing,
            f"{WHO}; vifd makes its integration bridge anew unless `create_bridge` is false",
            _OF_SWITCH),
    Meaning("switch", ("switch.fail_mode",), plain,
            f"{WHO}; a bridge that is not `secure` passes everything once its controller is lost",
            ("flows*", "trace.*")),
    Meaning("switch", ("switch.mirrors",), say.mirrored,
            "`ovs-vsctl clear bridge BRIDGE mirrors`, or give the mirror a port of its own that is "
            "no port of vifd", ("trace.*", "flows.frames")),
    Meaning("switch", ("switch.spanning_tree",), say.spanning,
            "`ovs-vsctl set bridge BRIDGE rstp_enable=false stp_enable=false`: there is no loop "
            "that it could break, and a guest may send what it listens to",
            ("ovsdb.openflow", "ovsdb.spanning_tree", "uplink.*", "trace.*")),
    Meaning("switch", ("switch.flow_limits",), say.bounded, "`ovs-vsctl clear bridge BRIDGE "
            "flow_tables` takes the bounds away; then vifd puts every flow back",
            ("flows*", "trace.*")),
    Meaning("switch", ("flows",), say.other_protocols,
            "`ovs-vsctl clear bridge BRIDGE protocols` lets it speak all that the switch knows",
            _OF_SILENCE, lambda finding: say.NOT_SPOKEN in str(finding.have)),
    Meaning("switch", ("flows",), say.switch_silent, say.START_SWITCH, _OF_SILENCE),
)  # fmt: skip
_TRUNK = trunks.meanings("flows*")
_PORT = (
    Meaning("port", ("ovsdb.port",), say.port_missing, WHO, ("trace.*", "vhost.*", "ovsdb.*"),
            missing),
    Meaning("port", ("ovsdb.port",), say.port_taken,
            "take it out of that port (`ovs-vsctl --id=@i get Interface DEVICE -- remove Port NAME "
            "interfaces @i`, or `del-port` if it has no other); vifd makes its own by itself then",
            ("trace.*", "vhost.*", "ovsdb.*")),
    Meaning("port", ("ovsdb.bridge",), say.port_elsewhere, WHO, ("trace.*",)),
    Meaning("port", ("ovsdb.error",), say.port_error,
            "the switch's own words say why; ovs-vswitchd's log has more",
            ("ovsdb.ofport", "trace.*", "vhost.*")),
    Meaning("port", ("ovsdb.ofport_request",), say.port_number, WHO, ("ovsdb.ofport", "trace.*")),
    Meaning("port", ("ovsdb.ofport",), say.port_number,
            "another port may hold the number: `ovs-vsctl --columns=name,ofport list Interface`",
            ("trace.*",)),
    Meaning("port", ("ovsdb.tag",), say.port_tag, WHO, ("trace.*",)),
    Meaning("port", ("ovsdb.vlans",), say.port_vlans, WHO),
    Meaning("port", ("ovsdb.openflow",), say.port_stopped,
            "`ovs-ofctl mod-port BRIDGE PORT up`, `receive` or `forward` takes it back",
            ("trace.*",)),
    Meaning("port", ("ovsdb.iface_id",), say.port_twin,
            "remove the id from the other port, or the port"),
    Meaning("port", ("ovsdb.external_ids",), say.port_ids, WHO),
    Meaning("port", ("ovsdb.ifindex",), say.port_device, WHO, ("trace.*",)),
    Meaning("port", ("ovsdb.admin_state",), say.port_down, WHO),
    Meaning("port", ("ovsdb.spanning_tree",), say.blocked,
            "`ovs-appctl rstp/show` and `stp/show` say why; `ovs-vsctl set bridge BRIDGE "
            "rstp_enable=false stp_enable=false` ends it", ("trace.*",)),
    Meaning("port", ("ovsdb.limits",), say.limited,
            "if nobody means it: `ovs-vsctl set interface PORT ingress_policing_rate=0 "
            "ingress_policing_kpkts_rate=0`, `ovs-vsctl clear port PORT qos`. vifd leaves it: "
            "libvirt's <bandwidth> sets such limits on purpose, `virsh domiftune` shows them",
            ("device.limits",)),
    Meaning("port", ("ovsdb.*",), plain, WHO),
)  # fmt: skip
_FLOWS = (
    # it takes frames whatever else is wrong, as long as there is a switch
    Meaning("flows", ("trace.*",), say.foreign_flow, say.KEEP_OFF, applies=say.foreign_above,
            breaks="trace", only_by=("switch",)),
    Meaning("flows", ("trace.*",), say.foreign_flow, say.KEEP_OFF, applies=say.foreign,
            breaks="trace"),
    Meaning("flows", ("flows.foreign",), say.foreign_flows,
            "remove them, or have their owner keep off the tables and ports of vifd: it never "
            "touches flows that do not bear its cookie", ("trace.*",)),
    Meaning("flows", ("flows.fragments",), plain,
            f"{WHO}; until vifd sets it again, the switch refuses first fragments of UDP, TCP and "
            "ICMPv6"),
    Meaning("flows", ("flows.*",), say.flows_differ, WHO, ("trace.*",)),
    Meaning("flows", ("qos.*",), plain, WHO),
)  # fmt: skip
_TUNNEL = (
    Meaning("uplink", ("tunnel.type",), say.no_tunnel,
            "set `local_ip` and `tunnel_types` in agent.conf, then restart vifd",
            ("tunnel.*", *_OF_WAY_OUT, "trace.*")),
    Meaning("uplink", ("tunnel.port",), say.tunnel_port, WHO,
            ("tunnel.leaving", "tunnel.arriving", *_OF_WAY_OUT, "trace.*")),
    Meaning("uplink", ("tunnel.local_ip",), say.no_local_ip,
            "give the address to the interface that leads to the other hosts, or correct "
            "`local_ip`", ("tunnel.carrier", "tunnel.route", "tunnel.leaving")),
    Meaning("uplink", ("tunnel.carrier",), say.tunnel_down,
            "bring the interface up; look at its cable", ("tunnel.route", "tunnel.leaving")),
    Meaning("uplink", ("tunnel.version",), say.unreachable_endpoints,
            "add an address of that IP version to `local_ip`", ("tunnel.leaving",)),
    Meaning("uplink", ("tunnel.route",), say.unreachable_endpoints,
            "add the route: `ip route get ENDPOINT` and `ovs-appctl ovs/route/lookup ENDPOINT` "
            "shall name an interface", ("tunnel.leaving",)),
    Meaning("uplink", ("tunnel.mtu",), say.tunnel_mtu,
            "raise the MTU of the underlay, or lower that of the network"),
    Meaning("uplink", ("tunnel.*",), say.tunnelled,
            "look at the tunnel port and its neighbours: `ovs-appctl tnl/neigh/show`"),
)  # fmt: skip
_UPLINK = (
    Meaning("uplink", ("uplink.bridge",), say.physical_missing,
            "make the bridge, or correct `bridge_mappings`",
            ("patch", "uplink.*", *_OF_WAY_OUT)),
    Meaning("uplink", ("patch",), say.patch, WHO, (*_OF_WAY_OUT, "trace.*")),
    *_TUNNEL,
    Meaning("uplink", ("uplink.port",), say.uplink_gone,
            "put the interface back on the bridge (`ovs-vsctl add-port`), or give one that was "
            "renamed its name back (`ip link set NEW name OLD`); if the bridge shall lead nowhere, "
            "remove `vifd-uplinks` from the external ids of the patch port on it",
            ("uplink.*",)),
    Meaning("uplink", ("uplink.openflow",), say.port_stopped,
            "`ovs-ofctl mod-port BRIDGE PORT up`, `receive` or `forward` takes it back; a spanning "
            "tree is seen by `ovs-appctl stp/show`",
            ("uplink.leaving", "uplink.arriving*", "uplink.carrier")),
    Meaning("uplink", ("uplink.mirrors",), say.mirrored_outside,
            "`ovs-vsctl clear bridge BRIDGE mirrors`, or give the mirror a port or VLAN of its own",
            ("uplink.leaving", "uplink.arriving*")),
    Meaning("uplink", ("uplink.blocked",), say.blocked,
            "a port that came just now waits for up to 30 s; `ovs-appctl rstp/show` and `stp/show` "
            "say more", ("uplink.leaving", "uplink.arriving*", "trace.*")),
    Meaning("uplink", ("uplink.protected",), say.kept_apart,
            "`ovs-vsctl set port NAME protected=false` for one of them",
            ("uplink.leaving", "uplink.arriving*")),
    Meaning("uplink", ("uplink.snooping",), say.snooping,
            "`ovs-vsctl set bridge BRIDGE mcast_snooping_enable=false`, or have a querier in the "
            "network", ("uplink.leaving", "uplink.arriving*")),
    Meaning("uplink", ("uplink.flooded",), say.flooded,
            "`ovs-vsctl clear bridge BRIDGE flood_vlans`"),
    Meaning("uplink", ("uplink.datapath",), say.datapaths,
            "`ovs-vsctl set bridge BRIDGE datapath_type=...`: both bridges of the same type; patch "
            "ports join no others", ("uplink.*", "trace.*")),
    Meaning("uplink", ("uplink.tag",), say.untagged,
            "make it a trunk (`ovs-vsctl clear port NAME tag vlan_mode`), or, where the network "
            "outside carries it without a tag, map it as a flat network",
            ("uplink.leaving", "uplink.arriving*")),
    Meaning("uplink", ("uplink.vlan",), say.uplink_vlan,
            "correct tag, trunks and vlan_mode of that port in the switch's database",
            ("uplink.leaving", "uplink.arriving*")),
    Meaning("uplink", ("uplink.leaving", "uplink.arriving*"), say.lost_outside,
            "look at the flows, port settings and spanning tree of that bridge: `ovs-ofctl "
            "dump-flows`, `ovs-ofctl show`; they are not vifd's"),
)  # fmt: skip
_TRACE = (Meaning("trace", ("trace.*",), say.traced, say.TRACE_BY_HAND),)


def _forwards_nothing(have: Any) -> bool:
    """In the words of :mod:`vifd_ovs.bridge.silence`."""
    return "nothing is forwarded" in str(have)


def _reserved(have: Any) -> bool:
    """Of a mirror that has a port of the way for its own."""
    return any("nothing but copies passes" in str(text) for text in have or ())


def _takes_away(have: Any) -> bool:
    """Of filters on devices: what leaves by them is dropped. With the userspace datapath the switch
    reads what comes in before such a filter does."""
    return dropping([text for text in have or () if "(egress)" in str(text)])


_SEVERING = Severing(
    {
        "switch.bridge": always, "ovsdb.port": always, "ovsdb.bridge": always,
        "ovsdb.type": always, "ovsdb.ofport": always, "ovsdb.error": always,
        "ovsdb.ifindex": always, "ovsdb.openflow": always, "patch": always,
        "uplink.bridge": always, "uplink.port": always, "uplink.vlan": always,
        "uplink.datapath": always, "uplink.leaving": always,
        "uplink.openflow": always, "switch.mirrors": _reserved, "uplink.mirrors": _reserved,
        "uplink.protected": always, "ovsdb.spanning_tree": always, "uplink.blocked": always,
        **dict.fromkeys(trunks.SEVERING, always),
        "nft.others": dropping, "device.filters": _takes_away, "uplink.filters": _takes_away,
        "flows": _forwards_nothing,
    },
    ("trace.dhcp", "trace.arp", "trace.neighbor_solicitation"),
)  # fmt: skip

MEANINGS = Meanings(
    (*_NAMES, *_SWITCH, *_TRUNK, *_PORT, *_FLOWS, *_UPLINK, *_TRACE),
    follows={
        "device": ("ovsdb.*", "trace.*"),
        "device.ifindex": ("ovsdb.ifindex", "ovsdb.error", "ovsdb.ofport", "ovsdb.admin_state",
                           "trace.*"),
        "device.up": ("ovsdb.admin_state", "ovsdb.link_state"),
        "security_groups*": ("trace.*",),
        "uplink.mapping": ("patch", *_OF_WAY_OUT),
    },
    sound={"port": say.port_sound, "flows": say.flows_sound},
    stages={"ovsdb": "port", "ofport": "port", "flows": "flows", "open": "flows",
            "close": "flows", "activate": "flows", "deactivate": "flows", "patch": "uplink",
            "tunnel": "uplink"},
    through={"ovsdb.connected": "ovsdb-server", "flows": "ovs-vswitchd"},
    names=("bridge", "ofport", "tag", "uplink", "patch"),
    severing=_SEVERING,
)  # fmt: skip
