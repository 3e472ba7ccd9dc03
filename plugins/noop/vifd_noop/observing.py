"""Reading back what another party plugged."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from vifd.drivers import Link
from vifd.model import Attachment, Evidence
from vifd_noop.naming import Names


def evidence(attachment: Attachment, names: Names, link: Link | None) -> Iterator[Evidence]:
    """The facts about one port, in the order of the path a frame takes."""
    if names.device:
        yield from _device(attachment, link)
    if names.socket:
        there = is_socket(names.socket)
        yield Evidence("socket.exists", there, wanted=True, ok=there, source="file system")
    if names == Names():
        yield Evidence("observable", "nothing: the binding profile names no device or socket")


def _device(attachment: Attachment, link: Link | None) -> Iterator[Evidence]:
    there = link is not None
    yield Evidence("device.exists", there, wanted=True, ok=there, source="netlink")
    if link is None:
        return
    yield Evidence("device.ifindex", link.ifindex, source="netlink")
    yield Evidence("device.up", link.up, wanted=True, ok=link.up, source="netlink")
    wanted = attachment.mac if link.kind == "tun" else None
    fits = wanted is None or _same_mac(link.mac, wanted)
    yield Evidence("device.mac", link.mac, wanted=wanted, ok=fits, source="netlink")
    yield Evidence("device.mtu", link.mtu, source="netlink")


def _same_mac(have: str, wanted: str) -> bool:
    """A tap has its guest's address; libvirt gives those it makes ``fe`` for the first octet."""
    return have == wanted or have == f"fe{wanted[2:]}"


def is_socket(path: str) -> bool:
    """Whether a unix socket lies at a path."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
