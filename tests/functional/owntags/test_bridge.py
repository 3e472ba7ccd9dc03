"""Tags that guests set themselves on the kernel's bridges, by frames."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functional.linux_scene import LinuxScene
from functional.owntags.documents import S_TAG, equal, hello, on, tagged
from functional.owntags.test_frames import TAGS
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import assert_only, assert_reaches


@pytest.fixture
def host() -> Iterator[LinuxScene]:
    with LinuxScene(serve_local=True) as scene:
        yield scene


@pytest.mark.parametrize("secured", [True, False])
def test_from_guest_to_guest_as_it_was_sent(host: LinuxScene, secured: bool) -> None:
    one, two = host.guests(*(on(n, port_security_enabled=secured) for n in (1, 2)))
    for tag in TAGS:
        for six in (False, True):
            frame = tagged(hello(1, 2, six=six), tag)
            assert_reaches(one, two, frame, expect=equal(frame))
        asked = tagged(f.arp_request(mac(1), ipv4(1), ipv4(2)), tag)
        assert_reaches(one, two, asked, expect=equal(asked))
    assert not host.findings()


def test_beneath_a_tag_a_guest_is_held_to_its_addresses(host: LinuxScene) -> None:
    """And beneath two nothing can be seen."""
    one, two = host.guests(on(1), on(2))
    lies = [
        f.udp(mac(9), mac(2), ipv4(1), ipv4(2)), f.udp(mac(1), mac(2), ipv4(9), ipv4(2)),
        f.udp(mac(1), mac(2), ipv6(9), ipv6(2)), f.arp_request(mac(1), ipv4(9), ipv4(2)),
    ]  # fmt: skip
    lies = [*(tagged(lie, tag) for lie in lies for tag in TAGS), tagged(hello(1, 2), 5, 6)]
    lies += [tagged(hello(1, 2), 5, 6, kind=S_TAG)]
    good = tagged(hello(1, 2), 5)
    assert_only(two, forbidden=[(one, lie) for lie in lies], allowed=(one, good),
                expect=equal(good))  # fmt: skip


def test_a_network_becomes_transparent_and_ceases_to_be(host: LinuxScene) -> None:
    one, two = host.guests(attachment(1), on(2))
    good = tagged(hello(1, 2), 5)
    assert_only(two, forbidden=[(one, good)], allowed=(one, hello(1, 2)),
                expect=equal(hello(1, 2)))  # fmt: skip
    host.plug(on(1))
    assert_reaches(one, two, good, expect=equal(good))
    host.plug(attachment(1))
    assert_only(two, forbidden=[(one, good)], allowed=(one, hello(1, 2)),
                expect=equal(hello(1, 2)))  # fmt: skip
    assert not host.findings()
