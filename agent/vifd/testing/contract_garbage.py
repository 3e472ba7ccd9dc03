"""The optional verbs about single objects: what is wanted is never listed as more than it is, and
what is orphaned goes, alone. A plugin without them passes."""

from __future__ import annotations

from collections.abc import Callable

from vifd.drivers import Drivers
from vifd.errors import VifError
from vifd.plugin.marked import Marked
from vifd.testing.contract_subject import Subject
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger


def strays(ledger: Ledger) -> list[Marked]:
    """What the plugin lists and none of its ports stands for."""
    desired = ledger.plugin.expected(ledger.entries())
    return [m for m in ledger.plugin.inventory() if m.key not in desired]


def orphaned(ledger: Ledger, *ids: str) -> Ledger:
    """The daemon after it lost these ports: a new plugin that never heard of them."""
    for port_id in ids:
        del ledger.records[port_id]
    return ledger.restart()


class GarbageContract(Subject):
    """The law for ``inventory``, ``expected``, ``discard`` and ``restore``."""

    def test_a_plugged_port_is_no_garbage(self, ledger: Ledger, injector: Injector) -> None:
        one, two = self.attachment(1), self.attachment(2)
        assert not ledger.plug(one, two)
        again = ledger.restart()
        injector.arm()
        listed = {m.key: m for m in again.plugin.inventory()}
        assert not injector.writes
        assert strays(again) == []
        if not listed:
            return
        for key, wanted in again.plugin.expected(again.entries()).items():
            if wanted.owner:
                assert key in listed, f"{key} is not listed"
                assert listed[key].owner in ("", wanted.owner)
                if wanted.identity and listed[key].identity:
                    assert listed[key].identity == wanted.identity

    def test_ports_of_other_plugins_are_none_of_its_business(self, ledger: Ledger) -> None:
        assert not ledger.plug(self.attachment(1))
        plugin = ledger.plugin
        assert all(not wanted.owner for wanted in plugin.expected({}).values())

    def test_orphans_go_and_nothing_else(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        kept, lost = self.attachment(1), self.attachment(2)
        assert not ledger.plug(kept)
        before = count()
        assert not ledger.plug(lost)
        again = orphaned(ledger, lost.id)
        found = strays(again)
        if not again.plugin.inventory():
            ledger.plug(lost)
            return
        assert lost.id in {m.owner for m in found}
        assert {m.owner for m in found} <= {"", lost.id}
        assert again.plugin.discard(found) == {}
        assert strays(again) == []
        assert not again.carry_out([kept.id])
        assert again.check()[kept.id].clean, again.findings()
        assert count() == before
        assert again.plugin.discard(found) == {}, "what is gone already is no error"
        assert count() == before

    def test_what_changed_since_it_was_listed_is_left_alone(self, ledger: Ledger) -> None:
        """The port was asked for anew, and plugged under the same names."""
        lost = self.attachment(1)
        assert not ledger.plug(lost)
        again = orphaned(ledger, lost.id)
        found = strays(again)
        assert not again.plugin.discard(found)
        assert not again.plug(lost)
        ledger.records |= again.records
        again.plugin.discard(found)
        assert again.check()[lost.id].clean, again.findings()

    def test_what_is_put_back_is_an_orphan_again_and_closed(
        self, ledger: Ledger, drivers: Drivers, count: Callable[[], set[str]]
    ) -> None:
        lost = self.attachment(1)
        assert not ledger.plug(lost)
        again = orphaned(ledger, lost.id)
        found = strays(again)
        if not again.plugin.inventory():
            ledger.plug(lost)
            return
        assert not again.plugin.discard(found)
        failed = again.plugin.restore(found)
        assert set(failed) <= {m.key for m in found}
        assert all(isinstance(error, VifError) for error in failed.values())
        back = strays(again)
        assert {m.owner for m in back} <= {"", lost.id}
        assert {m.key for m in back} <= {m.key for m in found}
        assert again.plugin.discard(back) == {}
        assert count() == set(), count()
