"""nftables of the families bridge and netdev, over netlink: no program is started, no library
loaded.

The tools read the whole ruleset before each change, so that a change costs more the more ports
there are. Here a change is one datagram, and a question names the object: the cost is that of the
port. Changes are atomic for frames too: each sees the rules before or after, never a mixture.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby

from vifd.drivers import FilterChain, conntrack
from vifd.drivers.netlink import APPEND, CREATE, Message
from vifd.drivers.nft import deaf, families, hold, nl, tracking
from vifd.drivers.nft.events import NftEvents, open_socket
from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.objects import Chain, Change, Element, Hook, Rule
from vifd.drivers.nft.socket import NftSocket, Refused
from vifd.drivers.otherfilters import OtherFilters
from vifd.errors import (
    BackendError,
    BackendUnavailable,
    PrivilegeMissing,
    ResourcesExhausted,
    VifError,
)
from vifd.safety import limits

_DENIED = (errno.EPERM, errno.EACCES)
_ABSENT = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT)
#: A change is tried so often when objects that it names come or go meanwhile.
_TRIES = 3


class Nft:
    """The tables of the network namespace of the thread that constructs this.

    May be used by any thread, one at a time.

    :param hold: make tables that nobody else can change or flush as long as this is open, and that
        stay when it is closed, where the kernel has such
    """

    def __init__(self, *, hold: bool = False) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._socket: NftSocket | None = None
        self._ear: socket.socket | None = None
        self._events: NftEvents | None = None
        self._known = Known()
        #: whether this kernel has tables with an owner; unknown until it was asked
        self._holding: bool | None = None
        #: whether this kernel was found to follow connections across bridges
        self._tracks = False
        #: families that this kernel was found to take chains of
        self._able: set[str] = set()
        self._filters, self._minding = OtherFilters(), False
        try:
            self._socket = NftSocket()
            self._ear = open_socket()
        except OSError as error:
            # without the capability it is the first change that says so
            if error.errno not in (*_ABSENT, *_DENIED):
                raise

    def close(self) -> None:
        """See :class:`vifd.drivers.Nft`."""
        if self._socket is None:
            return
        if self._events is not None:
            self._events.close()
        elif self._ear is not None:
            self._ear.close()
        self._socket.close()

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        if self._events is None and self._socket is not None and self._ear is not None:
            self._events = NftEvents(self._ear, self._socket.address)
        if self._events is not None:
            self._events.add(callback)

    @property
    def _talk(self) -> NftSocket:
        if self._socket is None:
            facts = {"backend": "nftables", "problem": "the kernel has no nfnetlink"}
            raise BackendUnavailable(facts=facts, stage="nft", hint="load the module nf_tables")
        return self._socket

    # --- changes ---

    def apply(self, table: str, change: Change) -> None:
        """See :class:`vifd.drivers.Nft`."""
        self._attempt(table, change, dry=False)

    def rehearse(self, table: str, change: Change) -> None:
        """See :class:`vifd.drivers.Nft`."""
        self._attempt(table, change, dry=True)

    def _attempt(self, table: str, change: Change, *, dry: bool) -> None:
        if not change:
            return
        with self._lock:
            for turn in range(_TRIES):
                try:
                    self._change(table, change, dry)
                except Refused as refused:
                    if refused.errno != errno.ENOENT or turn == _TRIES - 1:
                        raise self._refusal(table, refused) from refused
                except OSError as error:
                    raise failure(error.errno or 0, f"change table {table}") from error
                else:
                    return

    def _change(self, table: str, change: Change, dry: bool) -> None:
        messages = list(self._messages(table, change))
        if not messages:
            return
        before = self._generation()
        self._known.at(before)
        if not dry:
            self._known.forget(table, [*(c.name for c in change.chains), *change.delete_chains])
        self._talk.commit(messages, dry=dry)
        if not dry and self._generation() == before + 1:
            # nobody else changed anything in between
            self._known.generation = before + 1
            self._known.change(table, change)

    def _generation(self) -> int:
        """The number of the ruleset."""
        (answer,) = self._talk.ask([Message(nl.GETGEN, 0, nl.head(0))])
        if isinstance(answer, int):
            raise failure(answer, "read the number of the ruleset")
        return nl.generation(answer)

    def _messages(self, table: str, change: Change) -> Iterator[Message]:
        """The transaction; what is gone already is left out of it."""
        if change.sets or change.chains:
            body = nl.table(table, "vifd") + self._flags(table, nl.BRIDGE_FAMILY)
            yield Message(nl.NEWTABLE, CREATE, body, f"make table {table}")
        for number, wanted in enumerate(change.sets, 1):
            body = nl.set_(table, wanted, number)
            yield Message(nl.NEWSET, CREATE, body, f"make set {wanted.name}")
        for chain in change.chains:
            body = nl.chain(table, chain)
            yield Message(nl.NEWCHAIN, CREATE, body, f"make chain {chain.name}")
        for chain in change.chains:
            yield from _rules(table, chain)
        yield from _elements(table, nl.NEWELEM, change.add)
        yield from _elements(table, nl.DELELEM, self._present(table, change.delete))
        there = self._chains(table, change.delete_chains)
        for name in change.delete_chains:
            if name in there:
                body = nl.chain_name(table, name)
                yield Message(nl.DELCHAIN, 0, body, f"remove chain {name}")
        for name in self._sets(table, change.delete_sets):
            yield Message(nl.DELSET, 0, nl.set_name(table, name), f"remove set {name}")

    def _flags(self, table: str, family: int) -> bytes:
        """What makes a table ours alone; nothing for one that was made without an owner."""
        if not self._hold or not self._can_hold():
            return b""
        there = hold.read(self._talk, table, family)
        return hold.flags() if there is None or there.flagged else b""

    def _can_hold(self) -> bool:
        if self._holding is None:
            self._holding = hold.able(self._talk)
        return self._holding

    def take(self, table: str) -> None:
        """Have tables of this name, which an earlier process left, be ours alone again. What cannot
        be taken is left as it is: the first change says why."""
        if not self._hold or self._socket is None:
            return
        with self._lock:
            for family in (nl.BRIDGE_FAMILY, deaf.NETDEV_FAMILY):
                there = hold.read(self._talk, table, family)
                if there is not None and there.flagged and not there.owner:
                    with contextlib.suppress(Refused):
                        self._talk.commit([hold.taking(table, family)])

    def held(self, table: str) -> bool | None:
        """See :class:`vifd.drivers.Nft`."""
        if not self._hold:
            return None
        with self._lock:
            if not self._can_hold():
                return None
            there = hold.read(self._talk, table, nl.BRIDGE_FAMILY)
            return there is not None and there.owner == self._talk.address

    def _other_owner(self, table: str) -> int:
        """The owner of a table, if it is not this driver."""
        found = [hold.read(self._talk, table, family)
                 for family in (nl.BRIDGE_FAMILY, deaf.NETDEV_FAMILY)]  # fmt: skip
        owners = {held.owner for held in found if held is not None and held.owner}
        return next(iter(owners - {self._talk.address}), 0)

    def _refusal(self, table: str, refused: Refused) -> VifError:
        """The error for a change that was refused: with or without the permission to make it."""
        owner = self._other_owner(table) if refused.errno in _DENIED else 0
        if not owner:
            return failure(refused.errno or 0, refused.what)
        problem = f"cannot {refused.what}: table {table} belongs to another process"
        facts = {"backend": "nftables", "problem": problem, "netlink_port": owner}
        hint = "a second vifd? the number is most often its process id; `nft list tables` shows who"
        return BackendError(facts=facts, stage="nft", hint=hint)

    def _present(self, table: str, wanted: Sequence[Element]) -> list[Element]:
        answers = self._talk.ask(
            [Message(nl.GETELEM, 0, nl.elements(table, e.set, [_bare(e)])) for e in wanted]
        )
        return [e for e, answer in zip(wanted, answers, strict=True) if isinstance(answer, bytes)]

    def _sets(self, table: str, names: Sequence[str]) -> list[str]:
        """Those that are there."""
        asked = [Message(nl.GETSET, 0, nl.set_name(table, name)) for name in names]
        answers = self._talk.ask(asked)
        return [n for n, answer in zip(names, answers, strict=True) if isinstance(answer, bytes)]

    # --- questions ---

    def addresses(self, table: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            self._known.at(self._generation())
            known = self._known.addresses
            missing = [n for n in names if (table, n) not in known]
            for name in self._sets(table, missing):
                known[table, name] = self._addresses(table, name)
            return {n: frozenset(known[table, n]) for n in names if (table, n) in known}

    def _addresses(self, table: str, name: str) -> set[str]:
        try:
            bodies = self._talk.dump(Message(nl.GETELEM, 0, nl.set_name(table, name)))
        except OSError as error:
            raise failure(error.errno or 0, f"read set {name}") from error
        return {address for body in bodies for address in nl.parse_addresses(body)}

    def list_sets(self, table: str) -> list[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            try:
                bodies = self._talk.dump(Message(nl.GETSET, 0, nl.head()))
            except OSError as error:
                raise failure(error.errno or 0, f"read table {table}") from error
        return [nl.parse_set(body) for body in bodies if nl.table_of(body) == table]

    def untracked(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        if not self._tracks:
            with self._lock:
                try:
                    problem = tracking.lacking(self._talk)
                except OSError as error:
                    raise failure(error.errno or 0, "ask for connection tracking") from error
            if problem is not None:
                return problem
            self._tracks = True
        return None

    def forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        """See :class:`vifd.drivers.Nft`."""
        ends = None
        if addresses is not None:
            ends = {ipaddress.ip_address(address).packed for address in addresses}
        with self._lock:
            try:
                return conntrack.forget(self._talk, zone, ends, marks)
            except OSError as error:
                what = f"forget connections of zone {zone}"
                raise failure(error.errno or 0, what) from error

    def chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            self._known.at(self._generation())
            known = self._known.chains
            found = self._chains(table, [n for n in names if (table, n) not in known])
            known |= {(table, n): self._with_rules(table, c) for n, c in found.items()}
            return {name: known[table, name] for name in names if (table, name) in known}

    def _chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        asked = [Message(nl.GETCHAIN, 0, nl.chain_name(table, name)) for name in names]
        found = {}
        for name, answer in zip(names, self._talk.ask(asked), strict=True):
            if isinstance(answer, bytes):
                found[name] = _chain(answer)
            elif answer != errno.ENOENT:
                raise failure(answer, f"read chain {name}")
        return found

    def _with_rules(self, table: str, chain: Chain) -> Chain:
        place = nl.chain_rules(table, chain.name)
        try:
            bodies = self._talk.dump(Message(nl.GETRULE, 0, place))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise failure(error.errno or 0, f"read chain {chain.name}") from error
            bodies = []
        rules = [rule for at, name, rule in map(nl.parse_rule, bodies)
                 if (at, name) == (table, chain.name)]  # fmt: skip
        return Chain(chain.name, tuple(rules), chain.hook, chain.priority, chain.comment)

    def others(self, ours: str) -> tuple[FilterChain, ...]:
        """See :class:`vifd.drivers.Nft`."""
        if not self._minding:
            self._minding = True
            self.subscribe(self._filters.changed)
        with self._lock:
            try:
                return self._filters.get(self._talk, ours)
            except OSError as error:
                raise failure(error.errno or 0, "read the filters of others") from error

    def list_chains(self, table: str) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            try:
                chains = self._talk.dump(Message(nl.GETCHAIN, 0, nl.head()))
                rules = self._talk.dump(Message(nl.GETRULE, 0, nl.head())) if chains else []
            except OSError as error:
                raise failure(error.errno or 0, f"read table {table}") from error
        by_chain: dict[str, list[Rule]] = {}
        for at, name, rule in map(nl.parse_rule, rules):
            if at == table:
                by_chain.setdefault(name, []).append(rule)
        found = [_chain(body) for body in chains if nl.parse_chain(body)[0] == table]
        return {
            c.name: Chain(c.name, tuple(by_chain.get(c.name, ())), c.hook, c.priority, c.comment)
            for c in found
        }

    def elements(self, table: str, wanted: Sequence[Element]) -> list[Element | None]:
        """See :class:`vifd.drivers.Nft`."""
        asked = [Message(nl.GETELEM, 0, nl.elements(table, e.set, [_bare(e)])) for e in wanted]
        with self._lock:
            answers = self._talk.ask(asked)
        found: list[Element | None] = []
        for element, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, int):
                if answer != errno.ENOENT:
                    raise failure(answer, f"read set {element.set}")
                found.append(None)
                continue
            items = [Element(element.set, n, v) for n, v in nl.parse_elements(answer)]
            found.append(items[0] if items else None)
        return found

    def list_elements(self, table: str, name: str) -> Mapping[str, Verdict | None]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            try:
                body = nl.elements(table, name, [])
                bodies = self._talk.dump(Message(nl.GETELEM, 0, body))
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return {}
                raise failure(error.errno or 0, f"read set {name}") from error
        return {key: verdict for body in bodies for key, verdict in nl.parse_elements(body)}

    # --- devices that the host does not hear ---

    def deafen(self, table: str, devices: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            there = self._deaf(table, devices)
            todo = [name for name in devices if not there.get(name)]
            wrong = deaf.removal(table, [name for name in todo if name in there])
            if todo:
                made = deaf.table(table, self._flags(table, deaf.NETDEV_FAMILY))
                self._commit(table, [made, *wrong, *deaf.addition(table, todo)])

    def undeafen(self, table: str, devices: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            there = self._deaf(table, devices)
            if there:
                self._commit(table, deaf.removal(table, list(there)))

    def deaf(self, table: str, devices: Sequence[str]) -> set[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return {name for name, drops in self._deaf(table, devices).items() if drops}

    def list_deaf(self, table: str) -> list[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            try:
                return deaf.everything(self._talk, table)
            except OSError as error:
                raise failure(error.errno or 0, f"read table netdev {table}") from error

    def lacking(self, family: str) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        if family not in self._able:
            try:
                problem = families.lacking(family)
            except OSError as error:
                return f"the kernel refuses to be asked: {error.strerror}"
            if problem is not None:
                return problem
            self._able.add(family)
        return None

    def _deaf(self, table: str, devices: Sequence[str]) -> dict[str, bool]:
        try:
            return deaf.read(self._talk, table, devices)
        except OSError as error:
            raise failure(error.errno or 0, f"read table netdev {table}") from error

    def _commit(self, table: str, messages: Sequence[Message]) -> None:
        try:
            self._talk.commit(messages)
        except Refused as refused:
            raise self._refusal(table, refused) from refused

    def delete_table(self, table: str) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            try:
                body = nl.table(table)
                self._talk.commit([Message(nl.DELTABLE, 0, body, f"remove table {table}")])
            except Refused as refused:
                if refused.errno != errno.ENOENT:
                    raise failure(refused.errno or 0, refused.what) from refused


class Known:
    """Chains that were read back, and the number of the ruleset at which they were.

    The kernel counts every change of any table, so what was read at a number is what is there as
    long as the number is the same.
    """

    def __init__(self) -> None:
        self.generation = -1
        self.chains: dict[tuple[str, str], Chain] = {}
        #: the elements of sets of addresses
        self.addresses: dict[tuple[str, str], set[str]] = {}

    def at(self, generation: int) -> None:
        """The number is this now."""
        if generation != self.generation:
            self.chains.clear()
            self.addresses.clear()
            self.generation = generation

    def forget(self, table: str, names: Sequence[str]) -> None:
        """These are about to change."""
        for name in names:
            self.chains.pop((table, name), None)

    def change(self, table: str, change: Change) -> None:
        """A change was made, and nothing else."""
        for name in change.delete_sets:
            self.addresses.pop((table, name), None)
        for element in change.add:
            if (found := self.addresses.get((table, element.set))) is not None:
                found.add(element.name)
        for element in change.delete:
            if (found := self.addresses.get((table, element.set))) is not None:
                found.discard(element.name)


def _bare(element: Element) -> Element:
    """Without its verdict: elements are named by their key."""
    return Element(element.set, element.name, address=element.address)


def _rules(table: str, chain: Chain) -> Iterator[Message]:
    what = f"fill chain {chain.name}"
    yield Message(nl.DELRULE, 0, nl.chain_rules(table, chain.name), what)
    for rule in chain.rules:
        body = nl.rule(table, chain.name, rule)
        yield Message(nl.NEWRULE, CREATE | APPEND, body, what)


def _elements(table: str, kind: int, wanted: Sequence[Element]) -> Iterator[Message]:
    adding = kind == nl.NEWELEM
    for name, group in groupby(sorted(wanted, key=lambda e: e.set), key=lambda e: e.set):
        items = [e if adding else _bare(e) for e in group]
        # an attribute holds 64 KiB
        for start in range(0, len(items), 400):
            body = nl.elements(table, name, items[start : start + 400])
            what = f"{'add to' if adding else 'remove from'} set {name}"
            yield Message(kind, CREATE if adding else 0, body, what)


def _chain(body: bytes) -> Chain:
    _, name, hook, priority, comment = nl.parse_chain(body)
    return Chain(name, hook=None if hook is None else Hook(hook), priority=priority,
                 comment=comment)  # fmt: skip


def failure(number: int, what: str) -> VifError:
    """The coded error for an error number of the kernel."""
    if limit := limits.word(number):
        return ResourcesExhausted(facts={"problem": limit}, stage="nft")
    name = errno.errorcode.get(number, str(number))
    facts = {"backend": "nftables", "problem": f"cannot {what}: {os.strerror(number)}"}
    if number in _DENIED:
        return PrivilegeMissing(facts={**facts, "action": what, "device": ""}, stage="nft")
    if number in _ABSENT:
        hint = "load the kernel module nf_tables (and nft_meta_bridge where it is separate)"
        return BackendUnavailable(facts={**facts, "errno": name}, stage="nft", hint=hint)
    return BackendError(facts={**facts, "errno": name}, stage="nft")
