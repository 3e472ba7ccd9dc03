"""What logs of security groups want of the table: of a port, and what ports share; the difference.

What is there while nothing is logged: nothing. It goes with the last port that had it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from vifd.drivers import Nft
from vifd.drivers.nft.objects import Chain, Change
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.plugin import Entry, Host
from vifd.policy.logged import NOTHING, Logged, about, logged
from vifd_linuxbridge import groupbase, marks, telling
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.ruleset import TABLE

LOG = logging.getLogger(__name__)


class LogParts:
    """Of the ports of one host.

    :ivar unable: why nothing of a port is logged here; empty where it can be
    :ivar shared: whether what ports share may be in the table, of which accepted packets are logged
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.unable = ""
        self.shared = False

    def with_logs(self, judged: Judged, attachment: Attachment, groups: Collection[str]) -> Judged:
        """A port, with what is logged of it."""
        desk, logs = self._host.logs, self._host.sets.logs() if self._host.logs is not None else ()
        if desk is None or not logs or self.unable:
            return judged
        project = attachment.instance.project_id if attachment.instance else ""
        found = logged(about(logs, attachment.id, groups, project))
        if found == NOTHING:
            return judged
        return judged.with_logs(attachment.id, Logged(*found), desk.rate, desk.burst)

    def learn(self, chains: Collection[str], sets: Collection[str]) -> None:
        """Take what stands in the table."""
        there = telling.LOGGED in sets or any(name in chains for name in telling.BASE)
        self.shared = self.shared or there

    def base(self, nft: Nft) -> Change:
        """What ports share, where it is not as wanted."""
        wanted = telling.base()
        found = nft.chains(TABLE, [chain.name for chain in wanted])
        self.shared = True
        there = all(same(found.get(c.name), c) for c in wanted)
        return Change() if there else Change(sets=telling.SETS, chains=wanted)

    def port(self, nft: Nft, entry: Entry, judged: Judged) -> Change:
        """The chains of a port with groups; nothing of one that was not made."""
        device, comment = entry.wiring.device, marks.port_alias(entry.attachment.id)
        wanted, every = telling.port_rules(device, judged), telling.chain_names(device)
        found = nft.chains(TABLE, [*wanted, *(name for name in every if name not in wanted)])
        if groupbase.egress_chain(device) not in found:
            return Change()
        element, told = telling.element(device), judged.logged.accepted
        (have,) = nft.elements(TABLE, [element]) if told or self.shared else (None,)
        return Change(
            chains=[Chain(name, rules, comment=comment) for name, rules in wanted.items()
                    if not same(found.get(name), Chain(name, rules))],
            add=[element] if told and have != element else (),
            delete=[element] if not told and have is not None else (),
            delete_chains=[name for name in every if name in found and name not in wanted],
        )  # fmt: skip

    def needless(self, ports: Iterable[Judged]) -> Change:
        """The end of what ports share, where these are all and nothing accepted is logged."""
        if not self.shared or any(judged.logged.accepted for judged in ports):
            return Change()
        return telling.gone()

    def tidy(self, nft: Nft) -> None:
        """Have what ports share go with the last of them."""
        if not self.shared or nft.list_elements(TABLE, telling.LOGGED):
            return
        try:
            nft.apply(TABLE, telling.gone())
        except VifError as error:
            LOG.debug("what logs want of table %s stays: %s", TABLE, error)
        else:
            self.shared = False


def same(have: Chain | None, wanted: Chain) -> bool:
    """Whether a chain means what is wanted."""
    return (
        have is not None
        and have.placed_as(wanted)
        and [rule.exprs for rule in have.rules] == [rule.exprs for rule in wanted.rules]
    )
