"""One migration of one port, as this host saw it, and what follows from its times. Pure.

Times are this host's clock, seconds since the epoch. The guest's arrival is the hypervisor's word
that it runs here; where nobody gives it, it is not known, and neither is what vifd added to the
hypervisor's own pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

#: The steps of an activation in their order: when it was asked for, when the lane began with it,
#: when traffic passed, when the networks were told, when the journal said that it was proven.
ASKED, BEGUN, OPENED, ANNOUNCED, RECORDED = "asked", "begun", "opened", "announced", "recorded"
STEPS = (ASKED, BEGUN, OPENED, ANNOUNCED, RECORDED)
#: What each step is for people, by the step that ends it.
_NAMES = {
    BEGUN: "waiting for the plugin's lane",
    OPENED: "opening it on the host",
    ANNOUNCED: "announcing it",
    RECORDED: "proving it and writing the journal",
}


class Moment(Struct, frozen=True):
    """Something at a time.

    :param at: seconds since the epoch
    """

    what: str
    at: float


class Time(NamedTuple):
    """A moment, in seconds since the epoch, that is known to within so many seconds before it."""

    at: float
    within: float


class Span(NamedTuple):
    """A piece of a timeline."""

    step: str
    name: str
    begin: float
    seconds: float


class Migration(Struct, frozen=True):
    """One arrival of a guest at a port of this host.

    :param id: grows with each migration of this host
    :param trigger: who said first that the port is to be opened: ``api``, ``network service``,
        ``libvirt``, ``guest's frame``, ``source's agent`` or ``recovery``
    :param triggers: everybody who said it, with the time
    :param steps: the first time of each step, see :data:`STEPS`
    :param guest: what the hypervisor said of the guest, e.g. ``resumed: migrated``
    :param request_id: of the request that opened the port
    :param error: why the port is not open
    :param last: when the guest last sent on the host that it left, by its agent's word
    :param first: when the first frame passed the port here
    """

    id: int
    port: str
    instance: str
    trigger: str
    triggers: tuple[Moment, ...] = ()
    steps: tuple[Moment, ...] = ()
    guest: tuple[Moment, ...] = ()
    request_id: str = ""
    error: str = ""
    last: Time | None = None
    first: Time | None = None

    def at(self, step: str) -> float | None:
        """When a step was reached."""
        return next((m.at for m in self.steps if m.what == step), None)

    @property
    def began(self) -> float:
        """When it was first heard of."""
        return min(m.at for m in (*self.triggers, *self.steps, *self.guest))

    @property
    def arrived(self) -> float | None:
        """When the hypervisor said that the guest runs here."""
        return next((m.at for m in self.guest if m.what.startswith("resumed")), None)

    @property
    def ended(self) -> bool:
        """Whether nothing is to come any more."""
        return bool(self.error) or self.at(RECORDED) is not None

    @property
    def opening(self) -> float | None:
        """Seconds from the first word to the open port, announced where anybody was told."""
        done = self.at(ANNOUNCED) or self.at(OPENED)
        asked = self.at(ASKED)
        return None if done is None or asked is None else max(0.0, done - asked)

    @property
    def gap(self) -> Time | None:
        """The network gap: seconds from the guest's last frame there to the first one here, and
        how much that may be wrong."""
        if self.last is None or self.first is None:
            return None
        return Time(max(0.0, self.first.at - self.last.at), self.last.within + self.first.within)

    @property
    def added(self) -> float | None:
        """Seconds that the guest ran here without its port: what is added to the pause that the
        hypervisor made. 0 where the port was open before the guest ran."""
        opened, arrived = self.at(OPENED), self.arrived
        return None if opened is None or arrived is None else max(0.0, opened - arrived)


def spans(migration: Migration) -> Iterator[Span]:
    """Its steps one after the other; one that nobody reached is left out."""
    known = [(step, at) for step in STEPS if (at := migration.at(step)) is not None]
    for (_, begin), (step, end) in pairwise(known):
        yield Span(step, _NAMES[step], begin, max(0.0, end - begin))


def overrun(migration: Migration, budget: float) -> Span | None:
    """The step that took most of the time until the port was open and announced, where that was
    longer than the budget allows.

    :param budget: in seconds; 0 for none
    """
    taken = migration.opening
    if not budget or taken is None or taken <= budget:
        return None
    early = [span for span in spans(migration) if span.step != RECORDED]
    return max(early, key=lambda span: span.seconds, default=None)
