"""Rules, chains, sets and their elements, as they shall be or as they were read back."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from vifd.drivers.nft.expr import Expr, Verdict, interface

#: The table of vifd.
TABLE = "vifd"
#: That of what is answered of guests' questions; of the family netdev, where what is not heard
#: stands in one of the name above.
ANSWERED = "vifd-answers"
#: Its set of the taps of ports on bridges of the kernel, open or closed.
GUARDED = "ports"
#: The group that frames of vifd's rules are handed to; one program in a network namespace has it.
GROUP = 0x7669
#: Of each frame so much is handed over, from the network header on.
COPIED = 178


class Hook(IntEnum):
    """Where a base chain of the bridge family sees frames."""

    PREROUTING = 0  #: all that come in by a port, before the bridge learns or forwards
    INPUT = 1  #: those for the host itself
    FORWARD = 2
    OUTPUT = 3  #: those of the host itself
    POSTROUTING = 4  #: all that leave by a port


class Overheard(NamedTuple):
    """A frame that a rule handed over.

    :param prefix: what the rule says
    :param hook: where it was; ``None`` where that is not known
    :param frame: it, or its beginning
    :param length: of all of it
    """

    prefix: str
    hook: Hook | None
    frame: bytes
    length: int


@dataclass(frozen=True)
class Rule:
    """A row of expressions.

    :param note: at most 254 bytes of the maker's own, kept with the rule; no part of its meaning
    """

    exprs: tuple[Expr, ...]
    note: bytes = b""

    def __str__(self) -> str:
        return " ".join(map(str, self.exprs))


@dataclass(frozen=True)
class Chain:
    """A chain with all its rules.

    :param hook: of a base chain, whose policy is to accept; ``None`` for one that is jumped to
    :param comment: at most 128 characters, shown by ``nft list``; fixed when the chain is made
    :param flaw: of a base chain that was read back, why it is not what its rules say: nothing
        calls it, or it drops what they pass
    """

    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None
    priority: int = 0
    comment: str = ""
    flaw: str = ""

    def placed_as(self, other: Chain) -> bool:
        """Whether both see the same frames, and at the same time."""
        mine, theirs = (self.hook, self.priority), (other.hook, other.priority)
        return mine == theirs and not self.flaw and not other.flaw


@dataclass(frozen=True)
class Set:
    """A set keyed by interface names, or a map from interface names to verdicts.

    :param version: of a set of addresses, their IP version; 0 for interface names
    """

    name: str
    vmap: bool = False
    version: int = 0


@dataclass(frozen=True)
class Element:
    """An interface name in a set; with its verdict in a map.

    :param address: it is an IP address instead
    """

    set: str
    name: str
    verdict: Verdict | None = None
    address: bool = False

    @property
    def key(self) -> bytes:
        return _packed(self.name) if self.address else interface(self.name)


@lru_cache(maxsize=65536)
def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


@dataclass(frozen=True)
class Change:
    """What one transaction does, in this order, all or nothing.

    :param sets: to make where they are missing
    :param chains: to make where they are missing; the rules of an existing one are replaced, with
        no moment in between at which other rules are in force
    :param add: elements to add; one that is there already is no error
    :param delete: elements to remove; those that are gone are no error
    :param delete_chains: chains to remove with their rules; those that are gone are no error
    :param delete_sets: sets to remove with their elements; those that are gone are no error
    """

    sets: Sequence[Set] = ()
    chains: Sequence[Chain] = ()
    add: Sequence[Element] = ()
    delete: Sequence[Element] = ()
    delete_chains: Sequence[str] = ()
    delete_sets: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.sets, self.chains, self.add, self.delete, self.delete_chains,
                    self.delete_sets))  # fmt: skip

    def __or__(self, other: Change) -> Change:
        """Both, as one transaction."""
        return Change(
            [*self.sets, *other.sets], [*self.chains, *other.chains], [*self.add, *other.add],
            [*self.delete, *other.delete], [*self.delete_chains, *other.delete_chains],
            [*self.delete_sets, *other.delete_sets],
        )  # fmt: skip
