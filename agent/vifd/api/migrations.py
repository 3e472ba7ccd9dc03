"""Migrations of guests to this host."""

from __future__ import annotations

import falcon
from msgspec import Struct

from vifd import errors
from vifd.api import query
from vifd.api.described import ALWAYS, Call, Calls, Shape, fields, good, ref
from vifd.api.resource import Resource, answer
from vifd.migration.timeline import Migration, Moment, spans


class SpanView(Struct, frozen=True):
    """A piece of the timeline.

    :param step: the step that ends it
    :param begin: seconds since the epoch
    """

    step: str
    name: str
    begin: float
    milliseconds: float


class MigrationView(Struct, frozen=True):
    """One arrival of a guest at a port of this host; times are seconds since the epoch.

    :param trigger: who said first that the port is to be opened
    :param guest: what the hypervisor said of the guest
    :param opening_ms: from the first word until the port was open and announced
    :param added_ms: how long the guest ran here without its port: what was added to the pause that
        the hypervisor made; ``null`` where nobody said when it resumed
    :param error: why the port is not open
    :param gap_ms: the network gap, from the guest's last frame on its old host to the first one
        here; ``null`` where the agents are no peers, or no frame has come
    :param gap_within_ms: by so much the gap may be too long
    :param last_frame: when the guest last sent on its old host
    :param first_frame: when the first frame passed the port here
    """

    id: int
    port: str
    instance: str
    trigger: str
    state: str
    began: float
    opening_ms: float | None
    added_ms: float | None
    triggers: tuple[Moment, ...]
    guest: tuple[Moment, ...]
    timeline: tuple[SpanView, ...]
    request_id: str
    error: str
    gap_ms: float | None = None
    gap_within_ms: float | None = None
    last_frame: float | None = None
    first_frame: float | None = None


def shown(one: Migration) -> MigrationView:
    """What is told of a migration."""
    state = "failed" if one.error else "done" if one.ended else "under way"
    return MigrationView(
        one.id, one.port, one.instance, one.trigger, state, one.began, _ms(one.opening),
        _ms(one.added), one.triggers, one.guest,
        tuple(SpanView(s.step, s.name, s.begin, s.seconds * 1000) for s in spans(one)),
        one.request_id, one.error,
        _ms(one.gap and one.gap.at), _ms(one.gap and one.gap.within),
        one.last and one.last.at, one.first and one.first.at,
    )  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


LIST = Shape(
    "MigrationList",
    fields({"migrations": {"type": "array", "items": ref(MigrationView)}}),
    (MigrationView,),
)


class MigrationList(Resource):
    """``/v1/migrations``"""

    calls = Calls(get=Call("Migrations to this host, the oldest first", {200: good("them", LIST)}))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        every = self.backend.migrations.all()
        answer(resp, 200, {"migrations": [shown(one) for one in every]})


class OneMigration(Resource):
    """``/v1/migrations/{number}``"""

    calls = Calls(
        get=Call(
            "One migration", {200: good("it", MigrationView)}, (*ALWAYS, errors.MigrationUnknown)
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
        query.params(req, ())
        known = number.isascii() and number.isdecimal() and len(number) < 16
        found = self.backend.migrations.get(int(number)) if known else None
        if found is None:
            raise errors.MigrationUnknown(facts={"migration": number[:32]})
        answer(resp, 200, shown(found))
