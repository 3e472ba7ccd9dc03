"""The plugin contract as tests, for every plugin in the tree and out of it.

Subclass :class:`PluginContract` in a test module, say how the plugin is made and on which host, and
pytest runs the law: every verb repeated, the host counted before and after, a fault at every single
call of a driver before and after its effect, a crash at every call, bad company in a batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator


import msgspec
import pytest

from vifd.drivers import Drivers
from vifd.errors import BackendError, VifError
from vifd.model import Attachment, Wiring
from vifd.plugin import VERBS, Advert, Health, Host, Item, VifPlugin
from vifd.testing.attachments import attachment
from vifd.testing.injection import Injected, Injector
from vifd.testing.ledger import Ledger
from vifd.testing.machines import residue

#: More calls than any verb makes; the loop over the calls ends by itself before.
_MANY = 200


def _backend_error(text: str) -> Exception:
    return BackendError(facts={"backend": "injected", "problem": text})


class PluginContract:
    """Subclass it, override :meth:`drivers` and :meth:`factory`, and what else differs."""

    #: Bridges whose ports and flows are counted.
    bridges: tuple[str, ...] = ("br-int",)

    @pytest.fixture
    def drivers(self) -> Drivers:
        """The drivers of a host that the test may do with as it likes."""
        raise NotImplementedError

    def factory(self, host: Host) -> VifPlugin:
        """Make the plugin."""
        raise NotImplementedError

    def attachment(self, number: int) -> Attachment:
        """A document that the plugin serves; any number of them are on one network."""
        return attachment(number)

    def altered(self, wanted: Attachment) -> Attachment:
        """The same port with a difference that the plugin applies in place."""
        network = msgspec.structs.replace(wanted.network, mtu=wanted.network.mtu - 50)
        return msgspec.structs.replace(wanted, network=network)

    def residue(self, drivers: Drivers) -> set[str]:
        """Everything on the host that bears the mark of a port."""
        return residue(drivers, self.bridges)

    @pytest.fixture
    def injector(self, drivers: Drivers) -> Injector:
        """The drivers, with a place for faults."""
        return Injector(drivers)

    @pytest.fixture
    def ledger(self, injector: Injector) -> Iterator[Ledger]:
        """A journal with the plugin, on a host that once had a port: what a plugin makes for all
        ports is there. In the end every port is removed again."""
        ledger = Ledger(injector.drivers, self.factory)
        ledger.plugin.probe()
        assert not ledger.plug(self.attachment(99))
        assert not ledger.unplug()
        yield ledger
        injector.arm()
        if ledger.records:
            assert not ledger.restart().unplug()
        assert self.residue(injector.drivers) == set()

    @pytest.fixture
    def count(self, drivers: Drivers, ledger: Ledger) -> Callable[[], set[str]]:
        """Counts what is on the host; nothing is at the start of a test."""
        assert self.residue(drivers) == set()
        return lambda: self.residue(drivers)

    # --- what it says of itself ---

    def test_describe_is_an_advert(self, ledger: Ledger) -> None:
        advert = type(ledger.plugin).describe()
        assert isinstance(advert, Advert)
        assert advert.vif_types
        assert advert.network_types
        assert all(callable(getattr(ledger.plugin, verb)) for verb in VERBS)

    def test_probe_is_ready_and_changes_nothing(self, ledger: Ledger, injector: Injector) -> None:
        injector.arm()
        probe = ledger.plugin.probe()
        assert probe.health is Health.READY, probe.reasons
        assert not injector.writes
        json.dumps(probe.facts)

    def test_requirements_are_met(self, ledger: Ledger) -> None:
        assert all(r.met for r in ledger.plugin.requires(self.attachment(1)))

    # --- names ---

    def test_name_has_no_effect(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]]
    ) -> None:
        injector.arm()
        names = ledger.plugin.name(self.attachment(1), {})
        assert isinstance(names, Wiring)
        assert names.plugin == ledger.plugin.plugin_name
        assert not injector.writes
        assert count() == set()

    def test_names_survive_the_journal(self, ledger: Ledger) -> None:
        names = ledger.plugin.name(self.attachment(1), {})
        text = msgspec.json.encode(names)
        assert msgspec.json.decode(text, type=Wiring) == names

    def test_names_differ_from_port_to_port(self, ledger: Ledger) -> None:
        assert not ledger.plug(*(self.attachment(n) for n in range(1, 4)))
        devices = {r.wiring.device for r in ledger.records.values() if r.wiring}
        assert len(devices) == 3

    # --- repeating ---

    def test_plug_is_closed(self, ledger: Ledger) -> None:
        assert not ledger.plug(self.attachment(1), opened=False)
        (report,) = ledger.check().values()
        assert report.clean, report.findings
        assert report.passing in (False, None)

    def test_plug_again_changes_nothing(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        before, wiring = count(), ledger.records[wanted.id].wiring
        assert not ledger.plug(wanted)
        assert ledger.records[wanted.id].wiring == wiring
        assert count() == before

    def test_plug_of_a_restarted_daemon_changes_nothing(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        before = count()
        again = ledger.restart()
        assert not again.plug(wanted)
        assert again.records[wanted.id].wiring == ledger.records[wanted.id].wiring
        assert count() == before

    def test_activate_and_deactivate_are_repeatable(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted, opened=False)
        closed = count()
        for _ in range(2):
            assert not ledger.activate(wanted.id)
            assert not ledger.findings()
        for _ in range(2):
            assert not ledger.deactivate(wanted.id)
            assert not ledger.findings()
        assert count() == closed

    def test_a_change_in_place_keeps_the_port_open(self, ledger: Ledger) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        assert not ledger.plug(self.altered(wanted))
        (report,) = ledger.check().values()
        assert report.clean, report.findings
        assert report.passing in (True, None)

    def test_check_changes_nothing(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]]
    ) -> None:
        assert not ledger.plug(self.attachment(1), self.attachment(2))
        before = count()
        injector.arm()
        assert all(report.clean for report in ledger.check().values())
        assert not injector.writes
        assert count() == before

    def test_check_of_a_port_that_is_gone_finds_it(self, ledger: Ledger) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        item = ledger.records[wanted.id].item()
        assert not ledger.unplug()
        report = ledger.plugin.check([item])[wanted.id]
        assert not report.clean

    # --- removing ---

    def test_unplug_leaves_nothing(self, ledger: Ledger, count: Callable[[], set[str]]) -> None:
        assert not ledger.plug(*(self.attachment(n) for n in range(1, 4)))
        assert count()
        assert not ledger.unplug()
        assert count() == set()

    def test_unplug_again_is_no_error(self, ledger: Ledger) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        item = ledger.records[wanted.id].item()
        assert not ledger.unplug()
        assert isinstance(ledger.plugin.unplug([item])[wanted.id], Wiring)

    def test_unplug_of_what_was_never_plugged(self, ledger: Ledger) -> None:
        wanted = self.attachment(1)
        names = ledger.plugin.name(wanted, {})
        assert isinstance(ledger.plugin.unplug([Item(wanted, names)])[wanted.id], Wiring)

    def test_unplug_works_from_names_alone(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        ledger.records[wanted.id].wiring = None
        assert not ledger.restart().unplug()
        assert count() == set()

    def test_unplug_of_some_leaves_the_others_alone(self, ledger: Ledger) -> None:
        one, other = self.attachment(1), self.attachment(2)
        assert not ledger.plug(one, other)
        assert not ledger.unplug(one.id)
        assert not ledger.findings(other.id)

    def test_observe_finds_what_is_there(self, ledger: Ledger) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        (observed,) = ledger.plugin.observe()
        assert observed.port_id == wanted.id
        assert not ledger.unplug()
        assert ledger.plugin.observe() == []

    def test_what_was_observed_can_be_unplugged(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        ledger.records.clear()
        stranger = ledger.restart()
        (observed,) = stranger.plugin.observe()
        outcome = stranger.plugin.unplug([Item(wanted, observed.wiring, observed.wiring)])
        assert isinstance(outcome[wanted.id], Wiring)
        assert count() == set()

    # --- bad company ---

    @pytest.mark.parametrize("verb", ["plug", "activate", "deactivate", "unplug"])
    def test_one_bad_port_costs_itself_only(self, ledger: Ledger, verb: str) -> None:
        good, bad = self.attachment(1), self.attachment(2)
        assert not ledger.plug(good)
        broken = Item(bad, Wiring(ledger.plugin.plugin_name, "?", "no-such", {"odd": True}))
        call = getattr(ledger.plugin, verb)
        outcomes = call([broken, ledger.records[good.id].item()])
        assert isinstance(outcomes[bad.id], VifError)
        assert isinstance(outcomes[good.id], Wiring)

    def test_check_of_a_bad_port_spares_the_others(self, ledger: Ledger) -> None:
        good, bad = self.attachment(1), self.attachment(2)
        assert not ledger.plug(good)
        broken = Item(bad, Wiring(ledger.plugin.plugin_name, "?", "no-such", {"odd": True}))
        reports = ledger.plugin.check([broken, ledger.records[good.id].item()])
        assert not reports[bad.id].clean
        assert reports[good.id].clean

    # --- faults ---

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Injected, _backend_error], ids=["unknown", "backend"])
    def test_a_fault_at_every_call_of_plug_leaves_nothing(
        self,
        ledger: Ledger,
        injector: Injector,
        count: Callable[[], set[str]],
        after: bool,
        error: Callable[[str], Exception],
    ) -> None:
        for number in range(_MANY):
            injector.arm(number, after=after, error=error)
            failed = ledger.plug(self.attachment(1), self.attachment(2))
            made = list(injector.calls)
            injector.arm()
            where = made[number] if number < len(made) else "the end"
            assert failed or error is not Injected or number >= len(made), where
            for port_id, failure in failed.items():
                assert "not_undone" not in failure.facts, where
                assert failure.stage, where
                ledger.records.pop(port_id, None)
            assert not ledger.unplug(), where
            assert count() == set(), where
            if number >= len(made):
                assert not failed
                return
        pytest.fail("plug makes too many calls")

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_a_fault_in_a_change_keeps_what_was_there(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]], after: bool
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        before, wiring = count(), ledger.records[wanted.id].wiring
        for number in range(_MANY):
            injector.arm(number, after=after)
            failed = ledger.plug(self.altered(wanted))
            made = list(injector.calls)
            injector.arm()
            where = made[number] if number < len(made) else "the end"
            if failed:
                assert "not_undone" not in failed[wanted.id].facts, where
                assert count() == before, where
            assert not ledger.plug(wanted), where
            assert not ledger.findings(), where
            assert ledger.records[wanted.id].wiring == wiring, where
            if number >= len(made):
                return
        pytest.fail("plug makes too many calls")

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_unplug_after_a_fault_at_every_call(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]], after: bool
    ) -> None:
        for number in range(_MANY):
            assert not ledger.plug(self.attachment(1), self.attachment(2))
            injector.arm(number, after=after)
            ledger.unplug()
            made = list(injector.calls)
            injector.arm()
            where = made[number] if number < len(made) else "the end"
            if ledger.records:
                assert not ledger.unplug(), where
            assert count() == set(), where
            if number >= len(made):
                return
        pytest.fail("unplug makes too many calls")

    @pytest.mark.parametrize("then", ["plug", "unplug"])
    def test_a_crash_at_every_call_of_plug(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]], then: str
    ) -> None:
        """The daemon dies without undo and comes back with the names that are on disk."""
        for number in range(_MANY):
            wanted = self.attachment(1)
            names = ledger.plugin.name(wanted, ledger.entries())
            self._die(ledger, injector, wanted, names, number)
            made = list(injector.calls)
            injector.arm()
            where = made[number] if number < len(made) else "the end"
            ledger = ledger.restart()
            if then == "plug":
                assert not ledger.carry_out([wanted.id]), where
                assert not ledger.findings(), where
            assert not ledger.unplug(), where
            assert count() == set(), where
            if number >= len(made):
                return
        pytest.fail("plug makes too many calls")

    def _die(self, ledger: Ledger, injector: Injector, wanted: Attachment, names: Wiring,
             number: int) -> None:  # fmt: skip
        from vifd.testing.ledger import Record

        ledger.records[wanted.id] = Record(wanted, names)
        injector.arm(number)
        item = ledger.records[wanted.id].item()
        try:
            ledger.plugin.plug([item])
            ledger.plugin.activate([item])
        except Injected:
            item.undo.keep()


