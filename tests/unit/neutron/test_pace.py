"""How many ports are told of at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from unit.neutron.scene import Cloud
from vifd.network.neutron.bus import Handler, Unanswered
from vifd.network.neutron.pace import Pace
from vifd.network.neutron.server import Server
from vifd.testing.wait import until


def test_a_quick_server_is_told_of_as_many_as_may_be():
    pace = Pace(20, 60.0)
    assert pace.size == 20
    pace.answered(20, 4.0)
    assert pace.size == 20


def test_a_slow_server_is_told_of_few_and_never_of_none():
    pace = Pace(20, 60.0)
    pace.answered(20, 100.0)
    assert pace.size == 3
    pace.answered(3, 3000.0)
    assert pace.size == 1


def test_after_each_call_that_is_not_answered_the_next_has_half():
    pace = Pace(20, 60.0)
    sizes = []
    for _ in range(6):
        sizes.append(pace.size)
        pace.unanswered(pace.size)
    assert sizes == [20, 10, 5, 2, 1, 1]


def test_a_server_that_is_quick_again_is_told_of_more():
    pace = Pace(20, 60.0)
    pace.unanswered(20)
    for _ in range(8):
        pace.answered(pace.size, pace.size * 0.1)
    assert pace.size == 20


class LateBus:
    """Answers nothing in time."""

    def call(
        self, topic: str, method: str, version: str, timeout: float, arguments: Mapping[str, Any]
    ) -> Any:
        raise Unanswered(method)

    def listen(self, topics: Sequence[str], handler: Handler) -> None:
        raise AssertionError

    def leave(self, topics: Sequence[str]) -> None:
        raise AssertionError

    def echo(self, topic: str, word: str) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


def test_the_server_is_told_by_this_pace():
    server = Server(LateBus(), "host", "agent", 60.0, 20)
    with pytest.raises(Unanswered):
        server.tell([str(n) for n in range(20)], [])
    assert server.pace.size == 10


def test_a_server_that_is_slower_than_its_time_is_told_of_each_port_once(cloud: Cloud):
    """It sets one status after the other, so that a call with all of them comes too late."""
    cloud.neutron.slow = 0.5
    # every other call is answered in that time on a busy machine as well
    node, network = cloud.node(rpc_timeout=8.0), cloud.vlan()
    read = cloud.neutron.calls.count("get_ports_by_vnic_type_and_host")
    ports = [cloud.neutron.port(network, node.name) for _ in range(24)]
    for port in ports:
        node.plug(port)
    until(lambda: all(p.status == "ACTIVE" for p in ports), "all are active", 120)
    until(lambda: not node.journal.outbox_size(), "nothing is left to tell", 120)
    assert cloud.neutron.calls.count("get_ports_by_vnic_type_and_host") == read
    told = [i for up, _ in cloud.neutron.told for i in up]
    assert sorted(told) == sorted(p.id for p in ports)
