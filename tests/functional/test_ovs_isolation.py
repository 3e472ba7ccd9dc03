"""Who receives what: within a network everybody, across networks nobody, also while plugging."""

from __future__ import annotations

import abc
import contextlib
import threading
from typing import Any, Self

import pytest

from functional.scene import Scene
from support.stream import Stream
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.guests import TapGuest, assert_only, assert_reaches
from vifd.testing.wait import until


@pytest.fixture
def scene(ovs):
    with Scene(ovs) as scene:
        yield scene


def unicast(source: int, target: int, payload: bytes = b"vifd") -> bytes:
    return f.udp(mac(source), mac(target), ipv4(source), ipv4(target), payload)


def broadcast(source: int, payload: bytes = b"vifd") -> bytes:
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", payload)


def test_unicast_reaches_its_port_alone(scene):
    one, two, three = scene.guests(*(attachment(n) for n in (1, 2, 3)))
    for _ in range(3):
        assert_reaches(one, two, unicast(1, 2))
    assert_only(three, forbidden=[(one, unicast(1, 2))], allowed=(one, unicast(1, 3)))


def test_broadcast_reaches_the_network_and_no_other(scene):
    mates = scene.guests(*(attachment(n) for n in (1, 2, 3)))
    others = scene.guests(*(attachment(n, network=2) for n in (4, 5)))
    assert_reaches(mates[0], mates[1], broadcast(1))
    mates[0].send(broadcast(1, b"again"))
    until(lambda: any(b"again" in x for x in mates[2].drain()), "the third hears it")
    forbidden = [(mates[0], broadcast(1)), (mates[0], unicast(1, 5)), (mates[1], broadcast(2))]
    assert_only(others[1], forbidden=forbidden, allowed=(others[0], unicast(4, 5)))


def test_equal_addresses_on_two_networks(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    three, four = scene.guests(
        attachment(3, network=2), attachment(4, network=2, ips=[ipv4(2)], mac_address=mac(2))
    )
    assert_only(four, forbidden=[(one, unicast(1, 2))], allowed=(three, unicast(3, 2)))
    assert_only(two, forbidden=[(three, unicast(3, 2))], allowed=(one, unicast(1, 2)))


def test_unknown_unicast_is_not_flooded(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    assert_only(two, forbidden=[(one, unicast(1, 77))], allowed=(one, unicast(1, 2)))


def test_a_closed_port_neither_sends_nor_receives(scene):
    one, two = scene.guests(attachment(1), attachment(2))
    (closed_id,) = scene.plug(attachment(3), opened=False)
    closed = scene.guest(closed_id)
    assert_only(
        two, forbidden=[(closed, broadcast(3)), (closed, unicast(3, 2))],
        allowed=(one, unicast(1, 2)),
    )  # fmt: skip
    for frame in (broadcast(1), unicast(1, 3)):
        one.send(frame)
    for _ in range(2):  # the second is a later turn of the switch
        assert_reaches(one, two, unicast(1, 2, b"sentinel"))
    assert closed.drain() == []
    assert not scene.ledger.activate(closed_id)
    scene.settle()
    assert_reaches(one, closed, unicast(1, 3))
    assert_reaches(closed, one, unicast(3, 1))
    assert not scene.ledger.deactivate(closed_id)
    scene.settle()
    assert_only(two, forbidden=[(closed, broadcast(3))], allowed=(one, unicast(1, 2)))


class Background(abc.ABC):
    """What goes on until the block ends."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abc.abstractmethod
    def _run(self) -> None: ...


class Chatter(Background):
    """Frames sent from a tap as soon as it exists, and everything it receives.

    With pauses: what a tap holds for a guest that does not read is limited, and a leak behind a
    thousand frames that may pass would not be seen.
    """

    def __init__(self, device: str, frame: bytes) -> None:
        super().__init__()
        self.device, self.frame = device, frame
        self.sent = 0
        self.received: list[bytes] = []

    def _run(self) -> None:
        guest = None
        while guest is None and not self._stop.wait(0.0005):
            with contextlib.suppress(OSError):
                guest = TapGuest(self.device)
        while guest is not None and not self._stop.wait(0.001):
            with contextlib.suppress(OSError):
                guest.send(self.frame)
                self.sent += 1
            self.received += guest.drain()
        if guest is not None:
            guest.close()


class Listener(Background):
    """Everything that a guest receives, taken from it as it comes."""

    def __init__(self, guest: TapGuest) -> None:
        super().__init__()
        self.guest = guest
        self.received: list[bytes] = []

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self.received += self.guest.drain()
        self.received += self.guest.drain()


def test_nothing_leaks_while_ports_are_plugged(scene):
    """A plugged guest and the taps being plugged send all the time: none of it crosses."""
    one, two = scene.guests(attachment(1), attachment(2))
    (speaker_id,) = scene.plug(attachment(3))
    new = [attachment(n, network=2) for n in range(10, 16)]
    mate = attachment(4)
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(Listener(guest)) for guest in (one, two)]
        speaker = stack.enter_context(Chatter(scene.device(speaker_id), broadcast(3, b"old")))
        fresh = [
            stack.enter_context(Chatter(f"tap{a.id[:11]}", broadcast(n, b"new")))
            for n, a in enumerate(new, 10)
        ]
        closed = stack.enter_context(Chatter(f"tap{mate.id[:11]}", broadcast(4, b"mate")))
        until(lambda: speaker.sent > 100, "the plugged guest sends")
        for wanted in new:
            scene.plug(wanted)
        scene.plug(mate, opened=False)
        sent = [c.sent for c in (*fresh, closed)]
        until(
            lambda: all(c.sent > n + 50 for c, n in zip((*fresh, closed), sent, strict=True)),
            "all new taps have sent before and after they were plugged",
        )
    leaked = [x for c in (*fresh, closed) for x in c.received if b"old" in x]
    heard = [x for ear in ears for x in ear.received]
    leaked += [x for x in heard if b"new" in x or b"mate" in x]
    assert len(leaked) == 0
    assert any(b"old" in x for x in heard), "the plugged guest was heard where it may be"


def test_a_change_in_place_loses_no_frame(scene):
    """Numbered frames from one guest to another, while both ports are changed again and again."""
    one, two = scene.guests(attachment(1), attachment(2))
    assert_reaches(one, two, unicast(1, 2))
    changes: list[dict[str, Any]] = [
        {"allowed_address_pairs": [{"ip_address": "10.9.0.1"}]},
        {"name": "renamed"},
        {"port_security_enabled": False},
        {},
    ]
    with Stream(one, two, lambda payload: unicast(1, 2, payload), pace=0.003) as stream:
        until(lambda: stream.arrived, "frames pass")
        for mtu, change in enumerate(changes * 3, 1400):
            scene.plug(attachment(1, mtu=mtu, **change), attachment(2, mtu=mtu, **change))
            scene.plug(attachment(20 + mtu))  # a neighbour changes the network's flows
        until(lambda: len(stream.sent) > 100, "enough was sent")
    assert stream.lost == []


def test_multi_queue_guests(scene):
    queues = {
        "vcpus": 4,
        "image_properties": {"hw_vif_multiqueue_enabled": "true"},
    }
    first, second = scene.plug(attachment(1, instance=queues), attachment(2, instance=queues))
    one = scene.guest(first, multi_queue=True)
    two = scene.guest(second, multi_queue=True)
    assert_reaches(one, two, unicast(1, 2))
    record = scene.ledger.records[first]
    assert scene.ledger.plugin.vif(record.attachment, record.wiring).queues == 4
