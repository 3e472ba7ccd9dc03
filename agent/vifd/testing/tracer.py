"""``ofproto/trace`` and other commands without a switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vifd.drivers import idle
from vifd.errors import BackendError, BackendUnavailable, VifError
from vifd.openflow import match as mt
from vifd.openflow.field import PORT_NAMES
from vifd.testing import packet as packets
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.pipeline import Entry, Journey, Visit


class FakeTracer:
    """:class:`vifd.drivers.Tracer` on the tables of a :class:`FakeOpenFlow`."""

    def __init__(self, openflow: FakeOpenFlow) -> None:
        self._openflow = openflow
        self._faults: list[VifError] = []
        #: Why nobody answers on the control socket; a test says so.
        self.silent = ""
        #: Of the switch.
        self.version = "3.5.0"
        #: How often the switch was told to forget its cached flows.
        self.forgotten = 0
        #: Answers to other commands, by name.
        self.commands: dict[str, Callable[..., str]] = {}

    def fail_next(self, error: VifError | None = None) -> None:
        """Let the next trace fail."""
        down = BackendUnavailable(facts={"backend": "fake tracer", "problem": "no answer in time"})
        self._faults.append(error or down)

    def trace(self, bridge: str, flow: str) -> str:
        """What the switch would do with a packet, in the form of ``ofproto/trace``."""
        if self._faults:
            raise self._faults.pop(0)
        problem = self._openflow.problem(bridge)
        if problem:
            facts = {"backend": "fake tracer", "problem": f"ofproto/trace: {bridge}: {problem}"}
            raise BackendError(facts=facts)
        try:
            journey = self.journey(bridge, flow)
        except ValueError as error:
            facts = {"backend": "fake tracer", "problem": f"ofproto/trace: {error}"}
            raise BackendError(facts=facts) from error
        return write(flow, journey)

    def traces(
        self, bridge: str, flows: Sequence[str], meanwhile: Callable[[], None] = idle
    ) -> list[str | BackendError]:
        """What the switch would do with each of these packets, or why it cannot tell."""
        meanwhile()
        return [self._attempt(bridge, flow) for flow in flows]

    def _attempt(self, bridge: str, flow: str) -> str | BackendError:
        try:
            return self.trace(bridge, flow)
        except BackendUnavailable:
            raise
        except BackendError as error:
            return error

    def settle(self, patience: float = 0.05) -> None:
        """Nothing is cached here."""
        del patience
        if self._faults:
            raise self._faults.pop(0)

    def forget(self) -> None:
        """Nothing is cached here; that it was told to is counted."""
        if self._faults:
            raise self._faults.pop(0)
        self.forgotten += 1

    def ping(self, timeout: float) -> str:
        """Whether the switch runs."""
        del timeout
        return self.silent or ("" if self._openflow.running else "it does not run")

    def call(self, command: str, *args: str) -> str:
        """The version, or the answer to a command that a test gave one."""
        if command == "version" and command not in self.commands:
            return f"ovs-vswitchd (Open vSwitch) {self.version}"
        if self._faults:
            raise self._faults.pop(0)
        if command not in self.commands:
            problem = f'"{command}" is not a valid command'
            raise BackendError(facts={"backend": "fake tracer", "problem": problem})
        return self.commands[command](*args)

    def journey(self, bridge: str, flow: str) -> Journey:
        """The same as a value."""
        return self._openflow.pipeline().send(bridge, packets.parse(flow))


def write(packet: str, journey: Journey) -> str:
    """A journey in the form of ``ofproto/trace``."""
    lines = [f"Flow: {packet}"]
    for depth, item in journey.log:
        margin = "    " * depth
        if isinstance(item, Entry):
            title = f'bridge("{item.bridge}")'
            lines += ["", margin + title, margin + "-" * len(title)]
        elif isinstance(item, Visit):
            lines += _visit(margin, item)
        else:
            lines.append(f"{margin}    {item}")
    ports = [PORT_NAMES.get(sent.port, str(sent.port)) for sent in journey.sent]
    lines += ["", "Final flow: unchanged", f"Datapath actions: {','.join(ports) or 'drop'}"]
    if journey.failure:
        lines.append(f"Translation failed ({journey.failure}), packet is dropped.")
    return "\n".join(lines) + "\n"


def _visit(margin: str, visit: Visit) -> list[str]:
    if visit.flow is None:
        return [f"{margin}{visit.table:2d}. No match.", f"{margin}    drop"]
    flow = visit.flow
    words = [mt.text(flow.match), f"priority {flow.priority}"]
    words += [f"cookie {flow.cookie:#x}"] if flow.cookie else []
    lines = [f"{margin}{visit.table:2d}. {', '.join(filter(None, words))}"]
    if not flow.actions and flow.goto is None:
        lines.append(f"{margin}    drop")
    return lines
