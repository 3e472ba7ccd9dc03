"""The part of the plugin contract that shows under the real engine: many callers of one port, calls
that hang, verbs that raise, and what is left after many turns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vifd import errors
from vifd.drivers import Drivers
from vifd.engine.ticket import Ticket
from vifd.model import Attachment, Part, Phase, Side
from vifd.model.sides import Said
from vifd.testing.attachments import attachment as plain
from vifd.testing.plugin import FakeBackend, FakePlugin
from vifd.testing.profile import Profile
from vifd.testing.running import SETTINGS, Running
from vifd.testing.wait import PATIENCE, until

#: Callers at once, and turns of plugging and unplugging.
_CALLERS, _TURNS = 8, 12
NOBODY = "00000000-0000-4000-8000-00000000abcd"
#: Seconds after which a call hangs, where one shall.
_HANG = 1.0


class Neighbour(FakePlugin):
    """A good plugin in a lane of its own."""

    plugin_name = "neighbour"

    def name(self, attachment: Attachment, taken: Any) -> Any:
        named = super().name(attachment, taken)
        return msgspec.structs.replace(named, plugin=self.plugin_name)


class EngineContract:
    """Subclass it and override the two fixtures."""

    @pytest.fixture
    def profile(self) -> Profile:
        """What there is to know of the plugin."""
        raise NotImplementedError

    @pytest.fixture
    def drivers(self) -> Drivers:
        """The drivers of a host that the test may do with as it likes."""
        raise NotImplementedError

    @pytest.fixture
    def neighbour(self) -> FakeBackend:
        """The host of the good plugin beside."""
        return FakeBackend()

    @pytest.fixture
    def running(
        self, tmp_path: Path, drivers: Drivers, profile: Profile, neighbour: FakeBackend
    ) -> Iterator[Running]:
        """An engine that once had a port: what the plugin makes for all ports is there."""
        with Running(tmp_path, drivers, profile, [Neighbour(neighbour)]) as running:
            running.plug(profile.attachment(99))
            running.unplug(profile.attachment(99).id)
            yield running
            running.quiet()
            for record in running.agent.ports():
                running.unplug(record.id)
        assert profile.residue(drivers) == set()

    # --- many callers ---

    def test_many_callers_plug_one_port_once(
        self, running: Running, profile: Profile, drivers: Drivers
    ) -> None:
        wanted = profile.attachment(1)
        running.plug(wanted)
        alone = profile.residue(drivers)
        running.unplug(wanted.id)
        with ThreadPoolExecutor(_CALLERS) as pool:
            records = list(pool.map(running.plug, [wanted] * _CALLERS))
        assert {r.phase for r in records} == {Phase.LIVE}
        running.quiet()
        assert len(_kinds(profile.residue(drivers))) == len(_kinds(alone))
        assert len(profile.residue(drivers)) == len(alone)

    def test_callers_who_differ_end_with_one_of_their_documents(
        self, running: Running, profile: Profile
    ) -> None:
        wanted = profile.attachment(1)
        running.plug(wanted)
        documents = [wanted, profile.altered(wanted)] * (_CALLERS // 2)
        with ThreadPoolExecutor(_CALLERS) as pool:
            tickets = list(pool.map(running.submit, documents))
        for ticket in tickets:
            error = ticket.done.exception(PATIENCE)
            assert error is None or isinstance(error, errors.VifError), error
        record = running.settled(wanted.id)
        assert record.report is not None
        assert record.report.clean, record.report.findings

    def test_plug_and_unplug_at_once_leave_all_or_nothing(
        self, running: Running, profile: Profile, drivers: Drivers
    ) -> None:
        wanted = profile.attachment(1)

        def caller(number: int) -> None:
            for turn in range(4):
                if (number + turn) % 2:
                    running.submit(wanted)
                else:
                    running.agent.unplug([wanted.id], "req-test")

        with ThreadPoolExecutor(_CALLERS) as pool:
            list(pool.map(caller, range(_CALLERS)))
        running.submit(wanted).accepted.result(PATIENCE)
        running.settled(wanted.id)
        running.unplug(wanted.id)
        assert profile.residue(drivers) == set()

    # --- ahead of compute ---

    def test_a_port_that_is_made_ahead_is_closed_until_an_instance_uses_it(
        self, running: Running, profile: Profile, drivers: Drivers
    ) -> None:
        document = {**msgspec.to_builtins(profile.attachment(1)), "role": "ACTIVE"}
        instance = document.pop("instance", {"id": NOBODY})
        port = document["port"]["id"]

        def say(side: Side, body: Any, *, ahead: bool | None = None) -> Ticket:
            part = None if body is None else Part("test", body)
            return running.agent.say(Said(port, side, part, ahead=ahead), "req-test")

        made = say(Side.NETWORK, document, ahead=True).done.result(PATIENCE)
        assert (made.phase, made.open) == (Phase.READY, False)
        assert made.report is not None
        assert made.report.clean, made.report.findings
        used = {"version": document["version"], "instance": instance}
        assert say(Side.COMPUTE, used).done.result(PATIENCE).phase is Phase.LIVE
        report = running.settled(port).report
        assert report is not None
        assert report.clean, report.findings
        say(Side.COMPUTE, None).done.result(PATIENCE)
        assert profile.residue(drivers) == set()
        say(Side.NETWORK, None).accepted.exception(PATIENCE)

    # --- deadlines and exceptions ---

    @pytest.mark.parametrize("verb", ["plug", "check"])
    def test_a_verb_that_hangs_costs_its_own_ports_only(
        self, running: Running, profile: Profile, verb: str
    ) -> None:
        wanted, gate = profile.attachment(1), threading.Event()
        running.engine.configure(replace(SETTINGS, hang=_HANG))
        _instead(running, verb, lambda call: lambda batch: (gate.wait(PATIENCE), call(batch))[1])
        try:
            hanging = running.submit(wanted)
            other = beside(1)
            assert running.plug(other).phase is Phase.LIVE
            error = hanging.done.exception(PATIENCE)
            assert isinstance(error, errors.PluginTimeout), error
            assert running.engine.lanes[running.name].quarantined
        finally:
            gate.set()
        until(lambda: not running.engine.lanes[running.name].quarantined, "it is in use again")
        running.settled(wanted.id)

    @pytest.mark.parametrize("verb", ["name", "plug", "activate", "check", "deactivate", "unplug"])
    def test_a_verb_that_raises_is_tried_again(
        self, running: Running, profile: Profile, drivers: Drivers, verb: str
    ) -> None:
        wanted = profile.attachment(1)
        left = [1]

        def once(call: Callable[..., Any]) -> Callable[..., Any]:
            def raising(*arguments: Any) -> Any:
                if left and left.pop():
                    raise ZeroDivisionError(f"ordered in {verb}")
                return call(*arguments)

            return raising

        _instead(running, verb, once)
        ticket = running.submit(wanted)
        error = ticket.done.exception(PATIENCE)
        if verb in ("name", "plug", "activate", "check"):
            assert isinstance(error, errors.InternalError), error
            assert "ordered in" in str(error)
        else:
            assert error is None
        running.settled(wanted.id)
        running.agent.set_role(wanted.id, _inactive(), "req-test").done.exception(PATIENCE)
        running.unplug(wanted.id)
        assert not left
        assert profile.residue(drivers) == set()

    # --- leaks ---

    def test_many_turns_leave_nothing(
        self, running: Running, profile: Profile, drivers: Drivers
    ) -> None:
        def turn() -> None:
            for number in (1, 2):
                running.plug(profile.attachment(number))
            for number in (1, 2):
                running.unplug(profile.attachment(number).id)

        turn()
        before = _held()
        for _ in range(_TURNS):
            turn()
        assert profile.residue(drivers) == set()
        after = _held()
        grown = {k: (before[k], after[k]) for k in after if after[k] >= before[k] + _TURNS}
        assert not grown, f"grows with every turn: {grown}"


def _instead(
    running: Running, verb: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Put something between the engine and a verb of the plugin under test."""
    wrapped = wrap(getattr(running.plugin, verb))
    wrapped.__name__ = verb
    setattr(running.plugin, verb, wrapped)


def beside(number: int) -> Attachment:
    """A port of the good plugin."""
    made = plain(1000 + number, network=7)
    return msgspec.structs.replace(made, plugin="neighbour", vif_type="fake")


def _inactive() -> Any:
    from vifd.model import Role

    return Role.INACTIVE


def _kinds(lines: set[str]) -> set[str]:
    return {line.split(" ", 1)[0] for line in lines}


def _held() -> dict[str, int]:
    """What this process holds of the machine."""
    descriptors = len(os.listdir("/proc/self/fd"))
    return {"threads": threading.active_count(), "descriptors": descriptors}
