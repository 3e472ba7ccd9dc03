"""What a fact that is not as wanted means: the step it breaks, in words, and what follows from it.

One table, of the core's rows and of what plugins declare of their own facts. The order of its rows
is the order of the path, and within a step the graver cause comes first. A finding that another one
explains is not the first broken step, wherever it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from vifd.explain import phrases as say
from vifd.explain.explanation import Name
from vifd.explain.subject import Subject
from vifd.model import Evidence
from vifd.plugin import VifPlugin
from vifd.plugin.meanings import Meaning

LOG = logging.getLogger(__name__)

Sentence = Callable[[Evidence, Subject], str]

_OF_SWITCH = (
    "ovsdb.*", "switch.*", "flows*", "patch", "tunnel.*", "uplink*", "trace.*", "vhost.*",
    "device.unheard",
)  # fmt: skip
_OF_PORT = ("ovsdb.*", "trace.*", "bridge.*", "device.carrier", "vhost.*")


@dataclass(frozen=True)
class Cause:
    """One row.

    :param facts: patterns of the fact's name
    :param hint: what an operator can do besides waiting for vifd
    :param explains: patterns of the facts that differ only because this one does
    :param applies: tells rows for the same fact apart
    """

    step: Name
    facts: tuple[str, ...]
    sentence: Sentence
    hint: str
    explains: tuple[str, ...] = ()
    applies: Callable[[Evidence], bool] = lambda _: True

    def matches(self, finding: Evidence) -> bool:
        return matching(finding.fact, self.facts) and self.applies(finding)


def matching(name: str, patterns: Iterable[str]) -> bool:
    """Whether a fact's name is one of these; ``*`` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def foreign(finding: Evidence) -> bool:
    """Whether a trace met a flow that is not ours."""
    return finding.fact.startswith("trace.") and say.FOREIGN in str(finding.have)


def _missing(finding: Evidence) -> bool:
    return finding.have in ("missing", False, None)


_WHO = "find out who did it: the hypervisor's log, the shell history, a configuration manager"

_CORE: tuple[Cause, ...] = (
    # --- names: what vifd itself stored
    Cause(Name.NAMES, ("names.network",), say.names_differ,
          "nothing: the port is plugged anew by what its document calls for",
          explains=("patch", "uplink", "ovsdb.external_ids", "flows.network", "trace.*")),
    Cause(Name.NAMES, ("wiring", "names"), say.plain, "unplug the port and plug it again"),
    # --- the device
    Cause(Name.DEVICE, ("device", "device.exists"), say.device_missing, _WHO,
          explains=(*_OF_PORT, "device.*", "guest.device"), applies=_missing),
    Cause(Name.DEVICE, ("device.ifindex",), say.device_anew,
          f"{_WHO}; a guest that runs must have its interface attached anew",
          explains=("ovsdb.ifindex", "ovsdb.error", "ovsdb.ofport", "ovsdb.admin_state",
                    "device.*", "trace.*", "bridge.*", "guest.device")),
    Cause(Name.DEVICE, ("device.alias",), say.device_mark, _WHO),
    Cause(Name.DEVICE, ("device.up",), say.device_down, _WHO,
          explains=("ovsdb.admin_state", "ovsdb.link_state", "bridge.forward*", "device.carrier",
                    "guest.device")),
    Cause(Name.DEVICE, ("device.mtu",), say.device_value("the MTU", "bytes"),
          f"{_WHO}; `mtu_request` in the switch's database sets it too", explains=("vhost.mtu",)),
    Cause(Name.DEVICE, ("device.mac",), say.device_value("the MAC address"), _WHO),
    Cause(Name.DEVICE, ("device.ipv6",), say.device_ipv6, _WHO),
    Cause(Name.DEVICE, ("device.others",), say.put_on_device,
          "take it away again: `tc filter`, `tc qdisc`, `ip address` and `ip -d link` show it"),
    Cause(Name.DEVICE, ("device.multi_queue",), say.device_queues,
          "shut its guest down: a device that nobody has open is made anew for as many queues as "
          "the document asks"),
    Cause(Name.DEVICE, ("socket",), say.socket_deleted,
          "`vifctl port repair` has the guest make it anew; so does a restart of the guest",
          explains=("vhost.*", "guest*"), applies=lambda f: _missing(f) and not f.repairable),
    Cause(Name.DEVICE, ("socket", "socket.exists"), say.socket, _WHO,
          explains=("vhost.*", "guest*"), applies=_missing),
    Cause(Name.DEVICE, ("device*", "socket*"), say.plain, _WHO),
    # --- the switch
    Cause(Name.SWITCH, ("ovsdb.connected",), say.database, say.START_DATABASE,
          explains=_OF_SWITCH),
    Cause(Name.SWITCH, ("switch.bridge",), say.bridge_missing,
          f"{_WHO}; vifd makes its integration bridge anew unless `create_bridge` is false",
          explains=_OF_SWITCH),
    Cause(Name.SWITCH, ("switch.fail_mode",), say.plain,
          f"{_WHO}; a bridge that is not `secure` passes everything once its controller is lost",
          explains=("flows*", "trace.*")),
    Cause(Name.SWITCH, ("flows",), say.switch_silent, say.START_SWITCH,
          explains=("flows*", "trace.*", "ovsdb.ofport", "ovsdb.error", "ovsdb.admin_state",
                    "ovsdb.ifindex", "patch", "uplink.*", "vhost.*")),
    Cause(Name.SWITCH, ("bridge.up",), say.mapped_down, "set it up: `ip link set BRIDGE up`",
          explains=("bridge.stops",)),
    Cause(Name.SWITCH, ("bridge.snooping",), say.snooping,
          "turn it off (`ip link set BRIDGE type bridge mcast_snooping 0`), or have a querier on "
          "the network"),
    Cause(Name.SWITCH, ("bridge",), say.linux_bridge, _WHO,
          explains=("bridge.*", "uplink*")),
    # --- the port on the switch
    Cause(Name.PORT, ("ovsdb.port",), say.port_missing, _WHO,
          explains=("trace.*", "vhost.*", "ovsdb.*"), applies=_missing),
    Cause(Name.PORT, ("ovsdb.bridge",), say.port_elsewhere, _WHO, explains=("trace.*",)),
    Cause(Name.PORT, ("ovsdb.error",), say.port_error,
          "the switch's own words say why; ovs-vswitchd's log has more",
          explains=("ovsdb.ofport", "trace.*", "vhost.*")),
    Cause(Name.PORT, ("ovsdb.ofport_request",), say.port_number, _WHO,
          explains=("ovsdb.ofport", "trace.*")),
    Cause(Name.PORT, ("ovsdb.ofport",), say.port_number,
          "another port may hold the number: `ovs-vsctl --columns=name,ofport list Interface`",
          explains=("trace.*",)),
    Cause(Name.PORT, ("ovsdb.tag",), say.port_tag, _WHO, explains=("trace.*",)),
    Cause(Name.PORT, ("ovsdb.vlans",), say.port_vlans, _WHO),
    Cause(Name.PORT, ("ovsdb.openflow",), say.port_stopped,
          "`ovs-ofctl mod-port BRIDGE PORT up`, `receive` or `forward` takes it back",
          explains=("trace.*",)),
    Cause(Name.PORT, ("ovsdb.iface_id",), say.port_twin,
          "remove the id from the other port, or the port"),
    Cause(Name.PORT, ("ovsdb.external_ids",), say.port_ids, _WHO),
    Cause(Name.PORT, ("ovsdb.ifindex",), say.port_device, _WHO, explains=("trace.*",)),
    Cause(Name.PORT, ("ovsdb.admin_state",), say.port_down, _WHO),
    Cause(Name.PORT, ("vhost.buffers",), say.plain,
          "give the switch more huge pages, or the guests' networks a smaller MTU",
          explains=("vhost.*",)),
    Cause(Name.PORT, ("bridge.port",), say.not_enslaved, _WHO,
          explains=("bridge.*", "device.carrier")),
    Cause(Name.PORT, ("bridge.stops",), say.port_stops,
          "`bridge link set dev DEVICE state 3`, `locked off` or `neigh_suppress off` takes it "
          "back"),
    Cause(Name.PORT, ("ovsdb.*", "vhost.*", "bridge.*"), say.plain, _WHO),
    # --- flows
    Cause(Name.FLOWS, ("trace.*",), say.foreign_flow,
          "remove that flow, or have its owner keep off this bridge: vifd never touches flows that "
          "do not bear its cookie", applies=foreign),
    Cause(Name.FLOWS, ("flows.foreign",), say.foreign_flows,
          "remove them, or have their owner keep off the tables and ports of vifd: it never "
          "touches flows that do not bear its cookie", explains=("trace.*",)),
    Cause(Name.FLOWS, ("flows.fragments",), say.plain,
          f"{_WHO}; until vifd sets it again, the switch refuses first fragments of UDP, TCP and "
          "ICMPv6"),
    Cause(Name.FLOWS, ("flows.*",), say.flows_differ, _WHO, explains=("trace.*",)),
    # --- the packet filter
    Cause(Name.FILTER, ("security_groups*",), say.awaits_set,
          "have the network service say it, or `vifctl sg set` it; `vifctl sg list` shows those "
          "that are here", explains=("trace.*",)),
    Cause(Name.FILTER, ("nft",), say.filter_silent, "`nft list table bridge vifd` says the same",
          explains=("nft.*",)),
    Cause(Name.FILTER, ("nft.prerouting", "nft.input", "nft.postrouting"), say.filter_differs,
          f"{_WHO}; another program may flush the whole rule set", explains=("nft.*",),
          applies=_missing),
    Cause(Name.FILTER, ("nft.others",), say.filter_of_others,
          "have that software accept bridged frames, or keep its filters from them: "
          "`sysctl net.bridge.bridge-nf-call-iptables=0` (and ip6tables, arptables)"),
    Cause(Name.FILTER, ("nft.rules", "nft.targets"), say.filter_differs, _WHO,
          explains=("nft.from",)),
    Cause(Name.FILTER, ("nft.*",), say.filter_differs,
          f"{_WHO}; another program may flush the whole rule set"),
    # --- the way out of the host
    Cause(Name.UPLINK, ("uplink.mapping",), say.unmapped, say.MAP_AND_RESTART,
          explains=("patch", "uplink.*", "flows.network", "flows.bridge")),
    Cause(Name.UPLINK, ("uplink.bridge",), say.physical_missing,
          "make the bridge, or correct `bridge_mappings`",
          explains=("patch", "uplink.*", "flows.network", "flows.bridge")),
    Cause(Name.UPLINK, ("patch",), say.patch, _WHO,
          explains=("flows.network", "flows.bridge", "trace.*")),
    Cause(Name.UPLINK, ("tunnel.type",), say.no_tunnel,
          "set `local_ip` and `tunnel_types` in agent.conf, then restart vifd",
          explains=("tunnel.*", "flows.network", "flows.bridge", "trace.*")),
    Cause(Name.UPLINK, ("tunnel.port",), say.tunnel_port, _WHO,
          explains=("tunnel.leaving", "tunnel.arriving", "flows.network", "flows.bridge",
                    "trace.*")),
    Cause(Name.UPLINK, ("tunnel.local_ip",), say.no_local_ip,
          "give the address to the interface that leads to the other hosts, or correct `local_ip`",
          explains=("tunnel.carrier", "tunnel.route", "tunnel.leaving")),
    Cause(Name.UPLINK, ("tunnel.carrier",), say.tunnel_down,
          "bring the interface up; look at its cable", explains=("tunnel.route", "tunnel.leaving")),
    Cause(Name.UPLINK, ("tunnel.version",), say.unreachable_endpoints,
          "add an address of that IP version to `local_ip`", explains=("tunnel.leaving",)),
    Cause(Name.UPLINK, ("tunnel.route",), say.unreachable_endpoints,
          "add the route: `ip route get ENDPOINT` and `ovs-appctl ovs/route/lookup ENDPOINT` shall "
          "name an interface", explains=("tunnel.leaving",)),
    Cause(Name.UPLINK, ("tunnel.mtu",), say.tunnel_mtu,
          "raise the MTU of the underlay, or lower that of the network"),
    Cause(Name.UPLINK, ("tunnel.*",), say.tunnelled,
          "look at the tunnel port and its neighbours: `ovs-appctl tnl/neigh/show`"),
    Cause(Name.UPLINK, ("uplink.port",), say.uplink_gone,
          "put the interface back on the bridge (`ovs-vsctl add-port`); if the bridge shall lead "
          "nowhere, remove `vifd-uplinks` from the external ids of the patch port on it",
          explains=("uplink.*",)),
    Cause(Name.UPLINK, ("uplink.openflow",), say.port_stopped,
          "`ovs-ofctl mod-port BRIDGE PORT up`, `receive` or `forward` takes it back; a spanning "
          "tree is seen by `ovs-appctl stp/show`",
          explains=("uplink.leaving", "uplink.arriving*", "uplink.carrier")),
    Cause(Name.UPLINK, ("uplink.vlan",), say.uplink_vlan,
          "correct tag, trunks and vlan_mode of that port in the switch's database",
          explains=("uplink.leaving", "uplink.arriving*")),
    Cause(Name.UPLINK, ("uplink.carrier", "uplink.up"), say.uplink_down,
          "look at the cable, the bond and the switch at its other end"),
    Cause(Name.UPLINK, ("uplink.leaving", "uplink.arriving*"), say.lost_outside,
          "look at the flows, port settings and spanning tree of that bridge: `ovs-ofctl "
          "dump-flows`, `ovs-ofctl show`; they are not vifd's"),
    Cause(Name.UPLINK, ("uplink.mtu",), say.uplink_mtu,
          "raise the MTU of the interface to the physical network, or lower that of the network"),
    Cause(Name.UPLINK, ("uplink*",), say.uplink, _WHO),
    # --- the proof
    Cause(Name.TRACE, ("trace.*",), say.traced, say.TRACE_BY_HAND),
    # --- the guest
    Cause(Name.GUEST, ("guest.memory",), say.plain,
          "give the guest huge pages that are shared (`hw:mem_page_size` in the flavor)",
          explains=("vhost.*",)),
    Cause(Name.GUEST, ("guest.holder",), say.held_by_stranger,
          "end that process, or give it a device of its own: the guest of the port cannot open "
          "this one meanwhile"),
    Cause(Name.GUEST, ("guest.device",), say.guest_lost,
          "`vifctl port repair` takes the device out of the guest and puts it back"),
    Cause(Name.GUEST, ("guest*",), say.plain, "look at the guest's console and its XML"),
)  # fmt: skip

#: By plugin, what its own facts mean.
_declared: dict[str, tuple[Cause, ...]] = {}


def declare(plugin: str, meanings: Iterable[Meaning]) -> None:
    """Take a plugin's own rows; it is asked once, when it is found.

    :raises ValueError: there is no such step
    """
    _declared[plugin] = tuple(_cause(meaning) for meaning in meanings)
    rows.cache_clear()


def learn(name: str, plugin: VifPlugin | type[VifPlugin]) -> None:
    """Take what a plugin declares; what cannot be used costs its own sentences, and is told."""
    try:
        declare(name, plugin.meanings())
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        LOG.warning("plugin %s: what it says its facts mean cannot be used: %s. Next: its facts "
                    "are explained by their names", name, error)  # fmt: skip


def _cause(meaning: Meaning) -> Cause:
    def sentence(finding: Evidence, _: Subject) -> str:
        return meaning.sentence(finding)

    step = Name(meaning.step)
    return Cause(step, meaning.facts, sentence, meaning.hint, meaning.explains)


@lru_cache(maxsize=1)
def rows() -> tuple[Cause, ...]:
    """All rows in the order of the path; of one step a plugin's own come first, for those of the
    core end with one for whatever is left."""
    every = [cause for rows in _declared.values() for cause in rows]
    return tuple(c for step in Name for c in (*every, *_CORE) if c.step is step)


_BY_SOURCE = {
    "netlink": Name.DEVICE,
    "stat": Name.DEVICE,
    "file system": Name.DEVICE,
    "ovsdb": Name.PORT,
    "openflow": Name.FLOWS,
    "nft": Name.FILTER,
    "trace": Name.TRACE,
    "proc": Name.GUEST,
}


def cause_of(finding: Evidence) -> Cause:
    """The row for a finding; plugins that are not of this tree name facts of their own."""
    for cause in rows():
        if cause.matches(finding):
            return cause
    step = _BY_SOURCE.get(finding.source, Name.PORT)
    return Cause(step, (finding.fact,), say.plain, "see the documentation of the plugin")


def step_of(fact: Evidence) -> Name:
    """The step that a fact belongs to, right or wrong."""
    if fact.fact in ("device.carrier", "bridge.forwards", "vhost.link_state"):
        return Name.GUEST
    for cause in rows():
        if matching(fact.fact, cause.facts) and cause.step is not Name.FLOWS:
            return cause.step
    return Name.FLOWS if fact.fact.startswith("flows") else cause_of(fact).step


def rank(finding: Evidence) -> int:
    """Where a finding's row stands: the smaller, the earlier on the path and the graver."""
    for number, cause in enumerate(rows()):
        if cause.matches(finding):
            return number
    steps = list(Name)
    step = cause_of(finding).step
    after = [n for n, c in enumerate(rows()) if steps.index(c.step) <= steps.index(step)]
    return max(after, default=0)


def roots(findings: Iterable[Evidence]) -> list[Evidence]:
    """The findings that no other one explains, the first on the path first."""
    found = list(findings)
    return sorted((f for f in found if explanation_of(f, found) is None), key=rank)


def explanation_of(finding: Evidence, findings: Iterable[Evidence]) -> Evidence | None:
    """The finding that explains this one, if there is one."""
    for other in sorted(findings, key=rank):
        if other is finding or not _explains(other, finding):
            continue
        # of two that explain each other the earlier one is the cause
        if rank(other) < rank(finding) or not _explains(finding, other):
            return other
    return None


def _explains(cause: Evidence, finding: Evidence) -> bool:
    row = cause_of(cause)
    if rank(cause) == rank(finding) or not matching(finding.fact, row.explains):
        return False
    if foreign(finding) and say.above_ours(finding):
        # it takes frames whatever else is wrong, as long as there is a switch
        return row.step is Name.SWITCH
    return True
