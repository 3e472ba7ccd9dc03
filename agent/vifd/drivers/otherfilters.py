"""Filters of other software: base chains of nftables in any family, and those of legacy iptables,
as far as they refuse anything, rewrite frames, send them elsewhere or give them other addresses.

Read in two steps: all chains, and the rules of those that stand in a way.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from vifd.drivers import FilterChain, legacytables
from vifd.drivers.netlink import Message, Socket, attributes, string, text
from vifd.drivers.nft import hold, nl
from vifd.drivers.nft.answers import ASKS
from vifd.drivers.nft.objects import ANSWERED
from vifd.drivers.nft.translating import translation
from vifd.drivers.translation import Translation

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
#: Of an element of a set: that a range ends before it.
_ENDS = 1
_VERDICT_REGISTER = 0
#: Of an expression of packets' bytes: where from it writes; the header that is that of the network.
_WRITTEN, _NETWORK_HEADER = 5, 1
_DIVERTING = frozenset(("fwd", "dup", "queue"))
#: What rules of ``iptables-nft`` and ``ebtables-nft`` leave to extensions of those.
_REFUSING_TARGETS = frozenset(("REJECT", "DROP", "NFQUEUE"))
_REWRITING_TARGETS = frozenset(("snat", "dnat", "arpreply", "redirect"))


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
        """The base chains that refuse something, or do more to frames.

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
    dormant = _dormant(sock)
    for message in sock.dump(Message(nl.GETCHAIN, 0, nl.head(0))):
        number = message[0]
        family = _FAMILIES.get(number)
        parts = dict(attributes(message, 4))
        if family is None or 4 not in parts:
            continue
        table, name = string(parts[1]), string(parts[3])
        hook = dict(attributes(parts[4]))
        devices = tuple(dict.fromkeys(_devices(hook)))  # one may be told twice
        if (number, table) in dormant or _ours(family, table, name, devices, ours):
            continue
        words = _HOOKS.get(family, _INET_HOOKS)
        at = _U32.unpack(hook[1])[0]
        drops = 5 in parts and _U32.unpack(parts[5])[0] == _DROP
        # of a device, or of bridges: what it jumps to counts as well
        whole = (family in ("bridge", "netdev") or bool(devices)) and table != ours
        does = _deeds(sock, number, table, name, whole=whole)
        where = words[at] if at < len(words) else str(at)
        chain = FilterChain(family, table, name, where, devices, drops, *does)
        if chain:
            yield chain


def _dormant(sock: Socket) -> frozenset[tuple[int, str]]:
    """Families and names of tables whose chains nothing calls."""
    bodies = sock.dump(Message(nl.GETTABLE, 0, nl.head(0)))
    return frozenset((b[0], nl.table_of(b)) for b in bodies if hold.parse(b).dormant)


def _ours(family: str, table: str, chain: str, devices: tuple[str, ...], ours: str) -> bool:
    """Whether a chain keeps the host from hearing a device, or answers one. Those of the family
    bridge are told: who made them knows their names, and which are not among them."""
    if family != "netdev":
        return False
    deaf = table == ours and devices == (chain,)
    return deaf or (table == ANSWERED and chain.startswith(ASKS))


def _devices(hook: Mapping[int, bytes]) -> Iterable[str]:
    if 3 in hook:
        yield string(hook[3])
    for _, value in attributes(hook.get(4, b"")):
        yield string(value)


def _deeds(
    sock: Socket, family: int, table: str, chain: str, *, whole: bool
) -> tuple[int, int, int, tuple[Translation, ...]]:
    """How many rules drop or reject, rewrite, and send elsewhere, and those that translate.

    :param whole: of the whole table: chains that this one jumps to count as well
    """
    body = nl.head(family) + text(1, table) + (b"" if whole else text(2, chain))
    maps: dict[str, bool] = {}

    def drops(name: str) -> bool:
        if name not in maps:
            maps[name] = _map_drops(sock, family, table, name)
        return maps[name]

    def keys(name: str) -> Iterator[tuple[bytes, bool]]:
        for element in _elements(sock, family, table, name):
            flags = _U32.unpack(element.get(3, bytes(4)))[0]
            yield dict(attributes(element.get(1, b""))).get(1, b""), bool(flags & _ENDS)

    rules = sock.dump(Message(nl.GETRULE, 0, body))
    said = (translation(_FAMILIES[family], _expressions(message), keys) for message in rules)
    return (
        sum(_refuses(message, drops) for message in rules),
        sum(any(map(_rewrites, _expressions(message))) for message in rules),
        sum(any(kind in _DIVERTING for kind, _ in _expressions(message)) for message in rules),
        tuple(one for one in said if one is not None),
    )


def _expressions(rule: bytes) -> Iterator[tuple[str, bytes]]:
    """The kind of each, and what it says."""
    for _, item in attributes(dict(attributes(rule, 4)).get(4, b"")):
        expression = dict(attributes(item))
        yield string(expression.get(1, b"")), expression.get(2, b"")


def _rewrites(expression: tuple[str, bytes]) -> bool:
    """Whether it writes what frames are judged or delivered by. A class of service, a mark or a
    time to live is none of that; what has the place of such a field is at most two bytes long."""
    kind, data = expression
    if kind == "target":
        return string(dict(attributes(data)).get(1, b"")) in _REWRITING_TARGETS
    parts = dict(attributes(data)) if kind == "payload" else {}
    if _WRITTEN not in parts:
        return False
    base, length = (_U32.unpack(parts[n])[0] for n in (2, 4))
    return not (base == _NETWORK_HEADER and length <= 2)


def _refuses(rule: bytes, drops: Callable[[str], bool]) -> bool:
    """Whether a rule drops or rejects.

    :param drops: whether a map of verdicts, by its name, does for any of its keys
    """
    for kind, data in _expressions(rule):
        if kind == "target" and string(dict(attributes(data)).get(1, b"")) in _REFUSING_TARGETS:
            return True
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
    return any(
        _code(element.get(2, b"")) == _DROP for element in _elements(sock, family, table, name)
    )


def _elements(sock: Socket, family: int, table: str, name: str) -> Iterator[dict[int, bytes]]:
    """Of a set or a map."""
    body = nl.head(family) + text(1, table) + text(2, name)
    for message in sock.dump(Message(nl.GETELEM, 0, body)):
        for _, element in attributes(dict(attributes(message, 4)).get(3, b"")):
            yield dict(attributes(element))


def _verdict(data: bytes) -> int | None:
    """The verdict of an immediate expression; ``None`` where it loads a value."""
    return _code(dict(attributes(data)).get(2, b""))


def _code(value: bytes) -> int | None:
    """The code of a verdict; ``None`` of data of another kind."""
    verdict = dict(attributes(dict(attributes(value)).get(2, b"")))
    return _U32.unpack(verdict[1])[0] if 1 in verdict else None
