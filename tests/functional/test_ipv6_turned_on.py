"""IPv6 that another program turns on for all devices is off again on taps, and until then the host
is no double of the guest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functional.drift_scene import Host
from unit.docs import document
from vifd.testing import frames as f
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter

SWITCH = Path("/proc/sys/net/ipv6/conf")


@pytest.fixture(params=["ovs", "linuxbridge"])
def host(request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    quiet_netfilter()
    documents = [document(n) for n in (1, 2)]
    host = Host(tmp_path / "v", ovs, documents, plugin=request.param)
    if request.param == "linuxbridge":
        host.vifd.configure({"linuxbridge": {"serve_local": "true"}})
    with host.running():
        yield host


@pytest.fixture
def switch() -> Iterator[Path]:
    """The setting for all devices, put back at the end."""
    path = SWITCH / "all" / "disable_ipv6"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_it_is_off_again_without_a_carrier(
    host: Host, switch: Path, record_property: Callable[[str, object], None]
) -> None:
    """A device that nobody has open makes no announcement of it. On a host whose setting for all
    devices was 0 all along, that does not change either: it is written all the same."""
    taps = [SWITCH / device / "disable_ipv6" for device in host.devices]
    for round_ in (1, 2, 3):
        until(host.quiet, "the ports are proven")
        host.mark()
        began = time.monotonic()
        switch.write_text("0")
        until(lambda: all(tap.read_text().strip() == "1" for tap in taps), "IPv6 is off again")
        seconds = round(time.monotonic() - began, 2)
        record_property(f"seconds, round {round_}", seconds)
        print(f"IPv6 was off again after {seconds} s")


def test_it_is_off_again_and_no_frame_has_the_address_of_the_guest(
    host: Host, switch: Path
) -> None:
    own = host.documents[0]["port"]["mac_address"]
    tap = SWITCH / host.devices[0] / "disable_ipv6"
    with TapGuest(host.devices[0]) as guest:
        until(host.quiet, "the ports are proven with a guest")
        host.mark()
        switch.write_text("0")
        host.healed("device.ipv6")
        until(lambda: tap.read_text().strip() == "1", "IPv6 is off on the tap")
        heard = guest.drain()
    said_by = {f.mac_text(frame[6:12]) for frame in heard}
    assert own not in said_by, "the host spoke with the guest's own address"
