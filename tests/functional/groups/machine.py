"""A hypothesis machine on ports, groups, address groups, members, QoS policies and who is behind
which tunnel: whatever is said in whatever order, packets go where the model says, limits are those
that were asked for, and nothing is left."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from functional.groups import packets as p
from functional.groups.hosts import History, name, port
from functional.groups.model import (
    ADDRESSES,
    ENDPOINTS,
    FAR,
    GROUPS,
    HERE,
    KINDS,
    LOG,
    Flow,
    Model,
    station,
)
from vifd.model import Attachment
from vifd.model.sets import SetKey, SetKind
from vifd.testing import contract_limits
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.wait import until

here, far = st.sampled_from(HERE), st.sampled_from(FAR)
groups = st.sampled_from(GROUPS)
_CLAUSES: tuple[dict[str, Any], ...] = (
    {}, {"protocol": "tcp"}, {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
    {"protocol": "udp", "port_range_min": 50, "port_range_max": 79}, {"protocol": "icmp"},
)  # fmt: skip
_OTHERS: tuple[dict[str, Any], ...] = (
    {}, {}, {"remote_group_id": GROUPS[0]}, {"remote_group_id": GROUPS[1]},
    {"remote_address_group_id": ADDRESSES}, {"remote_ip_prefix": "near"},
)  # fmt: skip
#: By IP version: a prefix that has some of them.
_PREFIXES = {4: "10.0.0.0/30", 6: "fd00::2/127"}


def _rule(way: str, version: int, clause: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    found = {"direction": way, "ethertype": f"IPv{version}", **clause, **other}
    if version == 6 and found.get("protocol") == "icmp":
        found["protocol"] = "ipv6-icmp"
    if "remote_ip_prefix" in found:
        found["remote_ip_prefix"] = _PREFIXES[version]
    return found


rules = st.builds(
    _rule, st.sampled_from(["ingress", "egress"]), st.sampled_from([4, 6]),
    st.sampled_from(_CLAUSES), st.sampled_from(_OTHERS),
)  # fmt: skip
several, few = (st.lists(rules, max_size=most, unique_by=repr) for most in (4, 2))
#: Single addresses of ports elsewhere and here, and prefixes in which some are.
addresses = st.sampled_from(
    [*(ip(n) for n in (2, *FAR) for ip in (ipv4, ipv6)), "10.0.0.20/30", "fd00::10/124"]
)
held = st.sampled_from([None, (), (GROUPS[0],), (GROUPS[0],), (GROUPS[1],), GROUPS])
#: Rules of a QoS policy, in their other value or not: wide enough for the packets of a run.
policies = st.tuples(st.frozensets(st.sampled_from(sorted(contract_limits.RULES))), st.booleans())


class HistoryMachine(RuleBasedStateMachine):
    """One history; the rig is made anew for each."""

    #: makes the rig; a tuple, because a function would be a method
    make: ClassVar[tuple[Callable[[], History]]]
    #: connections and frames that one look sends
    most: ClassVar[int] = 40

    def __init__(self) -> None:
        super().__init__()
        self.rig = self.make[0]()
        self.model = Model()
        self.begun: list[Flow] = []
        self.limits: dict[int, tuple[frozenset[str], bool]] = {}
        self._sport = 10000
        self.started = False

    @initialize(first=several, second=few)
    def begin(self, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
        """Two groups, an address group, and ports: what is said later changes these."""
        self.put_group(GROUPS[0], first, ["10.0.0.21"])
        self.put_group(GROUPS[1], second, ["fd00::16"])
        self.put_addresses(["10.0.0.20/30"])
        self.say_endpoints([(FAR[0],), (FAR[1],)])
        self.plug(1, (GROUPS[0],))
        self.plug(2, (GROUPS[1],))
        self.log("ALL", None, None)
        self.started = True

    # --- sets ---

    def _put(self, kind: SetKind, set_id: str, **said: Any) -> None:
        self.rig.put(kind, set_id, **said)

    def _group(self, group: str) -> None:
        said = [{"ip_address": ip} for ip in sorted(self.model.members[group])]
        self._put(SetKind.SECURITY_GROUP, group, rules=self.model.rules[group], members=said)

    @rule(group=groups, said=several, members=st.lists(addresses, max_size=2))
    def put_group(self, group: str, said: list[dict[str, Any]], members: list[str]) -> None:
        note(f"group {group[-1]}: {said}, members {members}")
        self.model.rules[group] = said
        self.model.members[group] = set(members)
        self._group(group)

    @rule(group=groups, one=rules)
    def toggle_rule(self, group: str, one: dict[str, Any]) -> None:
        """A rule comes, or the same one goes."""
        known = self.model.rules.get(group)
        if known is None:
            return
        note(f"group {group[-1]}: one rule, {one}")
        self.model.rules[group] = [r for r in known if r != one] if one in known else [*known, one]
        self._group(group)

    @rule(group=groups, ip=addresses)
    def toggle_member(self, group: str, ip: str) -> None:
        if group in self.model.rules:
            note(f"group {group[-1]}: member {ip}")
            self.model.members[group] ^= {_canonical(ip)}
            self._group(group)

    @rule(group=groups)
    def drop_group(self, group: str) -> None:
        """A group goes; ports that are in it, and rules that name it, wait for it."""
        if self.model.rules.pop(group, None) is not None:
            note(f"group {group[-1]} goes")
            self.rig.tell(self.rig.sets.change(SetKey(SetKind.SECURITY_GROUP, group), None))

    @rule(said=st.lists(addresses, max_size=3))
    def put_addresses(self, said: list[str]) -> None:
        note(f"address group: {said}")
        self.model.addresses = {_canonical(a) for a in said}
        self._put(SetKind.ADDRESS_GROUP, ADDRESSES, addresses=sorted(self.model.addresses))

    @rule(ip=addresses)
    def toggle_address(self, ip: str) -> None:
        if self.model.addresses is not None:
            self.put_addresses(sorted(self.model.addresses ^ {_canonical(ip)}))

    @rule()
    def drop_addresses(self) -> None:
        if self.model.addresses is not None:
            note("the address group goes")
            self.model.addresses = None
            self.rig.tell(self.rig.sets.change(SetKey(SetKind.ADDRESS_GROUP, ADDRESSES), None))

    @rule(behind=st.lists(st.sampled_from([(), (FAR[0],), (FAR[1],), FAR]), max_size=2))
    def say_endpoints(self, behind: list[tuple[int, ...]]) -> None:
        """Endpoints come and go, and ports of others move between them."""
        seen: set[int] = set()
        self.model.where = {}
        for address, numbers in zip(ENDPOINTS, behind, strict=False):
            self.model.where[address] = tuple(n for n in numbers if n not in seen)
            seen |= set(numbers)
        note(f"endpoints: {self.model.where}")
        said = [
            {"address": address,
             "ports": [{"mac_address": mac(n), "ip_addresses": [ipv4(n), ipv6(n)]} for n in ns]}
            for address, ns in self.model.where.items()
        ]  # fmt: skip
        self._put(SetKind.FORWARDING, attachment(1).network.id, endpoints=said)

    # --- ports ---

    @rule(number=here, what=held)
    def plug(self, number: int, what: tuple[str, ...] | None) -> None:
        """A port comes, or comes into other groups."""
        before = self.model.ports.get(number)
        if number in self.model.closed:
            return
        if number not in self.model.ports or (before is None) is not (what is None):
            self._forget(number)
        note(f"port {number} in {what and [g[-1] for g in what]}")
        self.model.ports[number] = what
        self.rig.plug(**{name(number): self._port(number)})

    def _port(self, number: int) -> Attachment:
        features, other = self.limits.get(number, (frozenset(), False))
        made = port(number, self.model.ports[number])
        return contract_limits.held(made, *sorted(features), other=other)

    @rule(number=here, policy=policies)
    def limit(self, number: int, policy: tuple[frozenset[str], bool]) -> None:
        """A port is held to other limits; what it began goes on."""
        if number not in self.model.ports or number in self.model.closed:
            return
        note(f"port {number} is held to {sorted(policy[0])}, {policy[1]}")
        self.limits[number] = policy
        self.rig.plug(**{name(number): self._port(number)})

    @rule(number=here)
    def unplug(self, number: int) -> None:
        if number in self.model.ports:
            note(f"port {number} goes")
            self._forget(number)
            del self.model.ports[number]
            self.limits.pop(number, None)
            self.model.closed.discard(number)
            self.rig.unplug(number)

    @rule(number=here)
    def close_or_open(self, number: int) -> None:
        """The guest moves away, or comes."""
        if number not in self.model.ports:
            return
        note(f"port {number} is closed or opened")
        ledger, port_id = self.rig.ledger, attachment(number).id
        self._forget(number)
        self.model.closed ^= {number}
        failed = (ledger.deactivate if number in self.model.closed else ledger.activate)(port_id)
        assert not failed, failed
        self.rig.settle()

    @rule(event=st.sampled_from([None, "ACCEPT", "DROP", "ALL", "ALL"]),
          port=st.sampled_from([None, None, *HERE]),
          group=st.sampled_from([None, None, *GROUPS]))  # fmt: skip
    def log(self, event: str | None, port: int | None, group: str | None) -> None:
        """What groups decide is written down, of all ports or some, or no more."""
        if event is None:
            if self.model.log is not None:
                note("nothing is logged")
                self.model.log = None
                self.rig.tell(self.rig.sets.change(SetKey(SetKind.LOG, LOG), None))
            return
        note(f"{event} is logged of port {port}, group {group and group[-1]}")
        self.model.log = event, port, group
        target = attachment(port).id if port is not None else None
        said = {"target_id": target, "resource_id": group}
        self._put(SetKind.LOG, LOG, event=event, **{k: v for k, v in said.items() if v})

    def _forget(self, number: int) -> None:
        self.begun = [flow for flow in self.begun if number not in flow.ends]

    # --- what happens to hosts ---

    @rule()
    def restart(self) -> None:
        note("restart")
        before = self.rig.state()
        self.rig.restart()
        self._again()
        assert self.rig.state() == before

    @rule()
    def damage(self) -> None:
        """Somebody takes a rule away, and the next check finds it; where a set is missing, nobody
        may be asking for the rule."""
        whole = self.model.addresses is not None and self.model.rules.keys() == set(GROUPS)
        opened = self.model.ports.keys() - self.model.closed
        if not whole or not any(self.model.ports[n] for n in opened):
            return
        before = self.rig.state()
        try:
            self.rig.damage()
        except StopIteration:
            return
        if self.rig.state() == before:
            return
        note("a rule is taken away")
        assert self.rig.finding in self.rig.ledger.findings()
        self._again()
        self.rig.settle()
        assert self.rig.state() == before

    def _again(self) -> None:
        """Every port is plugged again, as it is."""
        records = self.rig.ledger.records.items()
        for opened in (True, False):
            ids = [i for i, r in records if r.open is opened]
            assert not self.rig.ledger.carry_out(ids, opened=opened)

    # --- what must be so ---

    @rule(sender=here, receiver=here, kind=st.sampled_from(KINDS), version=st.sampled_from([4, 6]))
    def talk(self, sender: int, receiver: int, kind: str, version: int) -> None:
        """A port begins a connection with another, which answers."""
        there = self.model.ports.keys() - self.model.closed
        if sender == receiver or not {sender, receiver} <= there:
            return
        flow = self._flow(sender, receiver, kind, version)
        self.rig.seen.clear()
        self._judge(flow, self.rig.send(sender, _first(flow)), receiver)
        self._told(flow)
        if self.model.passes(flow):
            self._judge(flow, self.rig.send(receiver, _answer(flow)), sender)
            self._told(flow)
            self._keep(flow)

    @rule(number=here, other=far, kind=st.sampled_from(KINDS), version=st.sampled_from([4, 6]))
    def talk_abroad(self, number: int, other: int, kind: str, version: int) -> None:
        """A port begins a connection with one elsewhere, and that with this one."""
        if number not in self.model.ports.keys() - self.model.closed:
            return
        flow = self._flow(number, other, kind, version)
        self._abroad(flow, self.rig.send(number, _first(flow)))
        self._inward(self._flow(other, number, kind, version))
        if self.model.passes(flow) and self.model.endpoints(other):
            self._keep(flow)

    @rule()
    def look(self) -> None:
        """Every connection that was goes on while its rules last, and no longer."""
        for flow in self.begun[-self.most :]:
            if flow.receiver in HERE:
                self._judge(flow, self.rig.send(flow.sender, _first(flow)), flow.receiver)
                self._judge(flow, self.rig.send(flow.receiver, _answer(flow)), flow.sender)
            else:
                self._abroad(flow, self.rig.send(flow.sender, _first(flow)))
        found = self.rig.ledger.findings()
        assert not found, found
        for number in self.model.ports.keys() - self.model.closed:
            self._limited(number)

    def _limited(self, number: int) -> None:
        """What a check reads of its limits are those of its policy."""
        (report,) = self.rig.ledger.check(attachment(number).id).values()
        have = {e.fact for e in report.evidence if e.fact.startswith("qos.")}
        assert have == self.limits.get(number, (frozenset(), False))[0]

    def _inward(self, flow: Flow) -> None:
        for endpoint in self.model.where or {}:
            try:
                reached = self.rig.come(endpoint, _first(flow))
            except NotImplementedError:
                return
            assert not reached & set(ENDPOINTS), f"{flow} goes on to {reached}"
            self._judge(flow, reached, flow.receiver)

    def _flow(self, sender: int, receiver: int, kind: str, version: int) -> Flow:
        self._sport += 1
        return Flow(sender, receiver, kind, version, self._sport)

    def _keep(self, flow: Flow) -> None:
        if flow.kind.startswith("udp"):
            self.begun.append(flow)

    def _judge(self, flow: Flow, reached: set[int | str], whom: int) -> None:
        right = self.model.passes(flow)
        assert (whom in reached) is right, f"{flow}, to {whom}: {reached}, right is {right}"

    def _told(self, flow: Flow) -> None:
        """What logs are about is handed over, and nothing else."""
        numbers, sent = {attachment(n).id: n for n in HERE}, unmarked(_first(flow))
        wanted = {*self.model.told(flow)}

        def told() -> set[tuple[int, str, bool]]:
            # the plugin of before a restart, which no test can end, hears them as well
            seen = [s for s in [*self.rig.seen] if unmarked(s.frame)[: len(sent)] == sent]
            return {(numbers[s.port], str(s.direction), s.accepted) for s in seen}

        until(lambda: wanted <= told(), f"{flow}: {wanted} is told", told=told)
        assert told() == wanted, f"{flow}: {told()} is told, and {wanted} shall be"

    def _abroad(self, flow: Flow, reached: set[int | str]) -> None:
        right = self.model.endpoints(flow.receiver) if self.model.passes(flow) else set()
        assert reached & set(ENDPOINTS) == right, f"{flow}: {reached}, right is {right}"

    def teardown(self) -> None:
        try:
            if self.started:
                self._end()
        finally:
            self.rig.close()

    def _end(self) -> None:
        self.look()
        for number in list(self.model.ports):
            self.unplug(number)
        assert self.rig.left() == []


def unmarked(frame: bytes) -> bytes:
    """A frame of IP without its DSCP, which a policy may have set by the time it is told, and
    without the checksum over it."""
    head = bytearray(frame)
    if frame[12:14] == b"\x08\x00":
        head[15] &= 0x03
        head[24:26] = bytes(2)
    elif frame[12:14] == b"\x86\xdd":
        head[14:16] = (int.from_bytes(head[14:16], "big") & 0xF03F).to_bytes(2, "big")
    return bytes(head)


def _first(flow: Flow) -> bytes:
    a, b = station(flow.sender), station(flow.receiver)
    return p.first(flow.kind, a, b, flow.version, flow.sport)


def _answer(flow: Flow) -> bytes:
    a, b = station(flow.sender), station(flow.receiver)
    return p.answer(flow.kind, b, a, flow.version, flow.sport)


def _canonical(text: str) -> str:
    """An address or prefix as sets keep it."""
    return str(ipaddress.ip_network(text, strict=False)) if "/" in text else text
