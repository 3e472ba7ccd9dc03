"""The part of the contract about taps that change hands under a running guest.

A plugin says with ``Advert.hands_over`` and ``Advert.takes_over`` what it can do of it.
"""

from __future__ import annotations

from collections.abc import Callable

from vifd.drivers import Link, Tap
from vifd.errors import VifError
from vifd.model import Attachment, Wiring
from vifd.plugin import guest, tap
from vifd.testing.contract_subject import Subject
from vifd.testing.ledger import Ledger, Record


class MovingContract(Subject):
    """To another plugin, and from one."""

    def test_what_leaves_keeps_its_device_and_nothing_else(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        assert not ledger.plug(wanted)
        record = ledger.records[wanted.id]
        device = record.names.device
        if not ledger.plugin.describe().hands_over:
            assert isinstance(ledger.plugin.hand_over([record.item()])[wanted.id], VifError)
            return
        before = ledger.drivers.links.get([device])[device]
        # another plugin serves it by now
        del ledger.records[wanted.id]
        for _ in range(2):
            item = record.item()
            assert isinstance(ledger.plugin.hand_over([item])[wanted.id], Wiring)
            assert count() == {f"device {device}"}
        assert ledger.drivers.links.get([device])[device].ifindex == before.ifindex
        ledger.drivers.links.delete([device])

    def test_what_comes_keeps_its_device(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        wanted = self.attachment(1)
        if not ledger.plugin.describe().takes_over:
            assert ledger.plugin.take(wanted, {}, "tap-of-another") is None
            return
        made = self._tap(ledger, wanted)
        names = ledger.plugin.take(wanted, ledger.entries(), made.name)
        assert names is not None
        assert names.device == made.name
        ledger.records[wanted.id] = Record(wanted, names, open=True)
        assert not ledger.carry_out([wanted.id])
        assert not ledger.findings(wanted.id)
        assert ledger.drivers.links.get([made.name])[made.name].ifindex == made.ifindex
        assert not ledger.unplug()
        assert count() == set()

    def test_what_cannot_come_leaves_its_device(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        """All that was done is undone."""
        wanted = self.attachment(1)
        if not ledger.plugin.describe().takes_over:
            return
        made = self._tap(ledger, wanted)
        names = ledger.plugin.take(wanted, ledger.entries(), made.name)
        assert names is not None
        ledger.records[wanted.id] = Record(wanted, names, open=True)
        item = ledger.records[wanted.id].item()
        assert isinstance(ledger.plugin.plug([item])[wanted.id], Wiring)
        # it is the other plugin's again
        del ledger.records[wanted.id]
        assert item.undo.run() == []
        assert count() == {f"device {made.name}"}
        assert ledger.drivers.links.get([made.name])[made.name].ifindex == made.ifindex
        ledger.drivers.links.delete([made.name])

    def _tap(self, ledger: Ledger, wanted: Attachment) -> Link:
        """A port's tap, as another plugin made it."""
        name = ledger.plugin.name(wanted, {}).device
        spec = Tap(
            name, guest.tap_mac(wanted.mac), wanted.network.mtu, tap.alias(wanted.id),
            promiscuous=True,
        )  # fmt: skip
        made = ledger.drivers.links.create_taps([spec])[name]
        assert isinstance(made, Link), made
        return made
