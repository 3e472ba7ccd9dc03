"""A fake host whose ports are held to security groups, and a machine on it.

The host keeps what every port lets pass, as sentences, so that a test can compare what stands there
with what the journal calls for, whatever became of both in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unit.docs import document
from unit.machine import WAIT, Machine
from vifd.drivers import Drivers
from vifd.engine import Settings
from vifd.engine.setrequest import SetTicket
from vifd.engine.worker import ledger
from vifd.model import Attachment, Evidence, Wiring
from vifd.model.members import effective_members, groups_of, members_of
from vifd.model.setpatch import read_patch
from vifd.model.setreading import read_set
from vifd.model.setrecord import SetRecord
from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.model.values import Direction
from vifd.plugin import Advert, Host, Item, SetChange
from vifd.policy.groups import missing
from vifd.testing.plugin import FakeBackend, FakePlugin

#: What one port lets pass: a direction and who is at the other side.
Held = frozenset[tuple[str, str]]


@dataclass
class HeldBackend(FakeBackend):
    """With what each port lets pass. What refreshes changed is counted."""

    held: dict[str, Held] = field(default_factory=dict)
    refreshes: list[list[SetChange]] = field(default_factory=list)
    written: int = 0


def sentences(attachment: Attachment, host: Host) -> Held:
    """What a port must let pass by the sets as they are now."""
    groups = groups_of(attachment)
    if groups is None:
        return frozenset({("any", "any")})
    bodies = [host.sets.security_group(group) for group in groups]
    if any(True for _ in missing(groups, Direction.INGRESS, host.sets.security_group,
                                 lambda key: _known(host, key))):  # fmt: skip
        return frozenset()
    here = [entry.attachment for entry in host.ledger().values()]
    found: set[tuple[str, str]] = set()
    for rule in (rule for body in bodies if body is not None for rule in body.rules):
        found |= {(rule.direction.value, remote) for remote in _remotes(rule, host, here)}
    return frozenset(found)


def _known(host: Host, key: SetKey) -> bool:
    group, addresses = host.sets.security_group, host.sets.address_group
    return (group if key.kind is SetKind.SECURITY_GROUP else addresses)(key.id) is not None


def _remotes(rule: Any, host: Host, here: Sequence[Attachment]) -> set[str]:
    if rule.remote_group_id is not None:
        group = host.sets.security_group(rule.remote_group_id)
        known = group or SecurityGroup(id=rule.remote_group_id)
        return {member.ip_address for member in effective_members(known, here)}
    if rule.remote_address_group_id is not None:
        addresses = host.sets.address_group(rule.remote_address_group_id)
        return set(addresses.addresses) if addresses else set()
    return {rule.remote_ip_prefix or "any"}


class HoldingPlugin(FakePlugin):
    """Holds the ports of a :class:`HeldBackend` to their groups."""

    backend: HeldBackend

    @classmethod
    def describe(cls) -> Advert:
        known = FakePlugin.describe()
        more = {"port.security_groups", "port.allowed_address_pairs"}
        return Advert(
            vif_types=known.vif_types, network_types=known.network_types,
            in_place=known.in_place | more, features=frozenset({"security_groups"}),
        )  # fmt: skip

    def _plug(self, item: Item) -> Wiring:
        wiring = super()._plug(item)
        self._write(item.id, sentences(item.attachment, self.host))
        self._others(item.attachment)
        return wiring

    def _unplug(self, item: Item) -> Wiring:
        self.backend.held.pop(item.id, None)
        return super()._unplug(item)

    def _others(self, attachment: Attachment) -> None:
        """A port that joins a group is let in by those whose rules name it."""
        if groups_of(attachment) and members_of(attachment):
            self._bring(self.backend.ports)

    def refresh(self, changes: Sequence[SetChange]) -> Collection[str]:
        self._enter("refresh", ())
        self._raise("refresh", "*")
        self.backend.refreshes.append(list(changes))
        return self._bring(self.backend.ports)

    def _bring(self, ports: Collection[str]) -> set[str]:
        entries = self.host.ledger()
        return {
            port_id for port_id in ports
            if (entry := entries.get(port_id)) is not None
            and self._write(port_id, sentences(entry.attachment, self.host))
        }  # fmt: skip

    def _write(self, port_id: str, wanted: Held) -> bool:
        if self.backend.held.get(port_id) == wanted:
            return False
        self.backend.held[port_id] = wanted
        self.backend.written += 1
        return True

    def _evidence(self, item: Item) -> list[Evidence]:
        have, wanted = self.backend.held.get(item.id), sentences(item.attachment, self.host)
        told = Evidence("rules", sorted(have or ()), sorted(wanted), ok=have == wanted)
        return [*super()._evidence(item), told]


@dataclass
class HeldMachine(Machine):
    """A daemon without API whose ports are held to groups."""

    backend: HeldBackend

    def boot(self) -> None:
        self.make = self._plugin  # type: ignore[assignment]
        super().boot()

    def _plugin(self, backend: HeldBackend) -> HoldingPlugin:
        drivers = Drivers(None, None, None, None)  # type: ignore[arg-type]
        journal = self.journal
        return HoldingPlugin(backend, Host(drivers, lambda: ledger(journal), sets=journal.sets))

    # --- sets ---

    def put_set(self, key: SetKey, owner: str = "api", **body: Any) -> SetRecord | None:
        return self.asked(self.agent.sets.put(read_set(body, key), owner))

    def patch_set(self, key: SetKey, **body: Any) -> SetRecord | None:
        return self.asked(self.agent.sets.patch(key, read_patch(body, key), "api"))

    def delete_set(self, key: SetKey, **more: Any) -> SetRecord | None:
        return self.asked(self.agent.sets.delete(key, "api", **more))

    @staticmethod
    def asked(ticket: SetTicket) -> SetRecord | None:
        return ticket.done.result(WAIT)

    def wanted(self, number: int) -> Held:
        """What a port must let pass."""
        return sentences(self.record(number).doc.attachment, self.engine.plugins["fake"].host)


def group(number: int, kind: SetKind = SetKind.SECURITY_GROUP) -> SetKey:
    return SetKey(kind, f"{number:08d}-2222-4000-8000-000000000000")


def ingress(remote: SetKey | str | None = None) -> dict[str, Any]:
    """A rule that lets in who is in a set or has a prefix."""
    if isinstance(remote, SetKey):
        kinds = {SetKind.SECURITY_GROUP: "remote_group_id"}
        name = kinds.get(remote.kind, "remote_address_group_id")
        return {"direction": "ingress", name: remote.id}
    return {"direction": "ingress", **({"remote_ip_prefix": remote} if remote else {})}


def in_groups(number: int, *groups: SetKey) -> dict[str, Any]:
    """The document of a port in these groups."""
    raw = document(number)
    raw["port"]["security_groups"] = [key.id for key in groups]
    return raw


def held_machine(path: Path, **settings: Any) -> HeldMachine:
    """One that has booted."""
    times = {"verify": 0.3, "retry_first": 0.01, "retry_longest": 0.05, **settings}
    machine = HeldMachine(path, HeldBackend(), Settings(**times))
    machine.boot()
    return machine
