"""nftables in memory: transactions are atomic, and references are looked after as in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vifd.drivers import FilterChain
from vifd.drivers.nft.expr import Lookup, Verdict
from vifd.drivers.nft.objects import Chain, Change, Element, Hook, Overheard, Set
from vifd.errors import BackendError, BackendUnavailable
from vifd.testing.faults import Faults


@dataclass
class _Table:
    sets: dict[str, Set] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)
    elements: dict[tuple[str, str], Element] = field(default_factory=dict)
    #: packets and bytes that the rules of chains have counted
    counted: dict[str, tuple[int, int]] = field(default_factory=dict)

    def copy(self) -> _Table:
        return _Table(dict(self.sets), dict(self.chains), dict(self.elements), dict(self.counted))


class FakeNft(Faults):
    """See :class:`vifd.drivers.Nft`."""

    def __init__(self) -> None:
        super().__init__()
        self._deaf: set[tuple[str, str]] = set()
        #: by table and network, and by table and device
        self._answers: dict[tuple[str, str], dict[str, str]] = {}
        self._asking: dict[tuple[str, str], str] = {}
        #: why the kernel cannot answer
        self.no_answers = ""
        #: Families that the kernel does not have.
        self.missing: set[str] = set()
        self._tables: dict[str, _Table] = {}
        self._callbacks: list[Callable[[str], None]] = []
        #: why connections cannot be followed across bridges
        self.no_tracking = ""
        #: what is asked to be forgotten: zone, addresses, marks
        self.on_forget: Callable[[int, Collection[str] | None, Collection[int]], int] = (
            lambda _zone, _addresses, _marks: 0
        )
        #: kinds of expressions that the kernel does not have
        self.unknown: tuple[type, ...] = ()
        #: why nothing can be heard of what rules hand over
        self.no_ear = ""
        self._hears: Callable[[Overheard], None] | None = None
        #: base chains of other software that refuse something
        self.of_others: list[FilterChain] = []

    # What a test does to the host, past the driver.

    def flush(self) -> None:
        """Somebody flushes the ruleset."""
        gone = [*self._tables, *(table for table, _ in (*self._deaf, *self._answers))]
        self._tables.clear()
        self._deaf.clear()
        self._answers.clear()
        self._asking.clear()
        for callback in self._callbacks:
            for table in gone:
                callback(table)

    def place(self, table: str, chain: Chain) -> None:
        """Somebody changes a chain."""
        self._tables.setdefault(table, _Table()).chains[chain.name] = chain
        for callback in self._callbacks:
            callback(table)

    def count(self, table: str, chain: str, octets: int) -> None:
        """A rule of a chain has counted a packet of so many bytes."""
        counted = self._tables[table].counted
        packets, before = counted.get(chain, (0, 0))
        counted[chain] = packets + 1, before + octets

    def hand_over(self, prefix: str, hook: Hook, frame: bytes) -> None:
        """A rule hands a frame over."""
        if self._hears is not None:
            self._hears(Overheard(prefix, hook, frame, len(frame)))

    def table(self, name: str) -> _Table:
        """A table as it stands."""
        return self._tables.get(name, _Table())

    # The driver.

    def apply(self, table: str, change: Change) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("apply"):
            after = self._after(table, change)
            if table in self._tables or change.sets or change.chains:
                self._tables[table] = after

    def rehearse(self, table: str, change: Change) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("rehearse"):
            self._after(table, change)

    def _after(self, table: str, change: Change) -> _Table:
        after = self._tables.get(table, _Table()).copy()
        for chain in change.chains:
            if any(isinstance(e, self.unknown) for rule in chain.rules for e in rule.exprs):
                raise _refused(f"fill chain {chain.name}", "No such file or directory")
        _carry_out(after, change)
        return after

    def chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("chains"):
            there = self._tables.get(table, _Table()).chains
            return {name: there[name] for name in names if name in there}

    def counted(self, table: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("counted"):
            there = self._tables.get(table, _Table())
            return {n: there.counted.get(n, (0, 0)) for n in names if n in there.chains}

    def list_chains(self, table: str) -> dict[str, Chain]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("list_chains"):
            return dict(self._tables.get(table, _Table()).chains)

    def elements(self, table: str, wanted: Sequence[Element]) -> list[Element | None]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("elements"):
            there = self._tables.get(table, _Table()).elements
            return [there.get((e.set, e.name)) for e in wanted]

    def list_elements(self, table: str, name: str) -> Mapping[str, Verdict | None]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("list_elements"):
            there = self._tables.get(table, _Table()).elements
            return {e.name: e.verdict for (set_, _), e in there.items() if set_ == name}

    def addresses(self, table: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("addresses"):
            there = self._tables.get(table, _Table())
            return {
                name: frozenset(e.name for (at, _), e in there.elements.items() if at == name)
                for name in names
                if name in there.sets
            }

    def list_sets(self, table: str) -> list[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("list_sets"):
            return [*self._tables.get(table, _Table()).sets]

    def untracked(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        return self.no_tracking or None

    def forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("forget"):
            return self.on_forget(zone, addresses, marks)

    def deafen(self, table: str, devices: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("deafen"):
            self._deaf |= {(table, name) for name in devices}

    def undeafen(self, table: str, devices: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("undeafen"):
            self._deaf -= {(table, name) for name in devices}

    def deaf(self, table: str, devices: Sequence[str]) -> set[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("deaf"):
            return {name for name in devices if (table, name) in self._deaf}

    def list_deaf(self, table: str) -> list[str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("list_deaf"):
            return sorted(name for where, name in self._deaf if where == table)

    def answer(self, table: str, network: str, known: Mapping[str, str] | None) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("answer"):
            if known is not None:
                self._answers[table, network] = dict(known)
            elif self._answers.pop((table, network), None) is not None:
                asking = [
                    key for key, to in self._asking.items() if (key[0], to) == (table, network)
                ]
                for key in asking:
                    del self._asking[key]

    def ask(self, table: str, devices: Mapping[str, str | None]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("ask"):
            for device, network in devices.items():
                if network is None:
                    self._asking.pop((table, device), None)
                elif (table, network) in self._answers:
                    self._asking[table, device] = network
                else:
                    raise _refused(f"have questions of {device} answered", "no such chain")

    def answers(self, table: str, network: str) -> Mapping[str, str] | None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("answers"):
            return self._answers.get((table, network))

    def asking(self, table: str, devices: Sequence[str]) -> dict[str, str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("asking"):
            return {d: self._asking[table, d] for d in devices if (table, d) in self._asking}

    def list_answers(self, table: str) -> tuple[list[str], list[str]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("list_answers"):
            return ([device for at, device in self._asking if at == table],
                    [network for at, network in self._answers if at == table])  # fmt: skip

    def unanswerable(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        return self.no_answers or None

    def lacking(self, family: str) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        return f"no family {family}" if family in self.missing else None

    def held(self, table: str) -> bool | None:
        """See :class:`vifd.drivers.Nft`."""
        return None

    def delete_table(self, table: str) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._call("delete_table"):
            self._tables.pop(table, None)

    def others(self, ours: str) -> tuple[FilterChain, ...]:
        """What a test put there."""
        return tuple(chain for chain in self.of_others if chain.table != ours)

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        self._callbacks.append(callback)

    def overhear(self, callback: Callable[[Overheard], None]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        if self.no_ear:
            raise BackendUnavailable(
                facts={"backend": "nftables", "problem": self.no_ear}, stage="nft"
            )
        self._hears = callback

    def deafened(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        return self.no_ear or None

    def close(self) -> None:
        """See :class:`vifd.drivers.Nft`."""
        self._callbacks.clear()
        self._hears = None


def _carry_out(table: _Table, change: Change) -> None:
    for wanted in change.sets:
        table.sets.setdefault(wanted.name, wanted)
    for chain in change.chains:
        old = table.chains.get(chain.name)
        table.counted.pop(chain.name, None)
        # what a chain was made with stays
        table.chains[chain.name] = replace(chain, comment=(old or chain).comment)
    for element in change.add:
        if element.set not in table.sets:
            raise _refused(f"add to set {element.set}", "No such file or directory")
        set_ = table.sets[element.set]
        if set_.vmap != (element.verdict is not None) or bool(set_.version) != element.address:
            raise _refused(f"add to set {element.set}", "Invalid argument")
        table.elements[element.set, element.name] = element
    for element in change.delete:
        table.elements.pop((element.set, element.name), None)
    for name in change.delete_chains:
        table.chains.pop(name, None)
        table.counted.pop(name, None)
    for name in change.delete_sets:
        table.sets.pop(name, None)
        for key in [key for key in table.elements if key[0] == name]:
            del table.elements[key]
    _complete(table)


def _complete(table: _Table) -> None:
    """Whatever is named must be there."""
    for chain, verdict in _verdicts(table):
        if verdict.chain and verdict.chain not in table.chains:
            raise _refused(f"fill chain {chain}", f"chain {verdict.chain} is in use or missing")
    for chain_ in table.chains.values():
        for rule in chain_.rules:
            for expr in rule.exprs:
                if isinstance(expr, Lookup) and expr.set not in table.sets:
                    raise _refused(f"fill chain {chain_.name}", "No such file or directory")


def _verdicts(table: _Table) -> Iterator[tuple[str, Verdict]]:
    for chain in table.chains.values():
        for rule in chain.rules:
            for expr in rule.exprs:
                if isinstance(expr, Verdict):
                    yield chain.name, expr
    for element in table.elements.values():
        if element.verdict is not None:
            yield element.set, element.verdict


def _refused(what: str, why: str) -> BackendError:
    facts = {"backend": "nftables", "problem": f"cannot {what}: {why}"}
    return BackendError(facts=facts, stage="nft")
