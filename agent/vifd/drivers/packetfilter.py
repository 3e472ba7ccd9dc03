"""What plugins may ask of the kernel's packet filter. They import it from :mod:`vifd.drivers`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.objects import Chain, Change, Element, Overheard
from vifd.drivers.translation import Translation


@dataclass(frozen=True)
class FilterChain:
    """A base chain of other software that refuses something, or does more to frames.

    :param family: ``ip``, ``ip6``, ``inet``, ``arp``, ``bridge`` or ``netdev``
    :param hook: where it is called, in the words of ``nft``
    :param devices: of a chain that is called for devices: of the family ``netdev``, or ``inet``
    :param drops: whether it drops what no rule accepts
    :param refusing: how many rules drop or reject
    :param rewriting: how many write addresses, ports or protocols of frames anew
    :param diverting: how many send frames, or copies of them, elsewhere
    :param translating: those that give connections other addresses; whom they meet is asked of each
    """

    family: str
    table: str
    name: str
    hook: str
    devices: tuple[str, ...] = ()
    drops: bool = False
    refusing: int = 0
    rewriting: int = 0
    diverting: int = 0
    translating: tuple[Translation, ...] = ()

    def __bool__(self) -> bool:
        """Whether it does anything to frames."""
        counts = self.refusing, self.rewriting, self.diverting, len(self.translating)
        return self.drops or any(counts)

    def __str__(self) -> str:
        does = ["drops what no rule accepts"] if self.drops else []
        does += [f"{self.refusing} rules refuse"] if self.refusing else []
        does += [f"{self.rewriting} rules rewrite frames"] if self.rewriting else []
        does += [f"{self.diverting} rules send frames elsewhere"] if self.diverting else []
        does += [f"{len(self.translating)} rules translate addresses"] if self.translating else []
        return (
            f"table {self.family} {self.table}, chain {self.name} ({self.hook}): {', '.join(does)}"
        )


class Nft(Protocol):
    """Tables of nftables in the bridge family; and of the family netdev what keeps the host itself
    from hearing devices, and what answers the questions of guests."""

    def apply(self, table: str, change: Change) -> None:
        """Carry a change out as one transaction, all or nothing; the table is made if need be."""

    def rehearse(self, table: str, change: Change) -> None:
        """Have the kernel judge a change as :meth:`apply` would, and change nothing."""

    def chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        """The chains that exist, by name, with their rules: equal to what was applied."""

    def list_chains(self, table: str) -> dict[str, Chain]:
        """All chains of the table (a dump)."""

    def counted(self, table: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Packets and bytes that the counters of each chain have, all its rules together; of a
        chain that is there. They begin at zero when its rules are made. Bytes are counted from the
        network header on."""

    def elements(self, table: str, wanted: Sequence[Element]) -> list[Element | None]:
        """For each element the one of its name in its set, or ``None``."""

    def list_elements(self, table: str, name: str) -> Mapping[str, Verdict | None]:
        """All elements of a set (a dump); none where there is no such set."""

    def addresses(self, table: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """The elements of sets of addresses that exist, by the name of the set."""

    def list_sets(self, table: str) -> list[str]:
        """The names of all sets of the table (a dump)."""

    def untracked(self) -> str | None:
        """Why the kernel cannot follow connections across its bridges; ``None`` where it can. Makes
        nothing.

        :raises VifError: it cannot be told now
        """

    def forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        """Forget the connections of a zone that have one of these addresses at an end, or one of
        these marks; without addresses all of them. How many those were."""

    def deafen(self, table: str, devices: Sequence[str]) -> None:
        """Have the host's own stack hear nothing from devices; packet sockets hear them still, and
        with them a userspace switch. All or nothing; one that is deaf already is no error."""

    def undeafen(self, table: str, devices: Sequence[str]) -> None:
        """Have the host hear devices again; also of devices that are gone, for some kernels keep
        what was said of a name."""

    def deaf(self, table: str, devices: Sequence[str]) -> set[str]:
        """Those of these devices that the host does not hear."""

    def list_deaf(self, table: str) -> list[str]:
        """The names of all devices of which something was said (a dump)."""

    def answer(self, table: str, network: str, known: Mapping[str, str] | None) -> None:
        """Have ARP and neighbour discovery for these addresses of a network, and for no others, be
        answered with their MAC addresses, by the difference to what is there. ``None``: no question
        about it is answered any more, whoever asks.

        :param network: a name of at most 120 characters
        """

    def ask(self, table: str, devices: Mapping[str, str | None]) -> None:
        """Have what guests ask by these devices be answered by what is known of a network, which
        must be there; with ``None`` no more, also of devices that are gone."""

    def answers(self, table: str, network: str) -> Mapping[str, str] | None:
        """What is answered about a network: MAC address by IP address. ``None`` where nothing is,
        or otherwise than :meth:`answer` has it."""

    def asking(self, table: str, devices: Sequence[str]) -> dict[str, str]:
        """The network that each of these devices asks about, of those that do; an empty name where
        somebody changed that."""

    def list_answers(self, table: str) -> tuple[list[str], list[str]]:
        """All devices that ask, and all networks that are answered for (a dump)."""

    def unanswerable(self) -> str | None:
        """Why the kernel cannot answer; ``None`` where it can. Makes nothing."""

    def lacking(self, family: str) -> str | None:
        """Why the kernel takes no chains of a family (``netdev``, ``bridge``); ``None`` where it
        does. Makes nothing."""

    def others(self, ours: str) -> tuple[FilterChain, ...]:
        """Base chains of any family that refuse something; without those of the table ``ours``.
        Read again only when somebody else changed a table."""

    def held(self, table: str) -> bool | None:
        """Whether nobody else can change the table of the bridge family now; ``None`` where that is
        not wanted, or the kernel has no such tables."""

    def delete_table(self, table: str) -> None:
        """Remove the table with everything in it; one that is gone is no error."""

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(table)`` called on a native thread when somebody else changed a table;
        the name is empty when announcements were lost: any may have changed."""

    def overhear(self, callback: Callable[[Overheard], None]) -> None:
        """Have ``callback`` called on a native thread with each frame that a rule hands over to
        group :data:`~vifd.drivers.nft.objects.GROUP`; of several the one that asked last.

        :raises VifError: the kernel has no such thing, or another program hears that group
        """

    def deafened(self) -> str | None:
        """Why :meth:`overhear` would hear nothing; ``None`` where it would. Makes nothing."""

    def close(self) -> None:
        """Close the socket. Rules stay."""
