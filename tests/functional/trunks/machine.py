"""A hypothesis machine on trunks: parents and sub-ports come, go, open, close and change hands in
any order, on fakes or on a real switch. After each step what the switch has is followed by packets
of everybody, each of which must come to all open ports of its network, and to nobody else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from functional.trunks.documents import Sub, parent, sub_port
from vifd.model import Attachment
from vifd.testing import flowkey
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac, port_id
from vifd.testing.ledger import Ledger
from vifd.testing.pipeline import Pipeline

BRIDGE = "br-int"
#: Who may be a parent, who is a sub-port, who is neither; and their networks.
PARENTS, SUB_PORTS, PLAIN = (1, 2), (3, 4, 5), (6, 7)
NETWORKS = {1: 1, 2: 7, 3: 7, 4: 8, 5: 7, 6: 7, 7: 8}
TAGS = (301, 302, 303)

everybody = st.sampled_from([*PARENTS, *SUB_PORTS, *PLAIN])
parents, sub_ports, tags = map(st.sampled_from, (PARENTS, SUB_PORTS, TAGS))
Make = Callable[[], contextlib.AbstractContextManager[Ledger]]


@dataclass
class Port:
    """What shall be of a port that is plugged."""

    open: bool = True


class TrunkMachine(RuleBasedStateMachine):
    """One history; the host is made anew for each."""

    #: makes the host; a tuple, because a function would be a method
    make: ClassVar[tuple[Make]]

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self.ledger = self._stack.enter_context(self.make[0]())
        self.ports: dict[int, Port] = {}
        #: by sub-port, the parent that has it, and its tag there
        self.named: dict[int, tuple[int, int]] = {}

    # --- what is done ---

    @initialize()
    def begin(self) -> None:
        """Everybody is there, so that there is something to be changed."""
        self.named = {3: (1, 301), 4: (1, 302), 5: (2, 301)}
        for number in (*PARENTS, *SUB_PORTS, *PLAIN):
            self.plug(number, opened=True)

    @rule(number=everybody, opened=st.booleans())
    def plug(self, number: int, opened: bool) -> None:
        if number in self.ports:
            return
        self._say(number, opened=False)
        self.ports[number] = Port(open=False)
        if opened:
            self.turn(number)

    @rule(number=everybody)
    def unplug(self, number: int) -> None:
        if self.ports.pop(number, None) is not None:
            assert not self.ledger.unplug(port_id(number))

    @rule(number=everybody)
    def turn(self, number: int) -> None:
        """A port is opened, or closed. Whether a sub-port passes then is its parent's to say."""
        if (port := self.ports.get(number)) is None:
            return
        record = self.ledger.records[port_id(number)]
        verb = self.ledger.plugin.deactivate if port.open else self.ledger.plugin.activate
        outcome = verb([record.item()])[record.attachment.id]
        assert not isinstance(outcome, Exception), outcome
        port.open = record.open = not port.open

    @rule(number=sub_ports, by=parents, tag=tags)
    def name(self, number: int, by: int, tag: int) -> None:
        """A parent gets a sub-port, with a tag that is free there; whoever had it loses it."""
        former = self.named.pop(number, None)
        taken = {t for p, t in self.named.values() if p == by}
        if tag not in taken:
            self.named[number] = by, tag
        for one in {former[0] if former else by, by}:
            if one in self.ports:
                self._say(one, opened=self.ports[one].open)

    @rule()
    def restart(self) -> None:
        """The daemon ends and comes back, and finds everything as it left it."""
        before = self._flows()
        self.ledger = self.ledger.restart()
        if items := [record.item() for record in self.ledger.records.values()]:
            outcomes = self.ledger.plugin.plug(items)
            assert not [o for o in outcomes.values() if isinstance(o, Exception)], outcomes
        assert (changed := self._flows() ^ before) == set(), changed

    def _say(self, number: int, *, opened: bool) -> None:
        failed = self.ledger.plug(self._document(number), opened=opened)
        assert not failed, failed

    def _document(self, number: int) -> Attachment:
        network = NETWORKS[number]
        if number in SUB_PORTS:
            return sub_port(number, network)
        subs: list[Sub] = [(s, tag) for s, (by, tag) in self.named.items() if by == number]
        return (
            parent(number, *subs, network=network) if subs else attachment(number, network=network)
        )

    # --- what must hold ---

    def _ends(self) -> dict[int, tuple[int, int]]:
        """Of each port that shall pass, the switch port of its frames and their tag there."""
        found = {}
        for number, port in self.ports.items():
            device, tag = self.named.get(number, (number, 0))
            carried = number not in SUB_PORTS or number in self.named
            if port.open and carried and device in self.ports and self.ports[device].open:
                found[number] = self._number(device), tag
        return found

    def _number(self, number: int) -> int:
        return int(self.ledger.records[port_id(number)].names.details["ofport"])

    def _flows(self) -> set[str]:
        return {str(flow) for flow in self.ledger.drivers.openflow.dump(BRIDGE, 0, 0)}

    @invariant()
    def everybody_is_heard_by_its_network_alone(self) -> None:
        if not self.ports:
            return
        dump = self.ledger.drivers.openflow.dump(BRIDGE, 0, 0)
        pipeline, ends = Pipeline({BRIDGE: list(dump)}, {}), self._ends()
        for number in self.ports:
            at, tag = self.named.get(number, (number, 0))
            if at not in self.ports or (number in SUB_PORTS and not tag):
                continue
            frame = f.arp_request(mac(number), ipv4(number), "10.0.9.9")
            tagged = frame[:12] + b"\x81\0" + tag.to_bytes(2, "big") + frame[12:] if tag else frame
            packet: dict[str, Any] = {**flowkey.parse(tagged), "in_port": self._number(at)}
            heard = {
                (self._out(s.port, packet), s.vlan or 0) for s in pipeline.send(BRIDGE, packet).sent
            }
            others = {e for n, e in ends.items() if NETWORKS[n] == NETWORKS[number] and n != number}
            wanted = others if number in ends else set()
            note(f"{number}: {heard}")
            assert heard == wanted, (number, heard, wanted, self.named, self.ports)

    @staticmethod
    def _out(port: int, packet: dict[str, Any]) -> int:
        """A packet that goes back where it came in leaves by that port."""
        return packet["in_port"] if port == 0xFFFFFFF8 else port

    @invariant()
    def what_is_said_is_what_is(self) -> None:
        ends = self._ends()
        for number, report in ((n, self.ledger.check(port_id(n))[port_id(n)]) for n in self.ports):
            shall = number in ends
            assert report.clean == (shall or not self.ports[number].open), (number, report.findings)
            assert bool(report.passing) == shall or not report.clean, (number, report)

    def teardown(self) -> None:
        try:
            for number in list(self.ports):
                self.unplug(number)
            own = [x for x in self._flows() if "in_port" in x and "in_port=CONTROLLER" not in x]
            assert own == [], own
        finally:
            self._stack.close()
