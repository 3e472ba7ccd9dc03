"""A cable between a host of a test and another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pyroute2 import IPRoute

from vifd.testing.guests import PacketGuest
from vifd.testing.netns import Namespace


@contextlib.contextmanager
def cable(far: Namespace, near: str = "eth-phys", end: str = "wire") -> Iterator[PacketGuest]:
    """What hangs on the far end; with the near end the whole cable goes.

    :param near: the device here
    :param end: the device there
    """
    far.veth(near, end)
    guest = far.run(PacketGuest, end)
    try:
        yield guest
    finally:
        guest.close()
        with IPRoute() as netlink:
            for index in netlink.link_lookup(ifname=near):
                netlink.link("del", index=index)
