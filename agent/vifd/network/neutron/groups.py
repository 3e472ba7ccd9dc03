"""Security groups and address groups that this host's ports are judged by, as shared sets.

Of the groups of ports here the rules are known; of the groups that such rules name, who is in them,
wherever that is. A port that joins, leaves or changes its addresses costs its own members and
nothing else.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from vifd import errors
from vifd.engine.setdesk import SetDesk
from vifd.model.setpatch import SetPatch
from vifd.model.setreading import read_members, read_rules, read_set
from vifd.model.setrecord import name_of
from vifd.model.sets import Member, SecurityGroup, SecurityGroupRule, SetKey, SetKind
from vifd.network.neutron.abreast import answers
from vifd.network.neutron.objects import Plain, entries, mac, revision
from vifd.network.neutron.server import Server
from vifd.network.neutron.translate import OWNER, secured

LOG = logging.getLogger(__name__)

REQUEST = "neutron"
_RULE = ("id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max",
         "remote_ip_prefix", "remote_group_id", "remote_address_group_id")  # fmt: skip


def groups_of(port: Mapping[str, Any]) -> frozenset[str]:
    """The ids of a port's groups."""
    return frozenset(map(str, port.get("security_group_ids") or ()))


def members_of(port: Mapping[str, Any]) -> tuple[Member, ...]:
    """The addresses by which a port is a member of its groups."""
    own = mac(port.get("mac_address"))
    said = [{"ip_address": str(ip.get("ip_address")), "mac_address": own}
            for ip in entries(port, "fixed_ips")]  # fmt: skip
    for pair in entries(port, "allowed_address_pairs"):
        address = mac(pair.get("mac_address")) or own
        said.append({"ip_address": str(pair.get("ip_address")), "mac_address": address})
    try:
        return read_members(said, "members")
    except errors.BadDocument as error:
        LOG.warning("neutron: %s. Next: it is in no group here. port=%s", error.message, port["id"])
        return ()


def rules_of(rules: Iterable[Mapping[str, Any]], group: str) -> tuple[SecurityGroupRule, ...]:
    """The rules that make sense; of the others nothing is let pass."""
    found: list[SecurityGroupRule] = []
    for rule in rules:
        said = {name: rule[name] for name in _RULE if rule.get(name) is not None}
        if "remote_ip_prefix" in said:
            said["remote_ip_prefix"] = str(said["remote_ip_prefix"])
        try:
            found += read_rules([said], group, "rules")
        except errors.BadDocument as error:
            LOG.warning(
                "neutron: rule %s of security group %s: %s. Next: nothing passes by it",
                rule.get("id"), group, error.message,
            )  # fmt: skip
    return tuple(found)


class Groups:
    """What is known of groups. Not shared between threads.

    :param gather: seconds for which members that go are gathered; those that come are said at once
    """

    def __init__(
        self, server: Server, desk: SetDesk, gather: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._gather = gather
        self._clock = clock
        #: by group, the members that came, and those that went, and were not said yet
        self._came: dict[str, set[Member]] = {}
        self._went: dict[str, set[Member]] = {}
        #: when those that went are to be said
        self._due = math.inf
        self._server = server
        self._desk = desk
        #: groups of ports here, as the service has them, and their rules by id
        self._groups: dict[str, Plain] = {}
        self._rules: dict[str, dict[str, Plain]] = {}
        #: by group that a rule names: how many ports give it each member
        self._members: dict[str, Counter[Member]] = {}
        #: by port: its count of changes, its groups of those, and its members
        self._ports: dict[str, tuple[int, frozenset[str], tuple[Member, ...]]] = {}
        self._addresses: dict[str, Plain] = {}

    # --- all of it ---

    def read(self, ports: Sequence[Plain]) -> None:
        """Know what these ports, all that are here, are judged by; take away what none is.

        :raises Exception: the service could not be asked
        """
        for known in (self._groups, self._rules, self._members, self._ports, self._addresses):
            known.clear()
        self._came.clear()
        self._went.clear()
        self.ensure(ports)
        named = {*self._groups, *self._members}
        lists = {SetKind.SECURITY_GROUP: named, SetKind.ADDRESS_GROUP: self._addresses.keys()}
        for kind, ids in lists.items():
            self._desk.compare(kind, OWNER, ids, remove=True, request_id=REQUEST)

    def ensure(self, ports: Iterable[Plain]) -> None:
        """Know what these ports are judged by.

        :raises Exception: the service could not be asked
        """
        wanted = {g for p in ports if secured(p) for g in groups_of(p)} - self._groups.keys()
        if not wanted:
            return
        ask = self._server
        groups, rules = answers([
            lambda: list(ask.pull("SecurityGroup", wanted)),
            lambda: ask.where("SecurityGroupRule", security_group_id=sorted(wanted)),
        ])  # fmt: skip
        for group in groups:
            self._groups[group["id"]] = group
            self._rules[group["id"]] = {}
        for rule in rules:
            self._rules.get(str(rule.get("security_group_id")), {})[rule["id"]] = rule
        self._follow_rules(wanted)
        for group_id in sorted(wanted & self._groups.keys()):
            self._put(group_id)

    def _follow_rules(self, groups: Iterable[str]) -> None:
        """Know who is in the groups that rules name."""
        rules = [rule for g in groups for rule in self._rules.get(g, {}).values()]
        remote = {str(r["remote_group_id"]) for r in rules if r.get("remote_group_id")}
        named = {r.get("remote_address_group_id") for r in rules}
        addresses = {str(i) for i in named if i}
        new = sorted(remote - self._members.keys())
        asked = [partial(self._server.where, "Port", security_group_ids=[i]) for i in new]
        for group_id, ports in zip(new, answers(asked), strict=True):
            self._members[group_id] = Counter()
            for port in ports:
                self._joined(port)
            self._put(group_id)
        for item in self._server.pull("AddressGroup", addresses - self._addresses.keys()):
            self._address_group(item)

    # --- one change ---

    def port(self, port: Plain) -> None:
        """A port, here or elsewhere, is as it is now: bring the groups that it is in to it."""
        for group_id, (gone, new) in self._joined(port).items():
            self._patch(group_id, gone, new)

    def port_gone(self, port_id: str) -> None:
        """A port is no more."""
        before = self._ports.pop(port_id, None)
        if before is not None:
            _, groups, members = before
            for group_id in groups:
                self._patch(group_id, self._without(group_id, members), ())

    def changed(self, kind: str, item: Plain) -> None:
        """A group, rule or address group is as it is now."""
        if kind == "SecurityGroup" and item["id"] in self._groups:
            if revision(item) >= revision(self._groups[item["id"]]):
                self._groups[item["id"]] = item
                self._put(item["id"])
        elif kind == "SecurityGroupRule":
            group_id = str(item.get("security_group_id"))
            if group_id in self._groups:
                self._rules[group_id][item["id"]] = item
                self._follow_rules([group_id])
                self._put(group_id)
        elif kind == "AddressGroup" and item["id"] in self._addresses:
            self._address_group(item)

    def deleted(self, kind: str, object_id: str) -> None:
        """One of them is no more."""
        if kind == "SecurityGroupRule":
            for group_id, rules in self._rules.items():
                if rules.pop(object_id, None) is not None:
                    self._put(group_id)
        elif kind == "SecurityGroup" and object_id in {*self._groups, *self._members}:
            self._groups.pop(object_id, None)
            self._rules.pop(object_id, None)
            self._members.pop(object_id, None)
            key = SetKey(SetKind.SECURITY_GROUP, object_id)
            self._desk.delete(key, OWNER, request_id=REQUEST)
        elif kind == "AddressGroup" and self._addresses.pop(object_id, None) is not None:
            key = SetKey(SetKind.ADDRESS_GROUP, object_id)
            self._desk.delete(key, OWNER, request_id=REQUEST)

    # --- members ---

    def _joined(
        self, port: Plain
    ) -> dict[str, tuple[tuple[Member, ...], tuple[Member, ...]]]:  # fmt: skip
        """Note a port's membership; by group, the members that went and that came."""
        groups = groups_of(port) & self._members.keys()
        before = self._ports.get(port["id"])
        if before is not None and revision(port) < before[0]:
            return {}
        if before is None and not groups:
            return {}
        _, old_groups, old = before or (0, frozenset[str](), ())
        new = members_of(port)
        self._ports[port["id"]] = (revision(port), groups, new)
        if not groups:
            del self._ports[port["id"]]
        if (old_groups, old) == (groups, new):
            return {}
        changed = {}
        for group_id in sorted(old_groups | groups):
            count = self._members.get(group_id)
            if count is None:
                # it was deleted under its ports
                continue
            had = set(count)
            if group_id in old_groups:
                count.subtract(old)
            if group_id in groups:
                count.update(new)
            self._members[group_id] = +count
            has = set(self._members[group_id])
            changed[group_id] = (tuple(had - has), tuple(has - had))
        return changed

    def _without(self, group_id: str, members: Sequence[Member]) -> tuple[Member, ...]:
        """Take members away; those that no other port gives."""
        count = self._members.get(group_id)
        if count is None:
            return ()
        count.subtract(members)
        self._members[group_id] = +count
        return tuple(m for m in members if m not in self._members[group_id])

    # --- what is said ---

    def _put(self, group_id: str) -> None:
        group = self._groups.get(group_id, {})
        body = SecurityGroup(
            id=group_id, name=str(group.get("name") or "")[:255],
            stateful=group.get("stateful") is not False,
            rules=rules_of(self._rules.get(group_id, {}).values(), group_id),
            members=tuple(sorted(self._members.get(group_id, ()), key=name_of)),
        )  # fmt: skip
        self._came.pop(group_id, None)
        self._went.pop(group_id, None)
        self._desk.put(body, OWNER, request_id=REQUEST)

    def _patch(self, group_id: str, gone: Sequence[Member], new: Sequence[Member]) -> None:
        if new:
            self._came.setdefault(group_id, set()).update(new)
        if gone:
            self._went.setdefault(group_id, set()).update(gone)
            self._due = min(self._due, self._clock() + self._gather)

    def flush(self) -> None:
        """Say who came; and who went, once that has been gathered."""
        came, self._came = self._came, {}
        went: dict[str, set[Member]] = {}
        if self._clock() >= self._due:
            went, self._went, self._due = self._went, {}, math.inf
        for group_id in sorted(came.keys() | went.keys()):
            present = self._members.get(group_id)
            if present is None:
                continue
            new = tuple(m for m in came.get(group_id, ()) if m in present)
            gone = frozenset(name_of(m) for m in went.get(group_id, ()) if m not in present)
            if new or gone:
                key = SetKey(SetKind.SECURITY_GROUP, group_id)
                self._desk.patch(key, SetPatch(add=new, remove=gone), OWNER, request_id=REQUEST)

    def _address_group(self, item: Plain) -> None:
        self._addresses[item["id"]] = item
        addresses = [str(a.get("address")) for a in entries(item, "addresses")]
        said = {"name": str(item.get("name") or "")[:255], "addresses": addresses}
        try:
            body = read_set(said, SetKey(SetKind.ADDRESS_GROUP, item["id"]))
        except errors.BadDocument as error:
            LOG.warning("neutron: address group %s: %s", item["id"], error.message)
            return
        self._desk.put(body, OWNER, request_id=REQUEST)
