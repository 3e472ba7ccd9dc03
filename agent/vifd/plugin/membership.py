"""Which addresses are in a set, as the plugins of a host need it: what the owner says of the set,
and the ports of this host that are in it. Kept in step with changes, not made anew at each."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vifd.model import Attachment
from vifd.model.members import groups_of, members_of
from vifd.model.sets import AddressGroup, Member, SecurityGroup, SetKey, SetKind, SetPart
from vifd.plugin.host import Host
from vifd.plugin.ledger import Entry
from vifd.plugin.sets import SetChange

#: So many changes of one set are remembered one by one.
_REMEMBERED = 64


class Delta(NamedTuple):
    """Addresses that came to a set and such that went."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass
class _Set:
    """One set: how often each address is named, and the last changes.

    :ivar body: what was counted of the owner's
    """

    body: SecurityGroup | AddressGroup | None = None
    counts: dict[str, int] = field(default_factory=dict)
    version: int = 0
    deltas: deque[tuple[int, Delta]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def count(self, added: Iterable[str], removed: Iterable[str]) -> None:
        """Count addresses, and note which came and which went."""
        came, went = [], []
        for address in added:
            self.counts[address] = self.counts.get(address, 0) + 1
            if self.counts[address] == 1:
                came.append(address)
        for address in removed:
            left = self.counts.get(address, 0) - 1
            if left > 0:
                self.counts[address] = left
            elif self.counts.pop(address, 0):
                went.append(address)
        both = {*came} & {*went}
        delta = Delta(tuple(a for a in came if a not in both),
                      tuple(a for a in went if a not in both))  # fmt: skip
        if delta.added or delta.removed:
            self.version += 1
            self.deltas.append((self.version, delta))


class Membership:
    """The members of the sets of a host. Its user holds a lock whenever it calls."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sets: dict[SetKey, _Set] = {}
        #: by port: the groups it is in and its addresses
        self._ports: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._loaded = False
        #: the ledger when it was last looked at; an entry that did not change is the same there
        self._seen: Mapping[str, Entry] = {}

    def addresses(self, key: SetKey) -> Collection[str]:
        """The addresses and prefixes of a set."""
        return self._current(key).counts

    def version(self, key: SetKey) -> int:
        """Changes with every change of the addresses."""
        return self._current(key).version

    def since(self, key: SetKey, version: int) -> list[Delta] | None:
        """What changed since a version; ``None``: it is not known any more."""
        found = self._current(key)
        wanted = found.version - version
        deltas = [delta for at, delta in found.deltas if at > version]
        return deltas if len(deltas) == wanted else None

    def known(self, key: SetKey) -> bool:
        """Whether the owner's part of a set is there."""
        return self._body(key) is not None

    def told(self, changes: Iterable[SetChange]) -> None:
        """Take changes as they are told, at their own cost; a set that is not as it was before the
        change, or not as it is after it, is compared whole when it is next asked for."""
        for change in changes:
            found, after = self._sets.get(change.key), change.after
            if found is None or not isinstance(after, SecurityGroup | AddressGroup):
                continue
            if found.body is change.before and self._body(change.key) is after:
                found.count(_addresses(change.added), _addresses(change.removed))
                found.body = after

    def update(self, port_ids: Iterable[str]) -> set[SetKey]:
        """Take these ports as the ledger has them now, and all that it has otherwise than when it
        was last looked at: nobody is told that a port of another plugin joined a group, or that one
        left it, while no rule names that group.

        :returns: the groups whose addresses may differ by that
        """
        self._load()
        entries, seen = self._host.ledger(), self._seen
        ids = {*port_ids, *(self._ports.keys() - entries.keys())}
        if entries is not seen:
            ids.update(i for i, entry in entries.items() if seen.get(i) is not entry)
            self._seen = entries
        return {key for port_id in ids for key in self._take(port_id, entries.get(port_id))}

    # --- how ---

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            self._seen = self._host.ledger()
            for port_id, entry in self._seen.items():
                self._take(port_id, entry)

    def _take(self, port_id: str, entry: Entry | None) -> set[SetKey]:
        groups, addresses = _of(entry.attachment) if entry is not None else ((), ())
        before = self._ports.get(port_id, ((), ()))
        if (groups, addresses) == before:
            return set()
        if groups:
            self._ports[port_id] = (groups, addresses)
        else:
            self._ports.pop(port_id, None)
        old = dict.fromkeys(before[0], before[1])
        new = dict.fromkeys(groups, addresses)
        keys = {SetKey(SetKind.SECURITY_GROUP, group) for group in {*old, *new}}
        for key in keys:
            self._sets.setdefault(key, _Set()).count(new.get(key.id, ()), old.get(key.id, ()))
        return keys

    def _current(self, key: SetKey) -> _Set:
        """A set, with the owner's part as it is now."""
        self._load()
        found = self._sets.setdefault(key, _Set())
        body = self._body(key)
        if body is not found.body:
            added, removed = _difference(_named(found.body), _named(body))
            found.count(added, removed)
            found.body = body
        return found

    def _body(self, key: SetKey) -> SecurityGroup | AddressGroup | None:
        if key.kind is SetKind.ADDRESS_GROUP:
            return self._host.sets.address_group(key.id)
        return self._host.sets.security_group(key.id)


def _of(attachment: Attachment) -> tuple[tuple[str, ...], tuple[str, ...]]:
    groups = groups_of(attachment)
    if not groups:
        return (), ()
    return groups, tuple(dict.fromkeys(m.ip_address for m in members_of(attachment)))


def _addresses(parts: Iterable[SetPart]) -> list[str]:
    """The addresses among the pieces of a set."""
    return [_address(part) for part in parts if isinstance(part, Member | str)]


def _named(body: SecurityGroup | AddressGroup | None) -> tuple[object, ...]:
    if body is None:
        return ()
    return body.addresses if isinstance(body, AddressGroup) else body.members


def _difference(old: tuple[object, ...], new: tuple[object, ...]) -> tuple[list[str], list[str]]:
    """What differs between two lists, most of which is the same at both ends."""
    start = _common(old, new)
    old, new = old[start:], new[start:]
    end = _common(old[::-1], new[::-1])
    old, new = old[: len(old) - end], new[: len(new) - end]
    return [_address(m) for m in new], [_address(m) for m in old]


def _common(one: tuple[object, ...], other: tuple[object, ...]) -> int:
    """How many entries agree from the start: by halves, so that the comparisons run in C."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _address(member: object) -> str:
    return member if isinstance(member, str) else str(getattr(member, "ip_address", ""))
