"""Two hosts and a network of each tunnel type between them, over each version of IP."""

from __future__ import annotations

import pytest

from functional.tunnels.hosts import behind, joined
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.guests import assert_reaches

TYPES = ("vxlan", "gre", "geneve")
CASES = [(kind, version) for kind in TYPES for version in (4, 6)]


def segment(kind: str = "vxlan", number: int = 101) -> dict[str, object]:
    return {"network_type": kind, "segmentation_id": number}


def unicast(source: int, target: int, payload: bytes = b"vifd") -> bytes:
    return f.udp(mac(source), mac(target), ipv4(source), ipv4(target), payload)


def broadcast(source: int, payload: bytes = b"all") -> bytes:
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", payload)


@pytest.mark.parametrize(("kind", "version"), CASES, ids=[f"{k}-ipv{v}" for k, v in CASES])
def test_frames_of_two_hosts(leaks, kind, version):
    with joined(1, 2, version=version) as (here, there):
        here.know(behind(2, 2, version=version))
        there.know(behind(1, 1, version=version))
        (one,) = here.guests(attachment(1, segment=segment(kind), mtu=1400))
        (two,) = there.guests(attachment(2, segment=segment(kind), mtu=1400))
        assert_reaches(one, two, unicast(1, 2))
        assert_reaches(two, one, unicast(2, 1))
        assert_reaches(one, two, broadcast(1))
        assert_reaches(two, one, broadcast(2))
        assert not here.findings()
        assert not there.findings()
