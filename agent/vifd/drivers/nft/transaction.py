"""A change as the messages of one transaction; what is gone already is left out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from vifd.drivers.netlink import APPEND, CREATE, Message
from vifd.drivers.nft import nl, reading
from vifd.drivers.nft.objects import Chain, Change, Element
from vifd.drivers.nft.socket import NftSocket

#: Elements of one message: an attribute holds 64 KiB.
_MOST = 400


def messages(
    talk: NftSocket, table: str, change: Change, flags: Callable[[], bytes], *, anew: bool
) -> Iterator[Message]:
    """In the order of :class:`~vifd.drivers.nft.objects.Change`.

    :param flags: what a table is made with, asked only where one may be
    :param anew: remove first what is there and cannot become what is wanted
    """
    if change.sets or change.chains:
        body = nl.table(table, "vifd") + flags()
        yield Message(nl.NEWTABLE, CREATE, body, f"make table {table}")
    if anew:
        yield from _contradicting(talk, table, change)
    for number, wanted in enumerate(change.sets, 1):
        body = nl.set_(table, wanted, number)
        yield Message(nl.NEWSET, CREATE, body, f"make set {wanted.name}")
    for chain in change.chains:
        yield Message(nl.NEWCHAIN, CREATE, nl.chain(table, chain), f"make chain {chain.name}")
    for chain in change.chains:
        yield from _rules(table, chain)
    yield from _elements(table, nl.NEWELEM, change.add)
    yield from _elements(table, nl.DELELEM, reading.present(talk, table, change.delete))
    there = reading.chains(talk, table, change.delete_chains)
    for name in change.delete_chains:
        if name in there:
            yield Message(nl.DELCHAIN, 0, nl.chain_name(table, name), f"remove chain {name}")
    for name in reading.sets(talk, table, change.delete_sets):
        yield Message(nl.DELSET, 0, nl.set_name(table, name), f"remove set {name}")


def _contradicting(talk: NftSocket, table: str, change: Change) -> Iterator[Message]:
    """Chains that are called elsewhere, and elements with another verdict: neither can change."""
    there = reading.chains(talk, table, [chain.name for chain in change.chains])
    for chain in change.chains:
        have = there.get(chain.name)
        if have is not None and (have.hook, have.priority) != (chain.hook, chain.priority):
            what = f"remove chain {chain.name}, which is another one"
            yield Message(nl.DELRULE, 0, nl.chain_rules(table, chain.name), what)
            yield Message(nl.DELCHAIN, 0, nl.chain_name(table, chain.name), what)
    verdicts = [element for element in change.add if element.verdict is not None]
    found = reading.elements(talk, table, verdicts)
    pairs = zip(verdicts, found, strict=True)
    others = [wanted for wanted, have in pairs if have is not None and have != wanted]
    yield from _elements(table, nl.DELELEM, others)


def _rules(table: str, chain: Chain) -> Iterator[Message]:
    what = f"fill chain {chain.name}"
    yield Message(nl.DELRULE, 0, nl.chain_rules(table, chain.name), what)
    for rule in chain.rules:
        body = nl.rule(table, chain.name, rule)
        yield Message(nl.NEWRULE, CREATE | APPEND, body, what)


def _elements(table: str, kind: int, wanted: Sequence[Element]) -> Iterator[Message]:
    adding = kind == nl.NEWELEM
    for name, group in groupby(sorted(wanted, key=lambda e: e.set), key=lambda e: e.set):
        items = [e if adding else reading.bare(e) for e in group]
        for start in range(0, len(items), _MOST):
            body = nl.elements(table, name, items[start : start + _MOST])
            what = f"{'add to' if adding else 'remove from'} set {name}"
            yield Message(kind, CREATE if adding else 0, body, what)
