"""What passes the bridge of a physical network is remembered; what does not is asked for again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vifd.drivers import PortRow, idle
from vifd.errors import BackendError
from vifd.testing.attachments import attachment, vlan
from vifd.testing.machines import FakeMachine
from vifd.testing.wait import PATIENCE
from vifd_ovs.bridge.beyond import Way
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.passages import AGE, Passages
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.wiring import OvsWiring

NAMES = OvsWiring(
    bridge="br-int", ofport=5001, tag=3, generation=9, patch="int-br-ex", network_type="vlan",
    physical_network="physnet1", segmentation_id=12,
)  # fmt: skip
WAY = Way(
    switch_port(attachment(1, segment=vlan(12)), NAMES, opened=True), "tap1", "br-int", "br-ex",
    [PortRow("nic0", "br-ex", 1, interfaces=("nic0",))],
)  # fmt: skip
#: As ``dpif/show`` and ``ofproto/trace`` of Open vSwitch 3.1 print it.
SHOWN = """netdev@ovs-netdev: hit:1 missed:2
  br-int:
    tap1 5001/7: (tap)
  br-ex:
    nic0 1/4: (system)
"""
TRACE = """Flow: arp,in_port=1

bridge("{bridge}")
------
 0. priority 0
    NORMAL

Final flow: unchanged
Megaflow: recirc_id=0
Datapath actions: {actions}
"""


class Switch:
    """Traces, of a card that gives what it gets to the port, or to nobody."""

    def __init__(self) -> None:
        self.given, self.asked = True, 0

    def call(self, command: str, *arguments: str) -> str:
        assert command == "dpif/show"
        self.asked += 1
        return SHOWN

    def trace(self, bridge: str, flow: str) -> str:
        leaving = "push_vlan(vid=12,pcp=0),4"
        actions = leaving if bridge == "br-int" else "pop_vlan,7" if self.given else "drop"
        return TRACE.format(bridge=bridge, actions=actions)

    def traces(
        self, bridge: str, flows: Sequence[str], meanwhile: Callable[[], None] = idle
    ) -> list[str | BackendError]:
        meanwhile()
        return [self.trace(bridge, flow) for flow in flows]


def test_what_is_lost_is_asked_for_until_it_is_not() -> None:
    now = 0.0
    switch: Any = Switch()
    bridges = Bridges(
        FakeMachine().drivers.ovsdb, "br-int", create=True, datapath_type="netdev", mappings={},
        timeout=PATIENCE,
    )  # fmt: skip
    passages = Passages(lambda _bridge: "as it was", lambda: now)

    def passes() -> bool:
        found = passages.evidence(switch, bridges, WAY)
        assert [f.fact for f in found] == ["uplink.leaving", "uplink.arriving"]
        return all(f.ok for f in found)

    switch.given = False
    assert not passes()
    switch.given = True
    assert passes(), "no flow of that bridge changed"
    asked = switch.asked
    assert passes()
    assert switch.asked == asked, "what passes is remembered"
    now = AGE + 1
    assert passes()
    assert switch.asked == asked + 1, "a switch need not tell"
