"""Every anti-spoofing rule, with real frames through a real switch."""

from __future__ import annotations

import pytest

from functional.scene import Scene
from functional.spoofing.frames import (
    ALLOWED,
    ME,
    REFUSED,
    SENTINEL,
    TAGGED,
    THIRD,
    THIRD4,
    VRRP,
    YOU,
    YOUR4,
    assert_every_address_but_no_server,
    assert_pairs,
    without_tag,
)
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.guests import assert_only, assert_reaches
from vifd.testing.wait import until


@pytest.fixture
def scene(ovs):
    with Scene(ovs) as scene:
        yield scene


def test_what_is_allowed_arrives(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    for name, frame in ALLOWED.items():
        assert assert_reaches(me, you, frame), name
    assert scene.counted(attachment(1).id) == 0


def test_what_is_refused_does_not_and_is_counted(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    every = [*REFUSED.values()]
    sent = assert_only(you, forbidden=[(me, frame) for frame in every], allowed=(me, SENTINEL))
    assert sent == 2 * len(every)
    until(lambda: scene.counted(attachment(1).id) == sent, "every refused frame is counted")


def test_tagged_frames_are_dropped(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    assert_only(
        you,
        forbidden=[(me, frame) for frame in TAGGED.values()],
        allowed=(me, SENTINEL),
        leaked=without_tag,
    )


def test_without_port_security_all_but_tagged_frames_arrive(scene):
    me, you = scene.guests(attachment(1, port_security_enabled=False), attachment(2))
    for name, frame in (ALLOWED | REFUSED).items():
        assert assert_reaches(me, you, frame), name
    assert_only(
        you,
        forbidden=[(me, frame) for frame in TAGGED.values()],
        allowed=(me, SENTINEL),
        leaked=without_tag,
    )


def test_address_pairs(scene):
    assert_pairs(scene)


def test_a_shared_address_reaches_all_its_holders(scene):
    pairs = [{"ip_address": "10.8.0.1", "mac_address": VRRP}]
    one, two, client = scene.guests(
        attachment(1, allowed_address_pairs=pairs),
        attachment(2, allowed_address_pairs=pairs),
        attachment(3),
    )
    to_vrrp = f.udp(THIRD, VRRP, THIRD4, "10.8.0.1")
    assert_reaches(client, one, to_vrrp)
    assert_reaches(client, two, to_vrrp)


def test_every_address_but_no_dhcp_server(scene):
    assert_every_address_but_no_server(scene)


def test_a_change_in_place_takes_hold(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    extra = f.udp(ME, YOU, "10.9.0.1", YOUR4)
    assert_only(you, forbidden=[(me, extra)], allowed=(me, SENTINEL))
    scene.plug(attachment(1, allowed_address_pairs=[{"ip_address": "10.9.0.1"}]))
    scene.settle()
    assert_reaches(me, you, extra)
    scene.plug(attachment(1))
    scene.settle()
    assert_only(you, forbidden=[(me, extra)], allowed=(me, SENTINEL))
    scene.plug(attachment(1, port_security_enabled=False))
    scene.settle()
    assert_reaches(me, you, extra)
