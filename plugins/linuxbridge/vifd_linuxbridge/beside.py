"""What others did beside a port at rest: filters of theirs in its way, settings of the bridge that
is theirs and of the interfaces it leads out by. No plug mends it, so a plug does not read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from vifd.drivers import Bridging, Device, FilterChain, Nft, passing
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.model.members import members_of
from vifd.plugin import claimed
from vifd_linuxbridge import groupbase, ruleset, shaping, telling
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.networks import port_problem
from vifd_linuxbridge.ruleset import TABLE

#: Which filters of the host see bridged frames by which setting.
_CALLS = {"ip": "iptables", "ip6": "ip6tables", "arp": "arptables"}
#: Hooks of the IP families that a bridged frame passes.
_FORWARD = ("prerouting", "forward", "postrouting")
#: The same by the version of IP.
_VERSIONS = {4: "iptables", 6: "ip6tables"}
#: What every port has besides.
_LINK_LOCAL = ip_network("fe80::/64")
_SHOWN = 4
#: The base chains of the table.
_OWN = frozenset(
    chain.name
    for chain in (*ruleset.base(False), *groupbase.base(), *shaping.base(), *telling.base())
    if chain.hook is not None
)


class Beside:
    """Read once for all ports of a check.

    :param ways: of each mapped physical network, the interfaces by which its bridge leads out
    """

    def __init__(
        self, bridging: Bridging, nft: Nft, ways: Mapping[str, Sequence[str]], works: Sequence[Work]
    ) -> None:
        self._bridging = bridging
        self._ways = ways
        asked = [n for w in works for n in (w.names.bridge, *self._of(w))]
        self._devices = bridging.get(asked) if asked else {}
        try:
            self._chains = nft.others(TABLE) if works else ()
        except VifError:
            self._chains = ()
        filtered = bridging.filtered() if works else []
        self._calls = frozenset(setting.rpartition("-")[2] for setting in filtered)

    def _of(self, work: Work) -> Sequence[str]:
        names = work.names
        return () if names.own_bridge else self._ways.get(names.physical_network or "", ())

    def evidence(self, work: Work, device: Device | None) -> list[Evidence]:
        """The findings of a port; where there is nothing, one fact says so."""
        facts = [self._filters(work)]
        if device is not None and device.master is not None:
            facts.append(_stops(device))
        if not work.names.own_bridge:
            facts += self._mapped(work)
        if work.item.thorough:
            facts += self._put_on(work)
        return facts

    def _filters(self, work: Work) -> Evidence:
        bridge = self._devices.get(work.names.bridge)
        calls = self._calls | set(bridge.calls if bridge is not None else ())
        mine = {work.device, work.names.uplink, *self._of(work)}
        theirs = [c for c in self._chains if not _own(c) and in_the_way(c, calls, mine)]
        if any(chain.translating for chain in theirs):
            versions = [v for v, name in _VERSIONS.items() if name in calls]
            place = (work.names.bridge, bridge.link.ifindex if bridge is not None else 0)
            theirs = meeting(theirs, _addresses(work), versions, *place)
        found = [str(chain) for chain in theirs]
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        have = [*found[:_SHOWN], *more]
        return Evidence("nft.others", have, [], not found, "nft", repairable=False)

    def _mapped(self, work: Work) -> list[Evidence]:
        """A bridge of others, and what it leads out by."""
        bridge = self._devices.get(work.names.bridge)
        if bridge is None:
            return []
        snoops = bool(bridge.snooping)
        facts = [
            Evidence("bridge.up", bridge.link.up, True, bridge.link.up, "netlink", False),
            Evidence("bridge.snooping", snoops, False, not snoops, "netlink", False),
        ]
        for name in self._of(work):
            problem = _way_problem(self._devices.get(name), bridge.link.ifindex)
            have = f"{name}: {problem}" if problem else "as wanted"
            facts.append(Evidence("uplink.port", have, "as wanted", not problem, "netlink", False))
        return facts

    def _put_on(self, work: Work) -> list[Evidence]:
        way = [n for n in (work.names.uplink, *self._of(work)) if n]
        places = (work.names.bridge, *way)
        answers = claimed.evidence(self._bridging, work.item.attachment, places)
        try:
            found = self._bridging.hindrances([work.device, *way])
            rates = self._bridging.limits([work.device, *way])
        except VifError:
            return answers
        # being a port of its bridge, and a card's addresses, are judged elsewhere
        own = [t for t in found.get(work.device, []) if not t.startswith("it is a port of")]
        texts = [f"{work.device}: {text}" for text in own]
        beyond = [f"{n}: {t}" for n in way for t in passing(found.get(n, []))]
        limits = rates.get(work.device, [])
        outside = [f"{n}: {t}" for n in way for t in rates.get(n, [])]
        return [
            *answers,
            Evidence("device.others", texts, [], not texts, "netlink", repairable=False),
            Evidence("device.limits", limits, [], not limits, "netlink", repairable=False),
            Evidence("uplink.others", beyond, [], not beyond, "netlink", repairable=False),
            Evidence("uplink.limits", outside, [], not outside, "netlink", repairable=False),
        ]


def _own(chain: FilterChain) -> bool:
    """Whether it is one of the table's; who puts another one there has a filter of others."""
    return (chain.family, chain.table) == ("bridge", TABLE) and chain.name in _OWN


def in_the_way(chain: FilterChain, calls: frozenset[str] | set[str], devices: set[str]) -> bool:
    """Whether a chain of others sees frames of a port.

    :param calls: the filters of the host that see bridged frames
    :param devices: that frames of the port come and go by
    """
    if chain.family == "netdev" or chain.devices:
        return not devices.isdisjoint(chain.devices)
    if chain.hook not in _FORWARD:
        return False
    if chain.family == "bridge":
        return True
    if chain.family == "inet":
        return bool(calls & {"iptables", "ip6tables"})
    return _CALLS.get(chain.family) in calls


def meeting(
    chains: Sequence[FilterChain], own: Sequence[IPv4Network | IPv6Network],
    versions: Sequence[int], bridge: str, index: int,
) -> list[FilterChain]:  # fmt: skip
    """Chains with those of their translations that a port's frames can come to; without those that
    do nothing else. See :class:`vifd.drivers.translation.Translation`."""
    narrowed = [
        replace(chain, translating=tuple(
            one for one in chain.translating if one.meets(own, versions, bridge, index)
        ))
        for chain in chains
    ]  # fmt: skip
    return [chain for chain in narrowed if chain]


def _addresses(work: Work) -> list[IPv4Network | IPv6Network]:
    members = members_of(work.item.attachment)
    found = [ip_network(member.ip_address, strict=False) for member in members]
    return [*found, _LINK_LOCAL] if found else []


def _stops(device: Device) -> Evidence:
    """What keeps frames from passing at the port; its state is not for a plug to change."""
    mended = not any("state" in text for text in device.stops)
    ok = not device.stops
    return Evidence("bridge.stops", list(device.stops), [], ok, "netlink", repairable=mended)


def _way_problem(device: Device | None, bridge: int) -> str:
    if device is None:
        return "missing"
    if not device.link.up:
        return "down"
    return "not a port of the bridge" if device.master != bridge else port_problem(device)
