"""Two hosts and a network of each tunnel type between them, over each version of IP."""

from __future__ import annotations

import pytest

from functional.tunnels.hosts import behind, joined
from functional.tunnels.traffic import broadcast, segment, unicast
from vifd.testing.attachments import attachment
from vifd.testing.guests import assert_reaches

TYPES = ("vxlan", "gre", "geneve")
CASES = [(kind, version) for kind in TYPES for version in (4, 6)]


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
