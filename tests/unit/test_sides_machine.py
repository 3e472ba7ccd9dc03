"""Parts, roles, removals and restarts in any order, against a model as plain as can be."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from unit.sides import compute, drop, lapse, network, put
from vifd import errors
from vifd.engine import Settings
from vifd.engine.ticket import Ticket
from vifd.model import Role, Side
from vifd.model.status import settled
from vifd.testing.plugin import FakeBackend

PORTS = st.integers(1, 2)
MTUS = st.sampled_from([1450, 1400])
REVISIONS = st.one_of(st.none(), st.integers(0, 4))
ROLES = st.sampled_from(["ACTIVE", "INACTIVE", None])
AHEAD = st.sampled_from([None, True, False])
TIMES = Settings(verify=5.0, retry_first=0.002, retry_longest=0.01, hostname="here")


class Believed:
    """What is known of one port: what each side said last, and by which count of changes."""

    def __init__(self) -> None:
        self.said: dict[Side, dict[str, Any]] = {}
        self.count: dict[Side, int] = {}
        self.alone = self.ahead = self.used = False

    def takes(self, side: Side, revision: int | None) -> bool:
        have = self.count.get(side)
        return revision is None or have is None or revision >= have

    def say(self, side: Side, body: dict[str, Any] | None, revision: int | None) -> None:
        last = self.count.pop(side, None)
        if body is None:
            had = self.said.pop(side, None)
            self.alone = self.alone and side is Side.NETWORK
            bound = side is Side.COMPUTE and Side.NETWORK in self.said
            self.ahead, self.used = self.ahead and bound, bound
            if revision is not None or last is not None:
                self.count[side] = revision if revision is not None else last or 0
            del had
            return
        self.said[side] = body
        self.used = self.used or side is Side.COMPUTE
        if revision is not None:
            self.count[side] = revision

    def wanted(self) -> dict[str, Any] | None:
        net, comp = self.said.get(Side.NETWORK), self.said.get(Side.COMPUTE)
        ahead = self.ahead and not (self.used or self.alone)
        if net is None or (comp is None and not (self.alone or ahead)):
            return None
        role = net.get("role") or "INACTIVE"
        uses = {"prewired": True} if ahead else {}
        if comp is not None:
            uses = {"instance": comp["instance"]}
        return {**net, **uses, "role": role}


class Sides(RuleBasedStateMachine):
    """One machine; every request is waited for until it is on disk or refused."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.machine = Machine(self.directory, FakeBackend(), TIMES)
        self.known: dict[int, Believed] = {}

    @initialize()
    def boot(self) -> None:
        logging.disable(logging.CRITICAL)
        self.machine.boot()

    def of(self, number: int) -> Believed:
        return self.known.setdefault(number, Believed())

    def forget(self, number: int) -> None:
        believed = self.of(number)
        if not believed.said and not believed.count:
            del self.known[number]

    @rule(number=PORTS, mtu=MTUS, role=ROLES, revision=REVISIONS, ahead=AHEAD)
    def say_network(
        self, number: int, mtu: int, role: str | None, revision: int | None, ahead: bool | None
    ) -> None:
        body = network(number, network__mtu=mtu)
        if role is None:
            del body["role"]
        else:
            body["role"] = role
        if role is None and self.opened(number):
            # While nobody says otherwise, what is open stays open; the model knows no time.
            body["role"] = "ACTIVE"
        self.say(Side.NETWORK, number, body, revision, ahead)

    @rule(number=PORTS, revision=REVISIONS)
    def say_compute(self, number: int, revision: int | None) -> None:
        self.say(Side.COMPUTE, number, compute(number), revision)

    def say(
        self, side: Side, number: int, body: dict[str, Any], revision: int | None,
        ahead: bool | None = None,
    ) -> None:  # fmt: skip
        believed = self.of(number)
        accepted = believed.takes(side, revision)
        ticket = put(self.machine, side, number, body, revision, ahead=ahead)
        assert self.taken(ticket) is accepted
        if accepted:
            believed.say(side, body, revision)
            believed.ahead = believed.ahead if ahead is None else ahead
        self.forget(number)

    @rule(number=PORTS)
    def nobody_comes(self, number: int) -> None:
        """A port that was made ahead has waited for long enough."""
        self.rest()
        believed = self.of(number)
        wanted = believed.wanted()
        ticket = lapse(self.machine, number)
        until(ticket.accepted.done)
        if wanted is not None and "prewired" in wanted:
            believed.used = True
        self.forget(number)

    @rule(number=PORTS, side=st.sampled_from(list(Side)), revision=REVISIONS)
    def take_away(self, number: int, side: Side, revision: int | None) -> None:
        believed = self.of(number)
        known = bool(believed.said or believed.count)
        accepted = believed.takes(side, revision)
        ticket = drop(self.machine, side, number, revision)
        until(ticket.accepted.done)
        error = ticket.accepted.exception(0)
        assert isinstance(error, errors.PartStale) is (known and not accepted)
        if known and accepted:
            believed.say(side, None, revision)
        self.forget(number)

    @rule(number=PORTS, mtu=MTUS, with_instance=st.booleans())
    def whole(self, number: int, mtu: int, with_instance: bool) -> None:
        doc = document(number, network__mtu=mtu)
        if not with_instance:
            del doc["instance"]
        believed = self.of(number)
        before = believed.wanted()
        if before is not None and "instance" in before and Side.COMPUTE not in believed.said:
            del believed.said[Side.NETWORK]
        ticket = self.machine.put(doc)
        until(ticket.accepted.done)
        if ticket.accepted.exception(0) is not None:
            # An instance cannot be taken from a port that is plugged.
            assert isinstance(ticket.accepted.exception(0), errors.StateConflict)
            assert not with_instance
            return
        net = {k: v for k, v in doc.items() if k != "instance"}
        if with_instance or Side.COMPUTE not in believed.said:
            believed.ahead = believed.used = False
        if with_instance:
            believed.count = {}
            believed.say(Side.COMPUTE, {"version": "1.0", "instance": doc["instance"]}, None)
        elif Side.COMPUTE not in believed.said:
            believed.count = {}
        else:
            believed.count.pop(Side.NETWORK, None)
        believed.said[Side.NETWORK] = net
        believed.alone = True

    @rule(number=PORTS)
    def unplug(self, number: int) -> None:
        ticket = self.machine.drop(number)
        until(ticket.accepted.done)
        self.known.pop(number, None)

    @rule(number=PORTS, role=st.sampled_from(["ACTIVE", "INACTIVE"]))
    def set_role(self, number: int, role: str) -> None:
        ticket = self.machine.agent.set_role(port_id(number), Role(role), "role")
        until(lambda: ticket.accepted.done() or ticket.kept.done())
        net = self.of(number).said.get(Side.NETWORK)
        if net is not None:
            self.of(number).said[Side.NETWORK] = {**net, "role": role}
        self.forget(number)

    @rule()
    def restart(self) -> None:
        self.rest()
        self.machine.halt()
        self.machine.boot()

    @rule()
    def rest(self) -> None:
        until(self.idle)

    def idle(self) -> bool:
        self.machine.engine.tick()
        lanes = self.machine.engine.lanes.values()
        busy = any(lane.busy is not None or lane.waiting for lane in lanes)
        # between what is on disk and the lane that is told of it, nobody is busy
        at_rest = all(map(settled, self.machine.journal.records().values()))
        return not busy and at_rest and not self.machine.engine.retries.pending

    def taken(self, ticket: Ticket) -> bool:
        """Whether what was said is on disk; one that waits for the end of a removal will be."""
        until(lambda: ticket.kept.done())
        return ticket.kept.exception(WAIT) is None

    def opened(self, number: int) -> bool:
        self.rest()
        record = self.machine.journal.get(port_id(number))
        return record is not None and record.open

    def teardown(self) -> None:
        try:
            if hasattr(self.machine, "journal"):
                self.rest()
                self.compare()
        finally:
            if hasattr(self.machine, "journal"):
                self.machine.halt()
            shutil.rmtree(self.directory)
            logging.disable(logging.NOTSET)

    def compare(self) -> None:
        wanted = {port_id(n): b.wanted() for n, b in self.known.items()}
        made = {i: doc for i, doc in wanted.items() if doc is not None}
        records = self.machine.journal.records()
        assert set(records) == set(made)
        assert set(self.machine.backend.ports) == set(made)
        for port, doc in made.items():
            assert records[port].doc.raw == doc
            assert settled(records[port])
            opened = doc["role"] == "ACTIVE" and "prewired" not in doc
            assert self.machine.backend.ports[port].open is opened
        half = {i for i, doc in wanted.items() if doc is None}
        assert set(self.machine.agent.waiting()) == half
        for number, believed in self.known.items():
            parts = self.machine.agent.parts(port_id(number))
            assert parts is not None
            for side in Side:
                part = parts.of(side)
                assert (part is not None) == (side in believed.said)


Sides.TestCase.settings = settings(
    max_examples=int(os.environ.get("VIFD_EXAMPLES", "40")),
    stateful_step_count=30,
    deadline=None,
    derandomize=os.environ.get("VIFD_SEED") != "random",
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestSides = Sides.TestCase
