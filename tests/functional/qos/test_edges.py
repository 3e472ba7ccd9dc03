"""Rates at the edges of what can be asked for, as a real switch and a real kernel take them."""

from __future__ import annotations

import pytest

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from unit.test_qos_edges import EDGES, bandwidth, mark, packets
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import assert_reaches


@pytest.fixture(params=["ovs", "linuxbridge"])
def scene(request, leaks):
    made = LinuxScene() if request.param == "linuxbridge" else Scene(request.getfixturevalue("ovs"))
    with made as scene:
        yield scene


def test_whatever_rate_is_taken_is_held_and_read_back(scene):
    for rule in EDGES:
        both = [{**rule, "direction": direction} for direction in ("egress", "ingress")]
        scene.plug(attachment(1, qos_policy={"rules": both}))
        assert not scene.findings(), rule


def test_the_least_that_can_be_asked_for_passes_a_frame_with_its_mark(scene):
    """ECN stays, IPv6 as well as IPv4."""
    rules = [mark(dscp_mark=46)]
    for direction in ("egress", "ingress"):
        rules += [bandwidth(max_kbps=1, max_burst_kbps=1, direction=direction),
                  packets(max_kpps=1, max_burst_kpps=1, direction=direction)]  # fmt: skip
    one, two = scene.guests(attachment(1, qos_policy={"rules": rules}), attachment(2))
    four = bytearray(f.udp(mac(1), mac(2), ipv4(1), ipv4(2)))
    four[15] |= 1
    four[24:26] = bytes(2)
    four[24:26] = f.checksum(bytes(four[14:34])).to_bytes(2, "big")
    assert_reaches(one, two, bytes(four), expect=lambda x: x[:6] == four[:6] and x[15] == 0xB9)
    six = bytearray(f.udp(mac(1), mac(2), ipv6(1), ipv6(2)))
    six[15] |= 0x20
    seen = 0x6BA0.to_bytes(2, "big")
    assert_reaches(one, two, bytes(six), expect=lambda x: x[12:16] == b"\x86\xdd" + seen)
