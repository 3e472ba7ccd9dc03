"""What a daemon without a host offers: one plugin that can, and one that is unwell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from vifd.model import Attachment, Document, Selection
from vifd.negotiation import Acceptable, Candidate, Choice, Offer, choose, offer, token
from vifd.plugin import Advert, Health, Probe
from vifd.plugin.vifs.hostinfo import host_info
from vifd.policy.groups import UNSEEN

NETWORKS = ("local", "flat", "vlan")
SICK = Advert(("vhostuser",), network_types=NETWORKS)


class FakeOffers:
    """Makes offers for the plugin ``fake``, whose health tests may change.

    :param later: has an offer made
    :ivar health: of ``fake``
    """

    def __init__(
        self, features: frozenset[str], later: Callable[[Callable[[], Offer]], Future[Offer]]
    ) -> None:
        self._later = later
        self.able = Advert(("tap",), network_types=NETWORKS, features=features, unseen_ports=UNSEEN)
        self.health = Probe(Health.READY, facts={"bridge": "br-int"})

    def host_info(self) -> dict[str, Any]:
        """What os-vif would read of this host."""
        return host_info({"fake": [self.able.kind("tap")]})

    def advert(self, plugin: str) -> Advert | None:
        return self.able if plugin == "fake" else None

    def submit(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Future[Offer]:
        return self._later(lambda: self.make(attachment, acceptable, contract))

    def make(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Offer:
        """:raises vifd.errors.NoCommonVif:"""
        choice = self.choose(attachment, acceptable)
        return offer(attachment, choice, contract=contract, now=time.time(), ttl=300.0)

    def choose(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None = None
    ) -> Choice:
        """Who serves the attachment."""
        asked = [
            Candidate("fake", self.able, self.health, version="0"),
            Candidate("sick", SICK, Probe(Health.UNAVAILABLE, ["no switch"]), rank=1),
        ]
        return choose(attachment, asked, acceptable)

    def select(self, doc: Document, claims: Mapping[str, token.Claims] | None) -> Selection | None:
        """How the port came to the plugin.

        :raises vifd.errors.TokenStale: there is a token, and the host has changed since
        """
        now, choice = time.time(), self.choose(doc.attachment)
        known = (claims or {}).get(doc.id)
        if known is not None:
            choice = token.redeem(known, doc.attachment, choice, now)
        return choice.selection(now)
