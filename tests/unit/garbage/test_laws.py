"""Whatever happens to a host: what has a record, a holder, or no mark is never collected, and in
the end everything else is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.orphans import device
from unit.garbage.test_collector import GRACE, WAIT, Scene
from vifd.drivers import PortSpec
from vifd.testing.attachments import attachment, mac, port_id
from vifd_ovs.bridge import marks

numbers = st.integers(1, 4)


class Host(RuleBasedStateMachine):
    """Ports that are plugged, forgotten, removed, opened by guests, and lookalikes of others."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="vifd-laws-"))
        self.scene = Scene(self.directory)
        self.running = self.scene.running
        self.links = self.scene.machine.links
        self.held: set[int] = set()
        self.foreign: set[str] = set()

    def teardown(self) -> None:
        """After a quiet while nothing of ours is left but what is wanted or held."""
        self.collect(GRACE)
        self.collect(GRACE)
        wanted = self.recorded() | {device(n) for n in self.held if self.links.peek(device(n))}
        ours = {link.name for link in self.scene.drivers.links.marked(marks.ALIAS)}
        assert ours == wanted
        self.scene.close()
        shutil.rmtree(self.directory)

    def recorded(self) -> set[str]:
        return {device_of(r) for r in self.running.journal.records().values()}

    @rule(number=numbers)
    def plug(self, number: int) -> None:
        if not self.is_foreign(number):
            self.running.submit(attachment(number)).done.result(WAIT)

    @rule(number=numbers)
    def unplug(self, number: int) -> None:
        if self.running.journal.get(port_id(number)) is not None:
            self.running.unplug(port_id(number))
            self.held.discard(number)

    @rule(number=numbers)
    def forget(self, number: int) -> None:
        """The record is lost, what it stood for is not."""
        self.running.quiet()
        self.running.journal.commit({port_id(number): lambda _: None})

    @rule(number=numbers, opened=st.booleans())
    def guest(self, number: int, opened: bool) -> None:
        link = self.links.peek(device(number))
        if link is not None and link.alias.startswith(marks.ALIAS):
            self.links.place(device(number), kind="tun", alias=link.alias, carrier=opened)
            (self.held.add if opened else self.held.discard)(number)

    @rule(number=st.integers(5, 8))
    def lookalike(self, number: int) -> None:
        """The name of ours, an iface-id, and no mark."""
        self.links.place(device(number), kind="tun")
        ids = {"iface-id": port_id(number), "attached-mac": mac(number)}
        self.scene.drivers.ovsdb.ensure_ports(
            "br-int", [PortSpec(device(number), external_ids=ids)]
        )
        self.foreign.add(device(number))

    @rule(seconds=st.sampled_from([0.0, GRACE / 2, GRACE]))
    def collect(self, seconds: float) -> None:
        self.scene.now += seconds
        self.scene.collect(force=True)

    @rule()
    def undo(self) -> None:
        entries = [r for r in self.scene.collector.undo_store.all() if not r.restored_at]
        if not entries:
            return
        before = self.recorded()
        self.scene.undo(entries[0].id)
        assert self.recorded() == before
        # it is ours to give up again
        self.scene.collector.undo_store.drop([entries[0].id])

    def is_foreign(self, number: int) -> bool:
        return device(number) in self.foreign

    @invariant()
    def what_is_wanted_held_or_foreign_is_there(self) -> None:
        taps, rows = set(self.links.names), self.scene.rows
        assert self.recorded() <= taps & rows
        assert self.foreign <= taps & rows
        assert {device(n) for n in self.held} <= taps


def device_of(record) -> str:
    made = record.wiring or record.names
    return made.device


Host.TestCase.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
TestHost = Host.TestCase
