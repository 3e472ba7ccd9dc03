"""What ports, groups, address groups and forwarding of one network mean, said a second time and as
plainly as can be: by the Networking API's reference, for the random machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from functional.groups.packets import Station
from vifd.testing.attachments import ipv4, ipv6, mac

GROUPS = tuple(f"11111111-0000-4000-8000-00000000000{n}" for n in (1, 2))
ADDRESSES = "33333333-0000-4000-8000-000000000001"
LOG = "44444444-0000-4000-8000-000000000001"
ENDPOINTS = ("192.0.2.2", "192.0.2.3")
#: Ports of this host, and of others.
HERE, FAR = (1, 2, 3), (21, 22)
#: Packets that begin a connection: protocol and destination port, or ICMP.
KINDS = ("udp:53", "udp:80", "tcp:80", "tcp:443", "icmp:8/0")
_NUMBERS = {"tcp": 6, "udp": 17}


def station(number: int) -> Station:
    return Station(mac(number), ipv4(number), ipv6(number))


@dataclass(frozen=True)
class Flow:
    """A connection by its first packet."""

    sender: int
    receiver: int
    kind: str
    version: int
    sport: int

    @property
    def ends(self) -> set[int]:
        return {self.sender, self.receiver}


@dataclass
class Model:
    """What was said and not taken back.

    :ivar rules: by group that is there
    :ivar ports: of this host, with their groups; ``None``: none are asked for
    :ivar log: what is logged, of which port and which group's ports; ``None``: nothing
    :ivar where: by endpoint of the network, who is behind it; ``None``: nobody said it
    """

    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    addresses: set[str] | None = None
    ports: dict[int, tuple[str, ...] | None] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    where: dict[str, tuple[int, ...]] | None = None
    log: tuple[str, int | None, str | None] | None = None

    def told(self, flow: Flow) -> list[tuple[int, str, bool]]:
        """What is handed over of the first packet between two ports here: port, direction, and
        whether it passed."""
        found = []
        for number, direction in ((flow.sender, "egress"), (flow.receiver, "ingress")):
            passed = self._may(flow, number, direction)
            if self._logged(number, passed):
                found.append((number, direction, passed))
            if not passed:
                break
        return found

    def _logged(self, number: int, passed: bool) -> bool:
        groups = self.ports[number]
        if groups is None or self.log is None:
            return False
        event, port, group = self.log
        of_it = port in (None, number) and (group is None or group in groups)
        return of_it and (event == "ALL" or (event == "ACCEPT") is passed)

    def passes(self, flow: Flow) -> bool:
        """Whether a connection may be: by the rules for what its sender sends, and for what its
        receiver gets."""
        return self._may(flow, flow.sender, "egress") and self._may(flow, flow.receiver, "ingress")

    def _may(self, flow: Flow, number: int, direction: str) -> bool:
        if number in FAR:
            return True
        if number not in self.ports or number in self.closed:
            return False
        groups = self.ports[number]
        if groups is None:
            return True
        if any(group not in self.rules for group in groups):
            return False  # closed until its group is there
        asked = [r for g in groups for r in self.rules[g] if r["direction"] == direction]
        if any(self._missing(rule) for rule in asked):
            return False
        other = flow.receiver if direction == "egress" else flow.sender
        address = station(other).ip(flow.version)
        return any(_near(rule, flow) and self._far(rule, address) for rule in asked)

    def _missing(self, rule: dict[str, Any]) -> bool:
        """Whether a set that a rule names is not there."""
        if "remote_address_group_id" in rule:
            return self.addresses is None
        group = rule.get("remote_group_id")
        return group is not None and group not in self.rules

    def _far(self, rule: dict[str, Any], address: str) -> bool:
        """Whether the other side is one that a rule is about."""
        prefixes = {rule.get("remote_ip_prefix")}
        if "remote_address_group_id" in rule:
            prefixes = {*(self.addresses or ())}
        elif "remote_group_id" in rule:
            group = rule["remote_group_id"]
            inside = [n for n, groups in self.ports.items() if group in (groups or ())]
            own = {ip for n in inside for ip in (ipv4(n), ipv6(n))}
            prefixes = {*self.members.get(group, ()), *own}
        elif prefixes == {None}:
            return True
        ip = ipaddress.ip_address(address)
        nets = [ipaddress.ip_network(p) for p in prefixes if p]
        return any(ip.version == net.version and ip in net for net in nets)

    def endpoints(self, number: int) -> set[str]:
        """Where a frame for somebody elsewhere goes: to who has it, or to all who may."""
        behind = self.where or {}
        known = {address for address, ports in behind.items() if number in ports}
        return known or set(behind)


def _near(rule: dict[str, Any], flow: Flow) -> bool:
    """Whether a packet is one that a rule is about, whoever sends it."""
    if rule["ethertype"] != f"IPv{flow.version}":
        return False
    kind, _, what = flow.kind.partition(":")
    named = rule.get("protocol")
    if named is None:
        return True
    if kind == "icmp":
        return named in ("icmp", "ipv6-icmp")
    if named != kind:
        return False
    low = rule.get("port_range_min")
    return low is None or low <= int(what) <= rule["port_range_max"]
