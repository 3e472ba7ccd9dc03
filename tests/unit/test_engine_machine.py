"""Any sequence of requests, faults, damage and restarts ends with the host as it is wanted.

The sequences are the same in every run; ``VIFD_SEED=random`` makes new ones. A failure prints the
steps and how to repeat it.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.engine.ticket import Ticket
from vifd.model import Phase, Role, Status, decode
from vifd.model.status import settled, status_of
from vifd.testing.plugin import FakeBackend

PORTS = st.integers(1, 3)
ROLES = st.sampled_from(["ACTIVE", "ACTIVE", "INACTIVE"])
MOSTLY = st.sampled_from([True, True, True, False])
VERBS = st.sampled_from(["name", "plug", "plug.late", "activate", "deactivate", "check", "unplug"])
FAULTS = st.sampled_from([errors.DeviceError("broken"), RuntimeError("boom"), KeyError("x")])


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


#: One rule for all of them: hypothesis leaves rules out at random, and without requests nothing
#: happens. What stands here twice happens twice as often.
STEPS = st.one_of(
    step("plug", PORTS, ROLES, st.sampled_from([1450, 1400]), MOSTLY, MOSTLY),
    step("plug", PORTS, ROLES, st.sampled_from([1450, 1400]), MOSTLY, MOSTLY),
    step("plug", PORTS, ROLES, st.just(1450), st.just(True), st.just(True)),
    step("plug", PORTS, ROLES, st.just(1450), st.just(True), st.just(False)),
    step("unplug", PORTS),
    step("unplug", PORTS),
    step("replug", PORTS, st.booleans()),
    step("role", PORTS, ROLES),
    step("check", PORTS),
    step("fault", VERBS, PORTS, st.booleans(), FAULTS),
    step("mend"),
    step("mend"),
    step("slow", PORTS, st.integers(1, 4)),
    step("damage", PORTS, st.sampled_from(["damage", "vanish", "open", "close"])),
    step("hold"),
    step("release"),
    step("release"),
    step("full_disk"),
    step("free_disk"),
    step("free_disk"),
    step("tick"),
    step("look_at_all"),
    step("rest"),
    step("rest"),
    step("restart"),
)
TIMES = Settings(verify=0.02, retry_first=0.002, retry_longest=0.01, hang=0.05)


class Host(RuleBasedStateMachine):
    """What is wanted is kept here as plainly as can be: a dictionary of documents."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.machine = Machine(self.directory, FakeBackend(), TIMES)
        self.wanted: dict[str, dict[str, Any]] = {}
        self.tickets: list[Ticket] = []
        self.parked: list[tuple[Ticket, dict[str, Any]]] = []

    @initialize()
    def boot(self) -> None:
        # Thousands of lines about faults that were ordered.
        logging.disable(logging.CRITICAL)
        self.machine.boot()

    @rule(action=STEPS)
    def step(self, action: tuple[Any, ...]) -> None:
        name, *arguments = action
        getattr(self, name)(*arguments)

    # --- requests ---

    def asked(self, ticket: Ticket, wanted: dict[str, Any] | None) -> None:
        """Wait until the request is on disk, refused, or waits for the end of a removal."""
        self.tickets.append(ticket)
        until(lambda: ticket.accepted.done() or self.machine.waits(ticket))
        if not ticket.accepted.done():
            assert wanted is not None
            self.parked.append((ticket, wanted))
        elif ticket.accepted.exception(0) is None:
            self.want(ticket.port_id, wanted)

    def want(self, port: str, wanted: dict[str, Any] | None) -> None:
        # In their order: a request that waited came before this one.
        self.unpark()
        if wanted is None:
            self.wanted.pop(port, None)
        else:
            self.wanted[port] = {**self.wanted.get(port, {}), **wanted}

    def unpark(self) -> None:
        parked, self.parked = self.parked, []
        for ticket, wanted in parked:
            if not ticket.accepted.done():
                self.parked.append((ticket, wanted))
            elif ticket.accepted.exception(0) is None:
                self.wanted[ticket.port_id] = {**self.wanted.get(ticket.port_id, {}), **wanted}

    def plug(self, number: int, role: str, mtu: int, up: bool, own_mac: bool) -> None:
        mac = f"fa:16:3e:00:0{int(own_mac)}:0{number}"
        doc = document(number, role=role, network__mtu=mtu, port__admin_state_up=up,
                       port__mac_address=mac)  # fmt: skip
        self.asked(self.machine.put(doc), doc)

    def unplug(self, number: int) -> None:
        self.asked(self.machine.drop(number), None)

    def replug(self, number: int, held: bool) -> None:
        """Gone and back at once: the second request waits for the end of the removal."""
        if held:
            self.hold()
        self.unplug(number)
        self.plug(number, "ACTIVE", 1400, True, True)
        self.release()

    def role(self, number: int, role: str) -> None:
        ticket = self.machine.agent.set_role(port_id(number), Role(role), "role")
        self.asked(ticket, {"role": role})

    def check(self, number: int) -> None:
        ticket = Ticket(port_id(number))
        ticket.done = self.machine.agent.check(port_id(number), "check")
        self.tickets.append(ticket)

    # --- what goes wrong ---

    def fault(self, verb: str, number: int, every: bool, error: Exception) -> None:
        self.machine.backend.faults[verb, "*" if every else port_id(number)] = error

    def mend(self) -> None:
        self.machine.backend.faults.clear()

    def slow(self, number: int, reads: int) -> None:
        self.machine.backend.dirty[port_id(number)] = reads

    def damage(self, number: int, what: str) -> None:
        ports = self.machine.backend.ports
        made = ports.get(port_id(number))
        if made is None:
            return
        if what == "vanish":
            ports.pop(port_id(number), None)
        elif what == "damage":
            made.damage = "another program"
        else:
            made.open = what == "open"

    def hold(self) -> None:
        self.machine.backend.gate.clear()

    def release(self) -> None:
        self.machine.backend.gate.set()

    def full_disk(self) -> None:
        self.write_only_if(allowed=False)

    def free_disk(self) -> None:
        self.write_only_if(allowed=True)

    def write_only_if(self, *, allowed: bool) -> None:
        with self.machine.journal._disk.lock:
            self.machine.journal._db.execute(f"PRAGMA query_only = {'OFF' if allowed else 'ON'}")

    # --- time ---

    def tick(self) -> None:
        self.machine.engine.tick()

    def look_at_all(self) -> None:
        self.machine.engine.lanes.probe_all()
        self.machine.engine.again(self.machine.journal.records())

    def rest(self) -> None:
        """Until nobody works on anything, be it because everything fails."""
        if self.machine.backend.gate.is_set():
            lanes = self.machine.engine.lanes.values()
            until(lambda: all(lane.busy is None and not lane.waiting for lane in lanes))

    def restart(self) -> None:
        self.machine.halt()
        self.answered()
        self.machine.boot()

    # --- what must hold ---

    def answered(self) -> None:
        """Nobody is left without an answer, whatever it is."""
        for ticket in self.tickets:
            ticket.done.exception(WAIT)
        self.tickets.clear()
        self.unpark()
        assert self.parked == []

    @invariant()
    def records_add_up(self) -> None:
        for record in self.machine.journal.records().values() if self.booted else ():
            if record.phase is Phase.LIVE:
                assert record.report is not None
                assert record.report.clean
                assert record.open
            if record.removing:
                assert status_of(record) is not Status.ACTIVE
            if record.phase is Phase.FAILED:
                assert record.error is not None

    @property
    def booted(self) -> bool:
        return hasattr(self.machine, "journal")

    def teardown(self) -> None:
        try:
            if self.booted:
                self.come_to_rest()
        finally:
            if self.booted:
                self.machine.halt()
            shutil.rmtree(self.directory)
            logging.disable(logging.NOTSET)

    def come_to_rest(self) -> None:
        machine = self.machine
        self.mend()
        self.free_disk()
        self.release()
        machine.quiet()
        self.answered()
        # Nobody reports the damage of the last steps: the periodic check finds it.
        self.look_at_all()
        machine.quiet()
        records, host = machine.journal.records(), machine.backend.ports
        assert set(records) == set(self.wanted), "the journal has what is wanted"
        assert set(host) == set(self.wanted), "the host has what is wanted"
        for port, doc in self.wanted.items():
            record, made = records[port], host[port]
            attachment = decode(doc).attachment
            assert record.doc.raw == doc
            # A role is no part of the host: it opens or closes.
            assert replace(made.attachment, role=attachment.role) == attachment
            assert made.open == (attachment.role is Role.ACTIVE and attachment.port.admin_state_up)
            assert made.damage == ""
            assert settled(record)
            assert (record.error, record.applied) == (None, True)
        numbers = [made.number for made in host.values()]
        assert len(set(numbers)) == len(numbers)
        told = {o.port_id: o for o in machine.journal.outbox()}
        for port, last in told.items():
            assert last.gone == (port not in records)
            if port in records:
                assert last.status == status_of(records[port]).value
        assert set(records) <= set(told), "the network service hears of every port"


Host.TestCase.settings = settings(
    max_examples=int(os.environ.get("VIFD_EXAMPLES", "60")),
    stateful_step_count=40,
    deadline=None,
    derandomize=os.environ.get("VIFD_SEED") != "random",
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestHost = Host.TestCase
