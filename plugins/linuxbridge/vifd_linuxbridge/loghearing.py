"""Packets that the kernel hands over because a log of security groups is about them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from vifd.drivers import Nft
from vifd.drivers.nft.objects import Overheard
from vifd.errors import VifError
from vifd.plugin import Entry, Host
from vifd.plugin.logged import Seen
from vifd.policy import headers
from vifd.policy.groups import Packet, Passes
from vifd_linuxbridge import telling
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.telling import Told, Word

LOG = logging.getLogger(__name__)


@dataclass
class LogHearing:
    """Hands them on.

    :param plugin: whose ports count
    """

    host: Host
    plugin: str
    grouping: Grouping
    _deaf: bool = False

    def start(self, nft: Nft) -> None:
        """Listen, before anything is handed over."""
        if self.host.logs is None:
            return
        try:
            nft.overhear(self.heard)
        except VifError as error:
            if not self._deaf:
                LOG.warning(
                    "%s: %s. What logs of security groups are about is not written down on Linux "
                    "bridges until then", error.code, error.message,
                )  # fmt: skip
            self._deaf = True
        else:
            self._deaf = False

    def heard(self, heard: Overheard) -> None:
        """A rule handed a packet over; on the driver's thread."""
        told = telling.told(heard)
        entry = self._entry(told.port) if told is not None and self.host.logs is not None else None
        if told is None or entry is None or self.host.logs is None:
            return
        if told.word is Word.MAYBE and not self._by_itself(told, entry, heard.frame):
            return
        seen = Seen(
            told.port, told.direction, told.word is not Word.DROP, heard.frame, heard.length,
            partial(self.judge, entry),
        )  # fmt: skip
        self.host.logs.seen(seen)

    def judge(
        self, entry: Entry, packet: Packet, groups: Collection[str] | None
    ) -> Passes | None:  # fmt: skip
        """Which rule lets a packet pass; see :data:`vifd.plugin.logged.Judge`."""
        return self.grouping.wanted.judge(entry.attachment, packet, groups)

    def _by_itself(self, told: Told, entry: Entry, frame: bytes) -> bool:
        """Whether a rule without state lets a packet pass, whatever its connection is."""
        packet = headers.read(frame).packet(told.direction)
        stateless = self.grouping.wanted.stateless(entry.attachment)
        return packet is not None and self.judge(entry, packet, stateless) is not None

    def _entry(self, port_id: str) -> Entry | None:
        entry = self.host.ledger().get(port_id)
        return entry if entry is not None and entry.wiring.plugin == self.plugin else None

    def unlogged(self, nft: Nft, ports: Collection[str]) -> dict[str, int]:
        """See :meth:`vifd.plugin.VifPlugin.unlogged`: what the rules counted that keep back."""
        entries = {i: e for i in ports if (e := self._entry(i)) is not None}
        names = {i: telling.chain_names(e.wiring.device) for i, e in entries.items()}
        counted = nft.counted(TABLE, [name for found in names.values() for name in found])
        return {
            i: sum(counted[name][0] for name in found if name in counted)
            for i, found in names.items()
            if not counted.keys().isdisjoint(found)
        }
