"""The part of the plugin contract about logs of security groups: while one is off nothing is there,
and what one wants is read back and goes with it. For plugins whose advert has
``security_group_log``, where their probe does not take it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec
import pytest

from vifd.model import Attachment
from vifd.model.sets import SetKey, SetKind
from vifd.plugin import soundcounts
from vifd.plugin.logged import LogDesk
from vifd.policy.logged import FEATURE
from vifd.testing.contract_subject import Subject
from vifd.testing.injection import WRITES, Injected, Injector
from vifd.testing.ledger import Ledger
from vifd.testing.sets import MemorySets

GROUP, LOG = "11111111-0000-4000-8000-0000000000a7", "44444444-0000-4000-8000-0000000000a7"


class LogContract(Subject):
    """The law for logs."""

    @pytest.fixture
    def logged(
        self, ledger: Ledger, injector: Injector, count: Callable[[], set[str]]
    ) -> Iterator[Ledger]:
        """A host that writes lines, with a port in a group."""
        wanted = {FEATURE, "security_groups"}
        if lacking := wanted - type(ledger.plugin).describe().features:
            pytest.skip(f"the plugin has no {min(lacking)}, says its advert")
        sets, desk = MemorySets(), LogDesk(100, 25, lambda _: None)
        sets.group(GROUP, {"direction": "egress"})
        # a daemon of its own: what is remembered per driver knows nobody who writes
        made = Ledger(injector.drivers, self.factory, sets=sets, logs=desk).restart()
        unenforced = made.plugin.probe().unenforced
        if reasons := [unenforced[name] for name in sorted(wanted) if name in unenforced]:
            pytest.skip(f"the plugin logs nothing here, says its probe: {reasons[0]}")
        assert count() == set()
        assert not made.plug(self._in_group(1), self.attachment(2))
        yield made
        injector.arm()
        assert not made.restart().unplug()

    def _in_group(self, number: int) -> Attachment:
        made = self.attachment(number)
        port = msgspec.structs.replace(made.port, security_groups=[GROUP])
        return msgspec.structs.replace(made, port=port)

    def _say(self, ledger: Ledger, *, enabled: bool | None, event: str = "ALL") -> None:
        """A log of everything, switched on or off; ``None``: none."""
        sets = ledger.sets
        assert isinstance(sets, MemorySets)
        if enabled is None:
            change = sets.change(SetKey(SetKind.LOG, LOG), None)
        else:
            change = sets.put(SetKind.LOG, LOG, enabled=enabled, event=event)
        ledger.plugin.refresh([change])

    def test_a_log_that_is_off_costs_nothing(self, logged: Ledger, injector: Injector) -> None:
        injector.arm()
        self._say(logged, enabled=False)
        assert not injector.writes
        assert not logged.findings()

    @pytest.mark.parametrize("event", ["ACCEPT", "DROP", "ALL"])
    def test_a_log_is_read_back_and_goes_without_a_trace(
        self, logged: Ledger, injector: Injector, count: Callable[[], set[str]], event: str
    ) -> None:
        before = count()
        injector.arm()
        self._say(logged, enabled=True, event=event)
        assert injector.writes, "nothing was done: the test proves nothing"
        assert not logged.findings()
        assert count() != before
        self._say(logged, enabled=True, event=event)
        self._say(logged, enabled=None)
        assert count() == before
        assert not logged.findings()

    def test_a_port_that_comes_into_a_log_and_goes(
        self, logged: Ledger, count: Callable[[], set[str]]
    ) -> None:
        self._say(logged, enabled=True)
        before = count()
        third = self._in_group(3)
        assert not logged.plug(third)
        assert not logged.findings()
        assert not logged.unplug(third.id)
        assert count() == before

    def test_a_restarted_daemon_leaves_logs_alone(
        self, logged: Ledger, injector: Injector, count: Callable[[], set[str]]
    ) -> None:
        self._say(logged, enabled=True)
        before = count()
        again = logged.restart()
        again.plugin.probe()
        injector.arm()
        assert all(report.clean for report in again.check().values())
        assert not injector.writes
        assert count() == before

    def test_what_limits_kept_back_is_told_of_ports_that_are_there(
        self, logged: Ledger, injector: Injector
    ) -> None:
        self._say(logged, enabled=True)
        asked = [self.attachment(number).id for number in (1, 2, 7)]
        injector.arm()
        found = soundcounts.sound_numbers(logged.plugin.unlogged(asked), asked)
        assert not injector.writes
        assert asked[2] not in found
        assert all(number == 0 for number in found.values())

    @pytest.mark.parametrize("comes", [True, False], ids=["comes", "goes"])
    def test_a_crash_at_every_effect_of_a_log(
        self, logged: Ledger, injector: Injector, count: Callable[[], set[str]], *, comes: bool
    ) -> None:
        """The daemon dies behind an effect and comes back; every port is brought to what it shall
        be, as its check finds it."""
        before, after = (None, True) if comes else (True, None)
        self._say(logged, enabled=before)
        injector.arm()
        self._say(logged, enabled=after)
        fatal = [n for n, call in enumerate(injector.calls) if call in WRITES]
        assert fatal, "nothing was done: the test proves nothing"
        right = count()
        for at in fatal:
            injector.arm()
            self._say(logged, enabled=before)
            injector.arm(at, after=True)
            with contextlib.suppress(Injected):
                self._say(logged, enabled=after)
            injector.arm()
            logged = logged.restart()
            logged.plugin.probe()
            found = {i for i, report in logged.check().items() if not report.clean}
            assert not logged.carry_out(sorted(found))
            for bridge in self.bridges:
                # as the engine does once it is connected
                logged.plugin.reconnected(bridge)
            assert not logged.findings()
            assert count() == right
