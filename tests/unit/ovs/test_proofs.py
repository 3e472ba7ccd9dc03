"""Where a traced frame ended, in words."""

from __future__ import annotations

from typing import Any

import pytest

from vifd.errors import BackendUnavailable
from vifd.openflow.trace import Hop, Trace
from vifd.testing.attachments import attachment
from vifd_ovs.bridge import cookies, flows, tables
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.proofs import BLOCKED, End, frames, judge, traces
from vifd_ovs.bridge.wiring import OvsWiring

NAMES = OvsWiring(bridge="br-int", ofport=4711, tag=3, generation=0x1F2A)
PORT = switch_port(attachment(1), NAMES, opened=True)


def ended(table: int, priority: int | None, cookie: int) -> str:
    return judge(Trace((Hop("br-int", table, priority, cookie),), ("drop",)), "br-int", PORT)


@pytest.mark.parametrize(
    ("priority", "end"), [(flows.GUARD, End.CLOSED), (flows.ADMIT, BLOCKED)], ids=["guard", "admit"]
)
def test_a_port_that_the_switch_blocks_is_not_called_closed(priority: int, end: str) -> None:
    """The flow that lets it in was met and not carried out: no flow is at fault."""
    assert ended(tables.CLASSIFY, priority, PORT.cookie) == end


def test_a_bridge_that_fails_open_says_so() -> None:
    assert "fails open" in ended(tables.CLASSIFY, 0xF0F0F0, 0)


def test_the_other_ends() -> None:
    assert ended(tables.SPOOFED, 1, PORT.cookie) == End.REFUSED
    assert ended(tables.DELIVER, 1, cookies.network(PORT.tag)) == End.NETWORK
    assert "no flow took it" in ended(tables.DELIVER, None, 0)
    assert "not ours" in ended(tables.CLASSIFY, 1, 0xBAD)


class Tracer:
    """A switch that is asked twice, because the first connection broke; and one that is gone."""

    def __init__(self, *, there: bool) -> None:
        self.there = there

    def traces(self, bridge, flows, meanwhile):
        if not self.there:
            raise BackendUnavailable(facts={"backend": "switch", "problem": "it is gone"})
        meanwhile()
        meanwhile()
        return [""] * len(flows)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("ports", [[PORT], []])
def test_what_is_done_meanwhile_is_done_once(there: bool, ports: list[SwitchPort]) -> None:
    done: list[int] = []
    asked = [(port, frames(port)) for port in ports]
    tracer: Any = Tracer(there=there)
    found = traces(tracer, "br-int", asked, lambda: done.append(1))
    assert done == [1]
    assert found.keys() == {port.id for port in ports}
