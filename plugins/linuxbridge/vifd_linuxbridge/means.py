"""What the plugin's calls work with on this host, and the ports of a call made ready for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vifd.drivers import Bridging, Links, Nft
from vifd.errors import BackendUnavailable
from vifd.plugin import Host, Item
from vifd.policy.logged import NOTHING
from vifd_linuxbridge import probing
from vifd_linuxbridge.answering import Answering
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.carrying import Carrying, Tools
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.loghearing import LogHearing
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.probing import Ground
from vifd_linuxbridge.trunking import Trunks


class Means:
    """Of one plugin on one host.

    :param plugin: its name
    :ivar ground: what was found of the host
    :ivar groups: what holds ports to security groups, whether this kernel can do that or not
    """

    def __init__(self, host: Host, settings: Settings, plugin: str) -> None:
        self.host = host
        self.settings = settings
        self.ground = Ground()
        self.groups = Grouping(host, plugin)
        self.log_hearing = LogHearing(host, plugin, self.groups)
        self._plugin = plugin

    @property
    def links(self) -> Links:
        return self.host.drivers.links

    @property
    def bridging(self) -> Bridging:
        if self.host.drivers.bridging is None:
            raise _without("bridges")
        return self.host.drivers.bridging

    @property
    def nft(self) -> Nft:
        if self.host.drivers.nft is None:
            raise _without("nftables")
        return self.host.drivers.nft

    @property
    def networks(self) -> Networks:
        return Networks(
            self.bridging, self.links, self.settings, self.host.ledger, guarding=self.guarding,
            sets=self.host.sets,
        )  # fmt: skip

    @property
    def grouping(self) -> Grouping | None:
        """What holds ports to security groups, where this kernel can do that."""
        if self.ground.untracked is None:
            self._survey_groups()
        return None if self.ground.untracked else self.groups

    def _survey_groups(self) -> None:
        """Without a probe before."""
        untracked, unlogged = self.nft.untracked() or "", self.nft.deafened() or ""
        self.ground = replace(self.ground, untracked=untracked, unlogged=unlogged)
        self.groups.logs.unable = unlogged

    @property
    def answering(self) -> Answering:
        """What is answered of what guests ask."""
        host, on = self.host, self.settings.arp_responder and not self.ground.unanswered
        return Answering(self.nft, host.ledger, host.sets, self._plugin, on=on)

    def batch(self, batch: Sequence[Item], trunks_: Trunks | None = None) -> Batch:
        """The ports of a call, with the groups that they are held to, and the trunks."""
        found, grouping = Batch.of(batch), self.grouping
        for work in found:
            work.limiting = not self.ground.unlimited
            work.carrying = not self.settings.vlan_aware
            self._on_trunk(work, trunks_)
        for work in found if grouping is not None else ():
            work.tracked = True
            work.judged = self.groups.wanted.judged(work.item.attachment)
            work.logging = self.groups.table.logging(self.nft, work.judged)
        if any(work.judged and work.judged.logged != NOTHING for work in found):
            self.log_hearing.start(self.nft)
        return found

    @staticmethod
    def _on_trunk(work: Work, trunks_: Trunks | None) -> None:
        if trunks_ is None:
            return
        if work.names.sub_port:
            work.way = trunks_.way(work.id, work.item.attachment)
        elif work.item.attachment.port.trunk_details is not None:
            work.tags = trunks_.passing(work.id)
            work.named = frozenset(trunks_.tags(work.id))

    def survey(self) -> None:
        """Look at the host.

        :raises BackendUnavailable: it does not answer
        """
        self.ground = probing.survey(self.links, self.bridging, self.nft, self.settings)
        self.groups.logs.unable = self.ground.unlogged

    def trunks(
        self, batch: Sequence[Item], *, opened: bool | None = None, gone: bool = False
    ) -> Trunks:
        """The trunks of the host, once the ports of a call are as it leaves them.

        :param opened: whether it opens or closes them; ``None``: neither
        :param gone: it removes them
        """
        entries = self.host.ledger()
        return Trunks(entries, self._plugin, batch, opened=opened, gone=gone)

    def carrying(self, trunks_: Trunks) -> Carrying:
        """The sub-ports of a call."""
        tools = Tools(
            self.links, self.bridging, self.nft, self.settings, self.networks,
            self.host.identity, self.grouping, self.answering,
        )  # fmt: skip
        return Carrying(tools, trunks_, self.batch)

    @property
    def guarding(self) -> bool:
        """Whether taps can be closed by a program of their own."""
        return "guard" not in self.ground.lacking


def _without(what: str) -> BackendUnavailable:
    problem = f"this vifd was put together without a driver for {what}"
    return BackendUnavailable(facts={"backend": "linuxbridge", "problem": problem})
