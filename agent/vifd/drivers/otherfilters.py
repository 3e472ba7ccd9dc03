"""Filters of other software: base chains of nftables in any family, and those of legacy iptables,
as far as they refuse anything.

Read in two steps: all chains, and the rules of those that stand in a way.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from vifd.drivers import FilterChain, legacytables
from vifd.drivers.netlink import Message, Socket, attributes, string, text
from vifd.drivers.nft import nl

#: After so many seconds it is read anew whatever was told.
AGE = 30.0
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_INET_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_HOOKS: Mapping[str, tuple[str, ...]] = {
    "arp": ("input", "output", "forward"), "netdev": ("ingress", "egress"),
    "inet": (*_INET_HOOKS, "ingress"),
}  # fmt: skip
_U32 = struct.Struct("!I")
_DROP = 0
_VERDICT_REGISTER = 0


class OtherFilters:
    """Remembers them until the kernel tells of a change by others.

    :param ours: families and tables that are not meant
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changes = 0
        self._known: tuple[int, float, tuple[FilterChain, ...]] | None = None

    def changed(self, _table: str) -> None:
        """Somebody else changed a table."""
        self._changes += 1

    def get(self, sock: Socket, ours: str) -> tuple[FilterChain, ...]:
        """The base chains that refuse something.

        :param ours: the table that is not meant
        :raises OSError: the kernel does not say
        """
        now, changes = self._clock(), self._changes
        known = self._known
        if known is not None and known[0] == changes and now - known[1] < AGE:
            return (*known[2], *legacytables.read())
        found = tuple(_read(sock, ours))
        self._known = (changes, now, found)
        # of these the kernel tells no changes
        return (*found, *legacytables.read())


def _read(sock: Socket, ours: str) -> Iterator[FilterChain]:
    for message in sock.dump(Message(nl.GETCHAIN, 0, nl.head(0))):
        number = message[0]
        family = _FAMILIES.get(number)
        parts = dict(attributes(message, 4))
        if family is None or 4 not in parts:
            continue
        table, name = string(parts[1]), string(parts[3])
        if table == ours:
            continue
        hook = dict(attributes(parts[4]))
        words = _HOOKS.get(family, _INET_HOOKS)
        at = _U32.unpack(hook[1])[0]
        drops = 5 in parts and _U32.unpack(parts[5])[0] == _DROP
        # of a device, or of bridges: what it jumps to counts as well
        whole = family in ("bridge", "netdev") or not {3, 4}.isdisjoint(hook)
        refusing = _refusing(sock, number, table, name, whole=whole)
        if drops or refusing:
            where = words[at] if at < len(words) else str(at)
            yield FilterChain(family, table, name, where, tuple(_devices(hook)), drops, refusing)


def _devices(hook: Mapping[int, bytes]) -> Iterable[str]:
    if 3 in hook:
        yield string(hook[3])
    for _, value in attributes(hook.get(4, b"")):
        yield string(value)


def _refusing(sock: Socket, family: int, table: str, chain: str, *, whole: bool) -> int:
    """How many rules drop or reject.

    :param whole: of the whole table: chains that this one jumps to count as well
    """
    body = nl.head(family) + text(1, table) + (b"" if whole else text(2, chain))
    maps: dict[str, bool] = {}

    def drops(name: str) -> bool:
        if name not in maps:
            maps[name] = _map_drops(sock, family, table, name)
        return maps[name]

    rules = sock.dump(Message(nl.GETRULE, 0, body))
    return sum(_refuses(message, drops) for message in rules)


def _refuses(rule: bytes, drops: Callable[[str], bool]) -> bool:
    """Whether a rule drops or rejects.

    :param drops: whether a map of verdicts, by its name, does for any of its keys
    """
    parts = dict(attributes(rule, 4))
    for _, item in attributes(parts.get(4, b"")):
        expression = dict(attributes(item))
        kind, data = string(expression.get(1, b"")), expression.get(2, b"")
        if kind == "reject" or (kind == "immediate" and _verdict(data) == _DROP):
            return True
        if kind == "lookup" and (name := _verdict_map(data)) and drops(name):
            return True
    return False


def _verdict_map(data: bytes) -> str:
    """The map whose verdict a lookup does; empty where it only asks, or loads a value."""
    parts = dict(attributes(data))
    verdict = 3 in parts and _U32.unpack(parts[3])[0] == _VERDICT_REGISTER
    return string(parts[1]) if verdict else ""


def _map_drops(sock: Socket, family: int, table: str, name: str) -> bool:
    body = nl.head(family) + text(1, table) + text(2, name)
    return any(
        _code(dict(attributes(element)).get(2, b"")) == _DROP
        for message in sock.dump(Message(nl.GETELEM, 0, body))
        for _, element in attributes(dict(attributes(message, 4)).get(3, b""))
    )


def _verdict(data: bytes) -> int | None:
    """The verdict of an immediate expression; ``None`` where it loads a value."""
    return _code(dict(attributes(data)).get(2, b""))


def _code(value: bytes) -> int | None:
    """The code of a verdict; ``None`` of data of another kind."""
    verdict = dict(attributes(dict(attributes(value)).get(2, b"")))
    return _U32.unpack(verdict[1])[0] if 1 in verdict else None
