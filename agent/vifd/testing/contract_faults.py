"""The part of the plugin contract in which things go wrong: a fault, or the death of the daemon, at
every single call of a driver, before and after its effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vifd.errors import BackendError
from vifd.testing.contract_subject import Subject
from vifd.testing.injection import Injected, Injector
from vifd.testing.ledger import Ledger, Record

#: More calls than any verb makes; the loop over the calls ends by itself before.
_MANY = 200


def _backend_error(text: str) -> Exception:
    return BackendError(facts={"backend": "injected", "problem": text})


class FaultContract(Subject):
    """Nothing stays behind, whatever fails; mixed into
    :class:`vifd.testing.contract.PluginContract`."""

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
                ledger.records[wanted.id].attachment = wanted
                assert not ledger.findings(), where
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

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("then", ["plug", "unplug"])
    def test_a_crash_at_every_call_of_plug(
        self,
        ledger: Ledger,
        injector: Injector,
        count: Callable[[], set[str]],
        then: str,
        after: bool,
    ) -> None:
        """The daemon dies without undo and comes back with the names that are on disk."""
        for number in range(_MANY):
            wanted = self.attachment(1)
            names = ledger.plugin.name(wanted, ledger.entries())
            ledger.records[wanted.id] = Record(wanted, names)
            injector.arm(number, after=after)
            self._die(ledger, wanted.id)
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

    @staticmethod
    def _die(ledger: Ledger, port_id: str) -> None:
        item = ledger.records[port_id].item()
        try:
            ledger.plugin.plug([item])
            ledger.plugin.activate([item])
        except Injected:
            item.undo.keep()
