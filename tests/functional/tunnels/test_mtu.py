"""What fits a tunnel, by frames: the largest packet of the largest network that is admitted passes
in one piece, and is on the wire just what the underlay carries; options of the outer header."""

from __future__ import annotations

import pytest

from functional.tunnels.hosts import behind, joined
from functional.tunnels.test_refusals import told, unmet
from functional.tunnels.test_two_hosts import CASES
from functional.tunnels.traffic import segment
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import Predicate, assert_reaches
from vifd.testing.wait import until

UNDERLAY = 1500
#: What the outer IP header is followed by.
_UDP, _GRE = 17, 47
#: Each type over each version of IP, and the checksums of each.
TUNNELS = [*((kind, version, False) for kind, version in CASES),
           ("vxlan", 4, True), ("gre", 4, True), ("gre", 6, True), ("geneve", 6, True)]  # fmt: skip


def packet(size: int, version: int, source: int = 1, target: int = 2) -> bytes:
    """An IP packet of so many bytes, in a frame."""
    ip, head = (ipv4, 28) if version == 4 else (ipv6, 48)
    payload = bytes(n & 255 for n in range(size - head))
    found = f.udp(mac(source), mac(target), ip(source), ip(target), payload)
    assert len(found) == 14 + size
    return found


class Outer:
    """A packet of the underlay.

    :ivar rest: from the UDP or GRE header on
    """

    def __init__(self, frame: bytes) -> None:
        self.size = len(frame) - 14
        self.version = frame[14] >> 4
        if self.version == 4:
            self.dont_fragment = bool(frame[20] & 0x40)
            self.protocol, self.rest = frame[23], frame[34:]
        else:
            self.dont_fragment = True
            self.protocol, self.rest = frame[20], frame[54:]

    @property
    def checked(self) -> bool:
        """Whether the tunnel's header has a checksum."""
        if self.protocol == _GRE:
            return bool(self.rest[0] & 0x80)
        return self.rest[6:8] != b"\0\0"


def holding(inner: bytes) -> Predicate:
    return lambda frame: inner in frame


@pytest.mark.parametrize(
    ("kind", "version", "checked"), TUNNELS,
    ids=[f"{k}-ipv{v}{'-checked' * c}" for k, v, c in TUNNELS],
)  # fmt: skip
def test_the_largest_packet_passes_in_one_piece(leaks, kind, version, checked):
    options = {"tunnel_csum": checked, "dont_fragment": not checked}
    with joined(1, 2, version=version, **options) as (here, there):
        here.know(behind(2, 2, version=version))
        there.know(behind(1, 1, version=version))
        for host in (here, there):
            host.ip("link", "set", "br-und", "mtu", str(UNDERLAY))
            host.ledger.plugin.probe()
        limit = here.ledger.plugin.probe().tunnels[kind].mtu or 0
        (one,) = here.guests(attachment(1, segment=segment(kind), mtu=limit))
        (two,) = there.guests(attachment(2, segment=segment(kind), mtu=limit))
        for inner in (4, 6):
            largest = packet(limit, inner)
            here.wire.drain()
            assert_reaches(one, two, largest)
            outer = Outer(here.wire.recv(predicate=holding(largest)))
            assert (outer.version, outer.size) == (version, UNDERLAY)
            # a UDP checksum may be left out over IPv4 alone (RFC 8200, 8.1)
            assert outer.checked is (checked or (version == 6 and outer.protocol == _UDP))
            if version == 4:
                assert outer.dont_fragment is not checked
            assert_reaches(two, one, packet(limit, inner, 2, 1))
        more = attachment(3, segment=segment(kind), mtu=limit + 1)
        text = unmet(here, more)["E_PLUG_MTU"]
        assert str(limit) in text
        assert str(limit + 1) in text
        assert not here.findings()


def test_an_underlay_that_shrinks_is_told_and_what_fits_passes(leaks):
    """The interface with ``local_ip`` follows the cable's MTU: what does not fit any more is lost,
    and every port that has such a network says so."""
    with joined(1, 2) as (here, there):
        here.know(behind(2, 2))
        there.know(behind(1, 1))
        (one,) = here.guests(attachment(1, segment=segment(), mtu=1400))
        (two,) = there.guests(attachment(2, segment=segment(), mtu=1400))
        assert_reaches(one, two, packet(1400, 4))
        assert not told(here, attachment(1).id)
        here.ip("link", "set", "dev", "up", "mtu", "1300")
        until(lambda: told(here, attachment(1).id) == {"tunnel.mtu": 1250}, "it is told")
        here.meet([there])
        lost, fits, came = packet(1400, 4), packet(1250, 4), list[bytes]()
        one.send(lost)

        def arrived() -> bool:
            one.send(fits)  # the switch loses with one what it sends in one go with it
            came.extend(two.drain())
            return fits in came

        until(arrived, "what fits passes")
        assert lost not in came
        here.ip("link", "set", "dev", "up", "mtu", "1500")
        until(lambda: not told(here, attachment(1).id), "it is mended")
        here.meet([there])
        assert_reaches(one, two, lost)
