"""What is counted of a sub-port's frames, each by what became of it, apart from its parent's."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from functional.scene import Scene
from functional.trunks.documents import parent, sub_port
from functional.trunks.test_frames import hello
from vifd.engine.sums import Sums
from vifd.model.counted import Count, Reason
from vifd.testing.attachments import attachment, port_id
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: Packets that passed, were refused as spoofed, were for nobody, came while closed; and were given.
Counts = tuple[int, int, int, int, int]


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[Scene]:
    with Scene(ovs) as scene:
        yield scene


def counts(host: Scene, sums: Sums, number: int) -> Counts:
    """Summed up as the daemon does: what a flow counted goes with it."""
    record = host.ledger.records[port_id(number)]
    for port, counted in host.ledger.plugin.counters([record.item()]).items():
        sums.add("ovs", port, counted, time.time())
    found = sums.of(port_id(number), "ovs")
    assert found is not None
    refused = {reason: count.packets for reason, count in found.sent.refused.items()}
    passed, given = found.sent.passed or Count(), found.received.passed or Count()
    return (
        passed.packets, refused[Reason.SPOOFED], refused[Reason.NO_WAY], refused[Reason.CLOSED],
        given.packets,
    )  # fmt: skip


def test_each_frame_is_counted_by_what_became_of_it(host: Scene) -> None:
    host.plug(parent(1, (2, 101)), sub_port(2, 7), attachment(5, network=7))
    sums = Sums()
    trunk, peer = host.guest(port_id(1)), host.guest(port_id(5))
    for number in range(3):
        trunk.send(hello(2, 5, 101))
        peer.recv(predicate=lambda x: x == hello(2, 5))
        if number < 2:
            peer.send(hello(5, 2))
            trunk.recv()
    for _ in range(4):
        trunk.send(hello(9, 5, 101))  # another's address
    trunk.send(hello(2, 77, 101))  # nobody has that one
    until(lambda: counts(host, sums, 2) == (3, 4, 1, 0, 2), "each is counted once",
          told=lambda: counts(host, sums, 2))  # fmt: skip
    # its parent's are frames without a tag and with one that nobody has
    trunk.send(hello(1, 9, 2000))
    assert not host.ledger.deactivate(port_id(2))
    for _ in range(5):
        trunk.send(hello(2, 5, 101))
    until(lambda: counts(host, sums, 2) == (3, 4, 1, 5, 2), "what came while it was closed is told",
          told=lambda: counts(host, sums, 2))  # fmt: skip
