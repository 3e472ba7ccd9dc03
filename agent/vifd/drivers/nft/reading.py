"""Questions about tables, each answered by the kernel: its sets, elements, chains and rules."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vifd.drivers.netlink import Message
from vifd.drivers.nft import hold, nl
from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.failure import doing, failure
from vifd.drivers.nft.objects import Chain, Element, Hook, Rule
from vifd.drivers.nft.socket import NftSocket


def generation(talk: NftSocket) -> int:
    """The number of the ruleset, which the kernel counts up with every change."""
    (answer,) = talk.ask([Message(nl.GETGEN, 0, nl.head(0))])
    if isinstance(answer, int):
        raise failure(answer, "read the number of the ruleset")
    return nl.generation(answer)


# --- sets ---


def bare(element: Element) -> Element:
    """Without its verdict: elements are named by their key."""
    return Element(element.set, element.name, address=element.address)


def _asked(talk: NftSocket, table: str, wanted: Sequence[Element]) -> list[bytes | int]:
    return talk.ask([Message(nl.GETELEM, 0, nl.elements(table, e.set, [bare(e)])) for e in wanted])


def present(talk: NftSocket, table: str, wanted: Sequence[Element]) -> list[Element]:
    """Those of the elements that are there."""
    answers = _asked(talk, table, wanted)
    return [e for e, answer in zip(wanted, answers, strict=True) if isinstance(answer, bytes)]


def elements(talk: NftSocket, table: str, wanted: Sequence[Element]) -> list[Element | None]:
    """Each as it is there, with its verdict."""
    found: list[Element | None] = []
    for element, answer in zip(wanted, _asked(talk, table, wanted), strict=True):
        if isinstance(answer, int):
            if answer != errno.ENOENT:
                raise failure(answer, f"read set {element.set}")
            found.append(None)
            continue
        items = [Element(element.set, n, v) for n, v in nl.parse_elements(answer)]
        found.append(items[0] if items else None)
    return found


def every_element(talk: NftSocket, table: str, name: str) -> Mapping[str, Verdict | None]:
    """Those of a set of interface names; none where it is not there."""
    try:
        bodies = talk.dump(Message(nl.GETELEM, 0, nl.elements(table, name, [])))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return {}
        raise failure(error.errno or 0, f"read set {name}") from error
    return {key: verdict for body in bodies for key, verdict in nl.parse_elements(body)}


def addresses(talk: NftSocket, table: str, name: str) -> set[str]:
    """The elements of a set of addresses."""
    with doing(f"read set {name}"):
        bodies = talk.dump(Message(nl.GETELEM, 0, nl.set_name(table, name)))
    return {address for body in bodies for address in nl.parse_addresses(body)}


def sets(talk: NftSocket, table: str, names: Sequence[str]) -> list[str]:
    """Those of the sets that are there."""
    answers = talk.ask([Message(nl.GETSET, 0, nl.set_name(table, name)) for name in names])
    return [n for n, answer in zip(names, answers, strict=True) if isinstance(answer, bytes)]


def every_set(talk: NftSocket, table: str) -> list[str]:
    with doing(f"read table {table}"):
        bodies = talk.dump(Message(nl.GETSET, 0, nl.head()))
    return [nl.parse_set(body) for body in bodies if nl.table_of(body) == table]


# --- chains ---


def chains(talk: NftSocket, table: str, names: Sequence[str]) -> dict[str, Chain]:
    """Those of the chains that are there, without their rules."""
    if not names:
        return {}
    asked = [Message(nl.GETCHAIN, 0, nl.chain_name(table, name)) for name in names]
    *answers, about = talk.ask([*asked, hold.question(table, nl.BRIDGE_FAMILY)])
    dormant, found = hold.dormant(about), {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, bytes):
            found[name] = _chain(answer, dormant=dormant)
        elif answer != errno.ENOENT:
            raise failure(answer, f"read chain {name}")
    return found


def _rules(talk: NftSocket, table: str, name: str) -> list[bytes]:
    try:
        return talk.dump(Message(nl.GETRULE, 0, nl.chain_rules(table, name)))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise failure(error.errno or 0, f"read chain {name}") from error
        return []


def counted(talk: NftSocket, table: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Packets and bytes that the rules of chains have counted, of those that are there."""
    found = {}
    for name in chains(talk, table, names):
        told = [(packets, octets)
                for at, chain, packets, octets in map(nl.parse_counts, _rules(talk, table, name))
                if (at, chain) == (table, name)]  # fmt: skip
        found[name] = sum(p for p, _ in told), sum(b for _, b in told)
    return found


def with_rules(talk: NftSocket, table: str, chain: Chain) -> Chain:
    bodies = _rules(talk, table, chain.name)
    rules = [rule for at, name, rule in map(nl.parse_rule, bodies)
             if (at, name) == (table, chain.name)]  # fmt: skip
    return replace(chain, rules=tuple(rules))


def every_chain(talk: NftSocket, table: str) -> dict[str, Chain]:
    """All of a table, with their rules."""
    with doing(f"read table {table}"):
        bodies = talk.dump(Message(nl.GETCHAIN, 0, nl.head()))
        rules = talk.dump(Message(nl.GETRULE, 0, nl.head())) if bodies else []
    by_chain: dict[str, list[Rule]] = {}
    for at, name, rule in map(nl.parse_rule, rules):
        if at == table:
            by_chain.setdefault(name, []).append(rule)
    found = [_chain(body) for body in bodies if nl.parse_chain(body)[0] == table]
    return {
        c.name: Chain(c.name, tuple(by_chain.get(c.name, ())), c.hook, c.priority, c.comment)
        for c in found
    }


def _chain(body: bytes, *, dormant: bool = False) -> Chain:
    """:param dormant: whether its table is"""
    _, name, hook, priority, comment = nl.parse_chain(body)
    if hook is None:
        return Chain(name, comment=comment)
    flaw = "its table is dormant" if dormant else ""
    if nl.drops(body):
        flaw = "it drops what no rule accepts"
    return Chain(name, hook=Hook(hook), priority=priority, comment=comment, flaw=flaw)
