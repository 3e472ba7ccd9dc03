"""The plugin contract as tests, for every plugin in the tree and out of it.

Subclass :class:`PluginContract` in a test module, say how the plugin is made and on which host, and
pytest runs the law: every verb repeated, the host counted before and after, bad company in a batch,
and the faults of :mod:`vifd.testing.contract_faults`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from vifd.errors import VifError
from vifd.model import Wiring
from vifd.plugin import VERBS, Advert, Health, Item
from vifd.testing.contract_counters import CounterContract
from vifd.testing.contract_faults import FaultContract
from vifd.testing.contract_garbage import GarbageContract
from vifd.testing.contract_limits import LimitContract
from vifd.testing.contract_logs import LogContract
from vifd.testing.contract_moving import MovingContract
from vifd.testing.contract_trunks import TrunkContract
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger


class PluginContract(
    CounterContract,
    FaultContract,
    GarbageContract,
    MovingContract,
    TrunkContract,
    LimitContract,
    LogContract,
):
    """Subclass it, override :meth:`drivers` and :meth:`factory`, and what else of
    :class:`vifd.testing.contract_subject.Subject` differs."""

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
        # nor where somebody asks why, for whom no reading is too costly
        assert all(report.clean for report in ledger.check(thorough=True).values())
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
