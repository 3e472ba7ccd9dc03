"""The contract on counters: sound, of the ports that are asked for, and without effect."""

from __future__ import annotations

from vifd.plugin import soundcounts
from vifd.testing.contract_subject import Subject
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger


class CounterContract(Subject):
    """Holds for a plugin that counts nothing as well."""

    def test_counters_are_sound_and_change_nothing(
        self, ledger: Ledger, injector: Injector
    ) -> None:
        assert not ledger.plug(*(self.attachment(n) for n in (1, 2)))
        items = [record.item() for record in ledger.records.values()]
        injector.arm()
        found = soundcounts.sound(ledger.plugin.counters(items), [i.id for i in items])
        assert not injector.writes
        if found:
            assert found.keys() == {item.id for item in items}
            assert ledger.plugin.counters(items[:1]).keys() == {items[0].id}

    def test_a_port_that_is_gone_has_no_counters(self, ledger: Ledger) -> None:
        assert not ledger.plug(*(self.attachment(n) for n in (1, 2)))
        items = {port_id: record.item() for port_id, record in ledger.records.items()}
        gone = self.attachment(1).id
        assert not ledger.unplug(gone)
        found = ledger.plugin.counters([*items.values()])
        assert gone not in found
