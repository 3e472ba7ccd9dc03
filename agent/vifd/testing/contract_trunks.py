"""The part of the plugin contract about trunks: a sub-port passes over its parent's device, and is
as open as that. For plugins whose advert has ``trunk``, where their probe does not take it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import pytest

from vifd.model import Attachment, Report
from vifd.model.extensions import SubPort, Trunk
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.plugin import soundcounts
from vifd.testing.attachments import port_id
from vifd.testing.contract_limits import LimitContract, held
from vifd.testing.injection import WRITES, Injected, Injector
from vifd.testing.ledger import Ledger, Record

#: What facts about a sub-port's parent begin with: by them its caller is told that it waits.
ABOUT_PARENT = "trunk."


def parent_of(wanted: Attachment, *sub_ports: tuple[Attachment, int]) -> Attachment:
    """The port as the parent of a trunk.

    :param sub_ports: each with its VLAN
    """
    named = [SubPort(one.id, vlan) for one, vlan in sub_ports]
    trunk = Trunk(port_id(0xF001), named)
    return msgspec.structs.replace(
        wanted, port=msgspec.structs.replace(wanted.port, trunk_details=trunk)
    )


def sub_port_of(wanted: Attachment) -> Attachment:
    """The port as a sub-port, on the network that it was on."""
    return msgspec.structs.replace(
        wanted, port=msgspec.structs.replace(wanted.port, device_owner=SUB_PORT_OWNER)
    )


class TrunkContract(LimitContract):
    """The law for parents and sub-ports."""

    @pytest.fixture
    def trunk(self, ledger: Ledger) -> tuple[Attachment, Attachment, Attachment]:
        """A parent and its two sub-ports, none of them plugged."""
        if "trunk" not in type(ledger.plugin).describe().features:
            pytest.skip("the plugin carries no trunks, says its advert")
        if reason := ledger.plugin.probe().unenforced.get("trunk"):
            pytest.skip(f"the plugin carries no trunks here, says its probe: {reason}")
        one, two = (sub_port_of(self.attachment(n)) for n in (2, 3))
        return parent_of(self.attachment(1), (one, 101), (two, 102)), one, two

    def _report(self, ledger: Ledger, wanted: Attachment) -> Report:
        (report,) = ledger.check(wanted.id).values()
        return report

    def _waits(self, ledger: Ledger, wanted: Attachment) -> bool:
        """Whether what is said of a sub-port begins with its parent, and whether it is open itself
        is left at that: nobody closed it, and it comes back with its parent."""
        report = self._report(ledger, wanted)
        first = report.findings[0].fact if report.findings else ""
        return report.passing is None and first.startswith(ABOUT_PARENT)

    def test_a_sub_port_waits_for_its_parent_and_opens_with_it(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment]
    ) -> None:
        parent, one, two = trunk
        assert not ledger.plug(one, two, opened=False)
        assert not ledger.plug(parent)
        assert not ledger.activate(one.id)
        assert self._report(ledger, one).passing in (True, None)
        assert not ledger.unplug(parent.id)
        assert self._waits(ledger, one)
        assert not ledger.plug(parent)
        assert self._report(ledger, one).clean
        assert not ledger.activate(two.id)
        assert not ledger.findings()

    def test_a_sub_port_is_as_open_as_its_parent(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment]
    ) -> None:
        """And goes by itself without the others."""
        parent, one, two = trunk
        assert not ledger.plug(*trunk)
        assert not ledger.deactivate(parent.id)
        assert self._waits(ledger, one)
        assert not ledger.activate(parent.id)
        assert not ledger.findings()
        assert not ledger.deactivate(one.id)
        assert self._report(ledger, one).passing in (False, None)
        assert not ledger.findings()
        assert not ledger.unplug(two.id)
        assert not ledger.activate(one.id)
        assert not ledger.findings()

    def test_a_parent_that_names_another_leaves_the_first(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment]
    ) -> None:
        """In place; and with another VLAN it has the same names."""
        parent, one, two = trunk
        assert not ledger.plug(*trunk)
        made = ledger.records[one.id].wiring
        assert not ledger.plug(parent_of(self.attachment(1), (one, 103)))
        assert self._waits(ledger, two)
        assert self._report(ledger, one).clean
        assert ledger.records[one.id].wiring == made
        assert not ledger.plug(parent)
        assert not ledger.findings()

    def test_a_trunk_of_a_restarted_daemon_is_left_alone(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment],
        injector: Injector, count: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        assert not ledger.plug(*trunk)
        before = count()
        again = ledger.restart()
        injector.arm()
        assert all(report.clean for report in again.check().values())
        assert not injector.writes
        assert not again.plug(*trunk)
        assert count() == before

    def test_nothing_of_a_trunk_is_left(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment],
        count: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        """Whoever goes first: the parent, or its sub-ports."""
        parent, one, two = trunk
        for order in ((parent, one, two), (two, one, parent)):
            assert not ledger.plug(*trunk)
            for port in order:
                assert not ledger.unplug(port.id)
            assert count() == set()

    def test_a_fault_at_every_call_leaves_a_trunk_as_it_shall_be(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment], injector: Injector
    ) -> None:
        """Once the call is repeated."""
        parent, one, two = trunk
        assert not ledger.plug(parent, one)
        injector.arm()
        assert not ledger.plug(two)
        for at in range(len(injector.calls)):
            assert not ledger.unplug(two.id)
            injector.arm(at)
            ledger.plug(two)
            injector.arm()
            assert not ledger.plug(two)
            assert not ledger.findings()

    def test_a_sub_port_is_limited_and_counted_by_itself(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment],
        limits: tuple[str, ...], injector: Injector,
    ) -> None:  # fmt: skip
        parent, one, two = (held(port) for port in trunk)
        assert not ledger.plug(parent, held(one, *limits), two)
        assert self._told(ledger, one).keys() == set(limits)
        assert self._told(ledger, parent) == {} == self._told(ledger, two)
        items = [record.item() for record in ledger.records.values()]
        injector.arm()
        found = soundcounts.sound(ledger.plugin.counters(items), [i.id for i in items])
        assert not injector.writes
        assert not found or found.keys() == {item.id for item in items}
        assert not ledger.plug(one)
        assert self._told(ledger, one) == {}

    @pytest.mark.parametrize("act", ["comes", "disowned", "orphaned"])
    def test_a_crash_at_every_effect_of_a_trunk(
        self, ledger: Ledger, trunk: tuple[Attachment, Attachment, Attachment], act: str,
        injector: Injector, count: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        """The daemon dies behind an effect, without undo, and comes back with what is on disk: the
        same call again, and all is as without that."""
        _, one, two = trunk
        before, after = getattr(self, f"_{act}")(trunk)
        injector.arm()
        before(ledger)
        injector.arm()
        after(ledger, one.id)
        fatal = [n for n, call in enumerate(injector.calls) if call in WRITES]
        assert fatal, "nothing was done: the test proves nothing"
        for at in fatal:
            injector.arm()
            assert not ledger.unplug()
            before(ledger)
            injector.arm(at, after=True)
            with contextlib.suppress(Injected):
                after(ledger, one.id)
            injector.arm()
            ledger = ledger.restart()
            after(ledger, one.id)
            assert self._waits(ledger, one) == (act != "comes")
            assert self._waits(ledger, two) == (act == "orphaned")
        assert not ledger.unplug()
        assert count() == set()

    _Acts = tuple[Callable[[Ledger], None], Callable[[Ledger, str], None]]

    def _comes(self, trunk: tuple[Attachment, Attachment, Attachment]) -> _Acts:
        parent, one, two = trunk

        def before(ledger: Ledger) -> None:
            assert not ledger.plug(parent, two)

        def comes(ledger: Ledger, port: str) -> None:
            names = ledger.plugin.name(one, ledger.entries())
            record = ledger.records.setdefault(port, Record(one, names))
            item = record.item()
            made = ledger.plugin.plug([item])[port]
            assert not isinstance(made, Exception), made
            item.wiring = made
            assert not isinstance(ledger.plugin.activate([item])[port], Exception)
            record.wiring, record.open = item.wiring, True

        return before, comes

    def _disowned(self, trunk: tuple[Attachment, Attachment, Attachment]) -> _Acts:
        parent, _, two = trunk
        alone = parent_of(self.attachment(1), (two, 102))

        def before(ledger: Ledger) -> None:
            assert not ledger.plug(*trunk)

        def disowned(ledger: Ledger, _: str) -> None:
            ledger.records[parent.id].attachment = alone
            made = ledger.plugin.plug([ledger.records[parent.id].item()])[parent.id]
            assert not isinstance(made, Exception), made

        return before, disowned

    def _orphaned(self, trunk: tuple[Attachment, Attachment, Attachment]) -> _Acts:
        parent = trunk[0]

        def before(ledger: Ledger) -> None:
            assert not ledger.plug(*trunk)

        def orphaned(ledger: Ledger, _: str) -> None:
            item = ledger.records[parent.id].item()
            gone = ledger.plugin.unplug([item])[parent.id]
            assert not isinstance(gone, Exception), gone
            del ledger.records[parent.id]

        return before, orphaned
