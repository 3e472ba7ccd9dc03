"""Every anti-spoofing rule, with real frames through a real bridge."""

from __future__ import annotations

import subprocess

import pytest

from functional.linux_scene import LinuxScene
from functional.spoofing.frames import (
    ALLOWED,
    ME,
    MY4,
    MY6,
    REFUSED,
    SENTINEL,
    TAGGED,
    THIRD,
    THIRD4,
    VRRP,
    YOU,
    YOUR4,
    YOUR6,
    assert_every_address_but_no_server,
    assert_pairs,
    without_tag,
)
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.guests import assert_only, assert_reaches

#: Frames that no bridge forwards, whoever sends them.
KEPT = {"LLDP"}


@pytest.fixture
def scene(leaks):
    with LinuxScene() as scene:
        yield scene


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_arrives(scene, name):
    me, you = scene.guests(attachment(1), attachment(2))
    assert assert_reaches(me, you, ALLOWED[name])


def test_what_is_refused_does_not(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    every = [(me, frame) for frame in REFUSED.values()]
    assert assert_only(you, forbidden=every, allowed=(me, SENTINEL)) == 2 * len(every)


@pytest.mark.parametrize("name", REFUSED)
def test_each_refused_frame_passes_once_the_port_is_not_secured(scene, name):
    """So it is the rule that stops it, and nothing else."""
    if name in KEPT:
        pytest.skip("a bridge keeps it to itself")
    me, you = scene.guests(attachment(1, port_security_enabled=False), attachment(2))
    assert assert_reaches(me, you, REFUSED[name])


@pytest.mark.parametrize("secured", [True, False])
def test_tagged_frames_are_dropped(scene, secured):
    me, you = scene.guests(attachment(1, port_security_enabled=secured), attachment(2))
    every = [(me, frame) for frame in TAGGED.values()]
    double = f.udp(ME, YOU, MY4, YOUR4, vlan=7).replace(b"\x81\x00", b"\x88\xa8", 1)
    assert_only(you, forbidden=[*every, (me, double)], allowed=(me, SENTINEL), leaked=without_tag)


def test_address_pairs(scene):
    assert_pairs(scene)


def test_a_shared_address_moves_from_holder_to_holder(scene):
    """As with VRRP: who announces it gets it."""
    pairs = [{"ip_address": "10.8.0.1", "mac_address": VRRP}]
    one, two, client = scene.guests(
        attachment(1, allowed_address_pairs=pairs),
        attachment(2, allowed_address_pairs=pairs),
        attachment(3),
    )
    to_vrrp = f.udp(THIRD, VRRP, THIRD4, "10.8.0.1")
    assert_reaches(client, one, to_vrrp)
    for holder, other in ((one, two), (two, one)):
        assert_reaches(holder, client, f.gratuitous_arp(VRRP, "10.8.0.1"))
        assert_reaches(client, holder, to_vrrp)
        other.drain()
        sentinel = (client, f.udp(THIRD, f.BROADCAST, THIRD4, "255.255.255.255"))
        assert_only(other, forbidden=[(client, to_vrrp)], allowed=sentinel)


def test_every_address_but_no_dhcp_server(scene):
    assert_every_address_but_no_server(scene)


def test_more_prefixes_than_fit_into_one_rule(scene):
    pairs = [{"ip_address": f"fd{n:02x}::/64"} for n in range(40, 90)]
    pairs += [{"ip_address": f"10.{n}.0.0/24"} for n in range(40, 90)]
    me, you = scene.guests(attachment(1, allowed_address_pairs=pairs), attachment(2))
    for n in (40, 89):
        assert_reaches(me, you, f.udp(ME, YOU, f"fd{n:02x}::9", YOUR6))
        assert_reaches(me, you, f.udp(ME, YOU, f"10.{n}.0.9", YOUR4))
        assert_reaches(me, you, f.neighbour_advertisement(ME, MY6, f"fd{n:02x}::9"))
    refused = [
        f.neighbour_advertisement(ME, MY6, "fd90::9"),
        f.neighbour_advertisement(ME, "fd90::9", MY6),
        f.udp(ME, YOU, "10.90.0.9", YOUR4),
    ]
    assert_only(you, forbidden=[(me, frame) for frame in refused], allowed=(me, SENTINEL))
    scene.plug(attachment(1))
    assert not scene.findings()
    assert_only(you, forbidden=[(me, f.udp(ME, YOU, "10.40.0.9", YOUR4))], allowed=(me, SENTINEL))


def test_a_change_in_place_takes_hold_at_once(scene):
    me, you = scene.guests(attachment(1), attachment(2))
    extra = f.udp(ME, YOU, "10.9.0.1", YOUR4)
    assert_only(you, forbidden=[(me, extra)], allowed=(me, SENTINEL))
    scene.plug(attachment(1, allowed_address_pairs=[{"ip_address": "10.9.0.1"}]))
    assert_reaches(me, you, extra)
    scene.plug(attachment(1))
    assert_only(you, forbidden=[(me, extra)], allowed=(me, SENTINEL))
    scene.plug(attachment(1, port_security_enabled=False))
    assert_reaches(me, you, extra)
    scene.plug(attachment(1))
    assert_only(you, forbidden=[(me, extra)], allowed=(me, SENTINEL))


@pytest.mark.needs("program:nft")
def test_the_tool_can_read_what_we_wrote_and_write_it_again(scene):
    pairs = [{"ip_address": "10.8.0.1", "mac_address": "00:00:5e:00:01:01"}]
    scene.plug(attachment(1), attachment(2, port_security_enabled=False))
    scene.plug(attachment(3, allowed_address_pairs=pairs))
    listed = subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert f'comment "vifd:{attachment(1).id}"' in listed
    assert "ip saddr 10.0.0.1 accept" in listed
    check = subprocess.run(
        ["nft", "--check", "--file", "-"], input=f"flush ruleset\n{listed}",
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert check.returncode == 0, check.stderr
