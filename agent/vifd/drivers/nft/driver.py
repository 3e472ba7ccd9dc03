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
import socket
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from vifd.drivers import FilterChain, conntrack
from vifd.drivers.netlink import Message
from vifd.drivers.nft import deaf, families, hold, nl, reading, tracking, transaction
from vifd.drivers.nft.answering import Answering
from vifd.drivers.nft.events import NftEvents, open_socket
from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.failure import ABSENT, DENIED, doing, failure
from vifd.drivers.nft.known import Known
from vifd.drivers.nft.listening import Listening
from vifd.drivers.nft.objects import Chain, Change, Element
from vifd.drivers.nft.socket import NftSocket, Refused
from vifd.drivers.otherfilters import OtherFilters
from vifd.errors import (
    BackendError,
    BackendUnavailable,
    VifError,
)

#: A change is tried so often when objects that it names come or go meanwhile.
_TRIES = 3
#: Something is gone; or it is there and another one, which is made anew then.
_AGAIN = frozenset((errno.ENOENT, errno.EEXIST, errno.EBUSY, errno.EOPNOTSUPP))


class Nft(Answering, Listening):
    """The tables of the network namespace of the thread that constructs this.

    May be used by any thread, one at a time.

    :param hold: make tables that nobody else can change or flush as long as this is open, and that
        stay when it is closed, where the kernel has such
    """

    def __init__(self, *, hold: bool = False) -> None:
        self._hold = hold
        self._lock, self._ears = threading.Lock(), threading.Lock()
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
            if error.errno not in (*ABSENT, *DENIED):
                raise

    def close(self) -> None:
        """See :class:`vifd.drivers.Nft`."""
        self._stop_hearing()
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
            anew = False
            for turn in range(_TRIES):
                try:
                    self._change(table, change, dry, anew)
                except Refused as refused:
                    if refused.errno not in _AGAIN or turn == _TRIES - 1:
                        raise self._refusal(table, refused) from refused
                    anew = anew or refused.errno != errno.ENOENT
                except OSError as error:
                    raise failure(error.errno or 0, f"change table {table}") from error
                else:
                    return

    def _change(self, table: str, change: Change, dry: bool, anew: bool) -> None:
        flags = partial(self._flags, table, nl.BRIDGE_FAMILY, dry=dry)
        messages = list(transaction.messages(self._talk, table, change, flags, anew=anew))
        if not messages:
            return
        before = reading.generation(self._talk)
        self._known.at(before)
        if not dry:
            self._known.forget(table, [*(c.name for c in change.chains), *change.delete_chains])
        self._talk.commit(messages, dry=dry)
        if not dry and reading.generation(self._talk) == before + 1:
            # nobody else changed anything in between
            self._known.generation = before + 1
            self._known.change(table, change)

    def _flags(self, table: str, family: int, *, dry: bool = False) -> bytes:
        """What makes a table ours alone; nothing for one that was made without an owner. One that
        sleeps is woken before: the kernel takes no change of chains together with that."""
        there = hold.read(self._talk, table, family)
        if there is not None and there.dormant:
            if dry:
                return b""
            self._commit(table, [hold.waking(table, family, there)])
        if not self._hold or not self._can_hold():
            return b""
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
        owner = self._other_owner(table) if refused.errno in DENIED else 0
        if not owner:
            return failure(refused.errno or 0, refused.what)
        problem = f"cannot {refused.what}: table {table} belongs to another process"
        facts = {"backend": "nftables", "problem": problem, "netlink_port": owner}
        hint = "a second vifd? the number is most often its process id; `nft list tables` shows who"
        return BackendError(facts=facts, stage="nft", hint=hint)

    # --- questions ---

    def addresses(self, table: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            self._known.at(reading.generation(self._talk))
            known = self._known.addresses
            missing = [n for n in names if (table, n) not in known]
            for name in reading.sets(self._talk, table, missing):
                known[table, name] = reading.addresses(self._talk, table, name)
            return {n: frozenset(known[table, n]) for n in names if (table, n) in known}

    def list_sets(self, table: str) -> list[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return reading.every_set(self._talk, table)

    def untracked(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        if not self._tracks:
            with self._lock, doing("ask for connection tracking"):
                problem = tracking.lacking(self._talk)
            if problem is not None:
                return problem
            self._tracks = True
        return None

    def forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        """See :class:`vifd.drivers.Nft`."""
        ends = None
        if addresses is not None:
            ends = {ipaddress.ip_address(address).packed for address in addresses}
        with self._lock, doing(f"forget connections of zone {zone}"):
            return conntrack.forget(self._talk, zone, ends, marks)

    def chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            self._known.at(reading.generation(self._talk))
            known = self._known.chains
            found = reading.chains(self._talk, table, [n for n in names if (table, n) not in known])
            known |= {
                (table, n): reading.with_rules(self._talk, table, c) for n, c in found.items()
            }
            return {name: known[table, name] for name in names if (table, name) in known}

    def others(self, ours: str) -> tuple[FilterChain, ...]:
        """See :class:`vifd.drivers.Nft`."""
        if not self._minding:
            self._minding = True
            self.subscribe(self._filters.changed)
        with self._lock, doing("read the filters of others"):
            return self._filters.get(self._talk, ours)

    def list_chains(self, table: str) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return reading.every_chain(self._talk, table)

    def counted(self, table: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return reading.counted(self._talk, table, names)

    def elements(self, table: str, wanted: Sequence[Element]) -> list[Element | None]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return reading.elements(self._talk, table, wanted)

    def list_elements(self, table: str, name: str) -> Mapping[str, Verdict | None]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock:
            return reading.every_element(self._talk, table, name)

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
        with self._lock, doing(f"read table netdev {table}"):
            return deaf.everything(self._talk, table)

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
        with doing(f"read table netdev {table}"):
            return deaf.read(self._talk, table, devices)

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
