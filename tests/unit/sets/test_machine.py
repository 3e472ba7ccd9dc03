"""Sets, ports in them, removals, faults, kills and restarts in any order, against a model.

The model knows what was said and not taken back. Whenever the daemon has come to rest, every port
lets pass exactly what the sets of the model call for, sets that nothing needs are gone, and none
that is needed is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from support.holding import Held, HeldMachine, group, held_machine, in_groups, ingress
from unit.docs import port_id
from unit.machine import WAIT, until
from vifd import errors
from vifd.model import Phase
from vifd.model.members import effective_members
from vifd.model.setreading import read_set
from vifd.model.sets import SecurityGroup, SetKey, SetKind

GROUPS = [group(n) for n in (1, 2, 3)]
ADDRESSES = group(7, SetKind.ADDRESS_GROUP)
KEYS = [*GROUPS, ADDRESSES]
PORTS = (1, 2, 3)

keys = st.sampled_from(KEYS)
numbers = st.sampled_from(PORTS)
remotes = st.sampled_from([*KEYS, "192.0.2.0/24", None])
ips = st.sampled_from(["10.9.0.1", "10.9.0.2", "10.9.0.3"])


class Sets(RuleBasedStateMachine):
    """What is said is in ``said`` and ``ports``."""

    @initialize()
    def boot(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.machine: HeldMachine = held_machine(Path(self._directory.name), patience=0.0)
        #: by set, what its owner said last
        self.said: dict[SetKey, dict[str, Any]] = {}
        self.going: set[SetKey] = set()
        self.ports: dict[int, list[SetKey]] = {}

    def teardown(self) -> None:
        if hasattr(self, "machine"):
            try:
                self.at_rest()
            finally:
                self.machine.halt()
                self._directory.cleanup()

    # --- what callers do ---

    @rule(key=keys, remote=remotes, members=st.lists(ips, max_size=2))
    def put(self, key: SetKey, remote: SetKey | str | None, members: list[str]) -> None:
        if key.kind is SetKind.ADDRESS_GROUP:
            body: dict[str, Any] = {"addresses": members}
        else:
            body = {"rules": [ingress(remote)], "members": [{"ip_address": m} for m in members]}
        self.ask(lambda: self.machine.put_set(key, **body))
        self.said[key] = body
        self.going.discard(key)

    @rule(key=keys, ip=ips, add=st.booleans())
    def patch(self, key: SetKey, ip: str, add: bool) -> None:
        name = "addresses" if key.kind is SetKind.ADDRESS_GROUP else "members"
        piece: Any = ip if name == "addresses" else {"ip_address": ip}
        try:
            self.ask(lambda: self.machine.patch_set(key, **{"add" if add else "remove": {
                name: [piece]}}))  # fmt: skip
        except errors.SetNotFound:
            assert key not in self.said
            return
        assert key in self.said
        kept = [one for one in self.said[key][name] if one != piece]
        self.said[key] = {**self.said[key], name: [*kept, piece] if add else kept}

    @rule(key=keys, later=st.booleans())
    def delete(self, key: SetKey, later: bool) -> None:
        self.settle_going()
        used = self.users(key)
        try:
            self.ask(lambda: self.machine.delete_set(key, later=later))
        except errors.SetNotFound:
            assert key not in self.said
        except errors.SetInUse:
            assert used
            assert not later
        else:
            assert later or not used
            if used:
                self.going.add(key)
            else:
                del self.said[key]

    @rule(number=numbers, groups=st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
    def plug(self, number: int, groups: list[SetKey]) -> None:
        ticket = self.machine.put(in_groups(number, *groups))
        ticket.accepted.result(WAIT)
        self.ports[number] = groups

    @precondition(lambda self: self.ports)
    @rule(data=st.data())
    def unplug(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.ports)))
        self.machine.drop(number).done.result(WAIT)
        del self.ports[number]

    # --- what happens to hosts ---

    @rule()
    def restart(self) -> None:
        self.machine.halt()
        self.machine.boot()

    @rule(number=numbers)
    def drift(self, number: int) -> None:
        """Another program changes what a port lets pass."""
        self.machine.backend.held.get(port_id(number), frozenset())
        if port_id(number) in self.machine.backend.held:
            self.machine.backend.held[port_id(number)] = frozenset({("ingress", "drift")})
            self.machine.agent.check(port_id(number), "r")

    @rule(key=keys, remote=remotes)
    def put_while_the_host_fails(self, key: SetKey, remote: SetKey | str | None) -> None:
        self.machine.backend.faults["refresh", "*"] = errors.BackendError(
            facts={"backend": "switch", "problem": "away"}
        )
        try:
            self.put(key, remote, [])
        finally:
            self.machine.backend.faults.clear()

    # --- what must be true ---

    @rule()
    def at_rest(self) -> None:
        self.settle_going()
        until(self._as_said)
        assert set(self.machine.journal.sets.all()) == set(self.said)

    def ask(self, work: Any) -> None:
        """What a plugin could not take up is on disk all the same."""
        try:
            work()
        except errors.BackendError:
            self.machine.engine.refreshes.go_on()

    def users(self, key: SetKey) -> bool:
        """Whether a port or a rule of another set names a set."""
        named = any(key in groups for groups in self.ports.values())
        others = (s for k, s in self.said.items() if k != key)
        return named or any(self._names(body, key) for body in others)

    @staticmethod
    def _names(body: dict[str, Any], key: SetKey) -> bool:
        ids = ("remote_group_id", "remote_address_group_id")
        return any(r.get(name) == key.id for r in body.get("rules", ()) for name in ids)

    def settle_going(self) -> None:
        """Sets that are going are gone once nothing that stays needs them."""
        needed = {k for k in self.said if k not in self.going}
        needed |= {key for groups in self.ports.values() for key in groups if key in self.said}
        while more := {k for k in self.said if k not in needed
                       and any(self._names(self.said[n], k) for n in needed)}:  # fmt: skip
            needed |= more
        for key in self.going - needed:
            del self.said[key]
        self.going &= needed
        until(lambda: set(self.machine.journal.sets.all()) == set(self.said))

    def _as_said(self) -> bool:
        self.machine.engine.tick()
        return all(self._right(number) for number in self.ports)

    def _right(self, number: int) -> bool:
        record = self.machine.journal.get(port_id(number))
        held = self.machine.backend.held.get(port_id(number))
        if record is None or held != self._wanted(number):
            return False
        if not self._lacks(number):
            return record.phase is Phase.LIVE and record.error is None
        return record.phase is Phase.DEGRADED and (record.error or {})["code"] == "E_SET_MISSING"

    def _lacks(self, number: int) -> bool:
        """Whether a group of a port, or a set that a rule of one names, is not there."""
        groups = self.ports[number]
        if any(key not in self.said for key in groups):
            return True
        bodies = [self.said[key] for key in groups]
        ids = ("remote_group_id", "remote_address_group_id")
        named = {r[name] for body in bodies for r in body["rules"] for name in ids if name in r}
        return not named <= {key.id for key in self.said}

    def _wanted(self, number: int) -> Held:
        """By the model alone."""
        groups = self.ports[number]
        if self._lacks(number):
            return frozenset()
        found: set[tuple[str, str]] = set()
        for one in (r for key in groups for r in self.said[key]["rules"]):
            found |= {("ingress", remote) for remote in self._remote(one)}
        return frozenset(found)

    def _remote(self, one: dict[str, Any]) -> set[str]:
        if "remote_group_id" in one:
            key = SetKey(SetKind.SECURITY_GROUP, one["remote_group_id"])
            body = read_set({"members": self.said.get(key, {}).get("members", [])}, key)
            assert isinstance(body, SecurityGroup)
            here = [self.machine.record(n).doc.attachment for n in self.ports]
            return {member.ip_address for member in effective_members(body, here)}
        if "remote_address_group_id" in one:
            return set(self.said.get(ADDRESSES, {}).get("addresses", []))
        return {one.get("remote_ip_prefix") or "any"}


Sets.TestCase.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestSets = Sets.TestCase
