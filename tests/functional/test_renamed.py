"""A tap that another program gave another name gets its own again: the guest holds the device, and
one made anew by that name would be nobody's. On a switch and on a bridge of the kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from functional.drift_scene import Host
from unit.docs import document
from vifd.testing import frames
from vifd.testing.census import Census
from vifd.testing.guests import TapGuest, equal_to
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import Expired, until
from vifd_linuxbridge.testing import quiet_netfilter


def _ip(*words: str) -> None:
    subprocess.run(["ip", "link", "set", *words], check=True, timeout=60)


def _renamed(name: str, new: str) -> None:
    """Old kernels rename devices alone that are down."""
    _ip(name, "down")
    _ip(name, "name", new)
    _ip(new, "up")


def _index(name: str) -> int:
    try:
        return int(Path(f"/sys/class/net/{name}/ifindex").read_text())
    except OSError:
        return 0


def _arrives(sender: TapGuest, receiver: TapGuest, frame: bytes) -> bool:
    sender.send(frame)
    try:
        receiver.recv(0.2, equal_to(frame))
    except (Expired, OSError):
        return False
    return True


@pytest.mark.parametrize("plugin", ["ovs", "linuxbridge"])
def test_a_tap_that_was_renamed(
    plugin: str, ovs: PrivateOvs, leaks: Census, tmp_path: Path
) -> None:
    quiet_netfilter()
    options = {"linuxbridge": {"serve_local": "true"}}
    host = Host(tmp_path / "v", ovs, [document(1), document(2)], plugin=plugin, **options)
    first, second = host.devices
    to_all = frames.gratuitous_arp("fa:16:3e:00:00:02", "10.0.0.2")
    back = frames.gratuitous_arp("fa:16:3e:00:00:01", "10.0.0.1")
    with host.running(), TapGuest(first) as one, TapGuest(second) as two:
        until(lambda: _arrives(two, one, to_all), "the guests hear each other")
        index = _index(first)
        host.mark()
        _renamed(first, "another")
        until(lambda: _index(first) == index, "the very device has its name again",
              told=lambda: host.news[-3000:])  # fmt: skip
        until(host.quiet, "its port is well", told=lambda: host.news[-3000:])
        assert not _index("another")
        until(lambda: _arrives(two, one, to_all), "the guest hears", told=lambda: host.news[-3000:])
        until(lambda: _arrives(one, two, back), "the guest is heard")
        # and whoever is unplugged under another name leaves nothing
        host.vifd.stop()
        _renamed(first, "another")
        host.vifd.start()
        host.vifd.ready()
        until(lambda: host.vifd.unplug(host.ids[0])[0] in (204, 404), "the port is gone")
        assert (_index(first), _index("another")) == (0, 0)
