"""Whatever a plugin raises or answers costs its own ports, and no thread of the daemon."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import eventlet
import greenlet
import msgspec
import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.api.view import view
from vifd.engine import Engine, Settings
from vifd.model import Evidence, Phase, Report, Vif, Wiring
from vifd.model.setreading import read_set
from vifd.model.sets import SetKey, SetKind
from vifd.plugin import Health, Probe, Uplink, VifPlugin
from vifd.plugin.guarded import Guarded, guarded
from vifd.testing.plugin import FakeBackend, FakePlugin


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise SystemExit(3)


def untold() -> errors.VifError:
    """A coded error that cannot be put into words."""

    def to_dict() -> dict[str, Any]:
        raise GeneratorExit

    error = errors.BackendError(facts={"backend": "b", "problem": "busy"})
    error.to_dict = to_dict  # type: ignore[method-assign]
    return error


def surrogate() -> errors.VifError:
    return errors.BackendError(facts={"backend": "\ud800", "problem": "busy"})


def huge() -> errors.VifError:
    return errors.BackendError(facts={"backend": "x" * (2 << 20), "problem": "busy"})


RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(1),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "asyncio.CancelledError": asyncio.CancelledError,
    "futures.CancelledError": concurrent.futures.CancelledError,
    "eventlet.Timeout": lambda: eventlet.Timeout(None),
    "GreenletExit": greenlet.GreenletExit,
    "BaseException": lambda: BaseException("\ud800"),
    "StopIteration": StopIteration,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "mute": Mute,
    "untold": untold,
    "surrogate": surrogate,
    "huge": huge,
    "of many words": lambda: ValueError("x" * (2 << 20)),
}

VERBS = ("probe", "requires", "name", "vif", "plug", "activate", "deactivate", "check", "unplug",
         "observe", "inventory", "expected", "reconnected", "refresh", "claim", "recall",
         "release")  # fmt: skip


#: Of what is raised and answered, one of each kind that the edge makes something else of; all of
#: it, and every verb, is in test_hostile_edge.
RAISED_WITHIN = ("SystemExit", "eventlet.Timeout", "mute", "untold", "of many words")
ANSWERED_WITHIN = ("None", "number", "endless", "evil", "class")
#: Verbs whose answer is kept, with all that may be in it.
KEPT = ("name", "vif", "plug", "check", "probe")


class Bad(FakePlugin):
    plugin_name = "bad"


class Two(Machine):
    """A daemon with a good plugin and one that is not."""

    def boot(self) -> None:
        super().boot()
        self.engine.stop(WAIT)
        self.bad = Bad(FakeBackend())
        plugins = {"fake": self.plugin, "bad": self.bad}
        self.engine = Engine(plugins, self.journal, self.metrics, self.settings)
        self.agent = type(self.agent)(self.engine, self.journal, self.metrics, [])
        self.engine.start()
        until(lambda: self.engine.ready)

    def bad_port(self, number: int) -> Any:
        return self.put(document(number, plugin="bad"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path, FakeBackend(), Settings(verify=0.05, retry_first=30, retry_longest=30))
    made.boot()
    yield made
    made.halt()


def test_every_verb_is_judged() -> None:
    verbs = {name for name, what in vars(VifPlugin).items() if callable(what) and name[0] != "_"}
    assert verbs <= vars(Guarded).keys() | {"options", "describe"}


def threads(machine: Two) -> list[Any]:
    lanes = [lane._thread for lane in machine.engine.lanes.values()]
    return [machine.engine.intake._thread, *lanes]


def unharmed(machine: Two, before: list[Any]) -> None:
    """Another plugin's port is plugged as ever, every port can be shown, and no thread ended."""
    assert machine.plug(document(90)).phase is Phase.LIVE
    shown = [view(r, machine.agent.enforcement(r)) for r in machine.agent.ports()]
    json.loads(msgspec.json.encode(shown, enc_hook=str))
    json.loads(msgspec.json.encode(machine.agent.status(), enc_hook=str))
    until(lambda: all(lane.busy is None for lane in machine.engine.lanes.values()))
    assert all(t.is_alive() and t.failures == 0 for t in before)
    assert threads(machine) == before


def exercise(machine: Two) -> None:
    """Every verb on the bad plugin's port: whatever comes of it, an answer comes."""
    agent = machine.agent
    for ticket in (
        machine.bad_port(1),
        agent.set_role(port_id(1), machine.record(1).role, "r")
        if machine.journal.get(port_id(1)) else None,
    ):  # fmt: skip
        if ticket is not None:
            assert ticket.done.exception(WAIT) is None or ticket.done.exception(WAIT)
    machine.engine.lanes.probe("bad")
    machine.engine.lanes.reconnected("br")
    forwarding = SetKey(SetKind.FORWARDING, document(1)["network"]["id"])
    told = agent.sets.put(read_set({"endpoints": [{"address": "192.0.2.1"}]}, forwarding), "o")
    assert told.done.exception(WAIT) is None or told.accepted.result(0) is not None
    for future in (
        machine.engine.lanes.inspect("bad"), agent.explainer.explain(port_id(1))
        if machine.journal.get(port_id(1)) else machine.engine.lanes.inspect("bad"),
        agent.check(port_id(1), "r"), agent.releases.give_back(port_id(1), "r").done,
        agent.unplug([port_id(1)], "r")[0].done,
    ):  # fmt: skip
        with suppress(Exception):
            future.result(WAIT)
    collector = agent.garbage
    collector.start()
    with suppress(Exception):
        collector.dry_run().result(WAIT)
    assert collector._thread is not None
    assert collector._thread.failures == 0
    collector.stop(WAIT)


@pytest.mark.parametrize("raised", RAISED_WITHIN)
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_raises_costs_its_own_ports(machine: Two, verb: str, raised: str) -> None:
    before = threads(machine)

    def do(*_: object) -> Any:
        raise RAISED[raised]()

    setattr(machine.bad, verb, do)
    exercise(machine)
    unharmed(machine, before)


@pytest.mark.parametrize("raised", RAISED)
def test_a_way_back_that_raises_does_not_keep_the_others(machine: Two, raised: str) -> None:
    gone: list[str] = []

    def plug(batch: Any) -> Any:
        def back() -> None:
            raise RAISED[raised]()

        for item in batch:
            item.undo.push("first", lambda: gone.append("first"))
            item.undo.push("second", back)
        raise errors.BackendError(facts={"backend": "b", "problem": "no"})

    machine.bad.plug = plug  # type: ignore[method-assign]
    before = threads(machine)
    assert machine.bad_port(1).done.exception(WAIT) is not None
    # once for each attempt, and there may have been another one
    assert set(gone) == {"first"}
    unharmed(machine, before)


def endless() -> Iterator[Any]:
    yield from count()


class Evil(dict):
    def get(self, *_: object) -> Any:
        raise SystemExit

    def __iter__(self) -> Any:
        raise GeneratorExit


NONSENSE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "number": lambda: 7,
    "text": lambda: "tap",
    "bytes": lambda: b"\xff",
    "list": lambda: [object()],
    "class": lambda: Wiring,
    "endless": endless,
    "evil": Evil,
    "wiring of objects": lambda: Wiring("bad", "fake", "tap", {"number": object()}),
    "wiring of sets": lambda: Wiring("bad", "fake", "tap", {"number": {1, 2}}),
    "wiring with a surrogate": lambda: Wiring("bad", "fake", "tap\ud800", {"number": 1}),
    "wiring with a newline": lambda: Wiring("bad", "fake", "tap\nroot", {"number": 1}),
    "wiring of numbers": lambda: Wiring(1, 2, 3, 4),  # type: ignore[arg-type]
    "wiring that is huge": lambda: Wiring("bad", "fake", "tap", {"x": "x" * (2 << 20)}),
    "details of keys that are no text": lambda: Wiring("bad", "f", "t", {(1, 2): 1}),  # type: ignore[dict-item]
    "vif of numbers": lambda: Vif(1, 2, 3),  # type: ignore[arg-type]
    "probe of nothing": lambda: Probe(Health.READY, None),  # type: ignore[arg-type]
    "probe of ways": lambda: Probe(Health.READY, physical_networks={"p": 1}),  # type: ignore[dict-item]
    "probe of devices": lambda: Probe(Health.READY, tunnels={"p": Uplink("d", devices=7)}),  # type: ignore[arg-type]
    "outcomes of nothing": lambda: {port_id(1): 7},
    "outcomes of wirings": lambda: {port_id(1): Wiring("bad", "fake", "t", {"a": object()})},
    "outcomes of errors": lambda: {port_id(1): untold()},
    "reports of nothing": lambda: {port_id(1): Report(None)},  # type: ignore[arg-type]
    "reports of numbers": lambda: {port_id(1): Report([7])},  # type: ignore[list-item]
    "reports of objects": lambda: {port_id(1): Report([Evidence(object(), 1)])},  # type: ignore[arg-type]
    "reports with a surrogate": lambda: {port_id(1): Report([Evidence("f", "\ud800")])},
    "reports that do not say": lambda: {port_id(1): Report([Evidence("f", 1, ok="no")])},  # type: ignore[arg-type]
}


@pytest.mark.parametrize(
    ("verb", "answer"),
    [(v, a) for v in VERBS for a in NONSENSE if v in KEPT or a in ANSWERED_WITHIN],
)
def test_what_a_verb_answers_is_judged(machine: Two, verb: str, answer: str) -> None:
    before = threads(machine)
    setattr(machine.bad, verb, lambda *_: NONSENSE[answer]())
    exercise(machine)
    unharmed(machine, before)


def test_nonsense_for_one_port_costs_that_port(machine: Two) -> None:
    good = machine.bad.plug

    def plug(batch: Any) -> Any:
        return {**good(batch), port_id(1): Wiring("bad", "fake", "t", {"a": object()})}

    machine.bad.plug = plug  # type: ignore[method-assign]
    first, second = machine.agent.plug(_docs(1, 2), "r")
    assert "nonsense" in first.done.exception(WAIT).message  # type: ignore[union-attr]
    assert second.done.result(WAIT).phase is Phase.LIVE


def _docs(*numbers: int) -> list[Any]:
    from vifd.model import decode

    return [decode(document(n, plugin="bad")) for n in numbers]


def test_items_stay_what_they_are(machine: Two) -> None:
    """A plugin that puts something else into its items cannot lead the daemon astray."""

    def plug(batch: Any) -> Any:
        for item in batch:
            item.attachment = item.names = item.undo = item.wiring = None
        return {}

    machine.bad.plug = plug  # type: ignore[method-assign]
    error = machine.bad_port(1).done.exception(WAIT)
    assert "no outcome of plug" in error.message
    unharmed(machine, threads(machine))


@pytest.mark.parametrize("raised", RAISED)
def test_a_description_that_raises_is_an_exception(raised: str) -> None:
    class Silent(FakePlugin):
        @classmethod
        def describe(cls) -> Any:
            raise RAISED[raised]()

    if raised == "KeyboardInterrupt":
        return  # the operator's, on the main thread
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it can be told
        guarded(Silent(FakeBackend())).describe()
    assert str(caught.value) is not None


def test_a_plugin_is_guarded_once() -> None:
    one = guarded(FakePlugin(FakeBackend()))
    assert guarded(one) is one


def test_no_call_goes_past_the_guard() -> None:
    """A verb that is added to the contract is one that a guarded plugin hands on, judged."""
    verbs = {
        name
        for name, member in vars(VifPlugin).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, classmethod))
    }
    assert verbs - vars(Guarded).keys() == set()
