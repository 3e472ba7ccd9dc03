"""Machines with a network stack of their own behind the taps of a bridge of the kernel."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Iterator

from pyroute2 import IPRoute

from functional.linux_scene import LinuxScene
from functional.qos.stations import Station
from vifd.drivers import tap
from vifd.model import Attachment
from vifd.testing.attachments import ipv4, mac
from vifd.testing.guests import TapGuest
from vifd.testing.netns import Namespace
from vifd.testing.wait import until

_BIGGEST = 65_600


class Cabled(Station):
    """A guest whose kernel speaks TCP: what its tap gets is what a device in a namespace gets."""

    def __init__(
        self, scene: LinuxScene, stack: contextlib.ExitStack, attachment: Attachment
    ) -> None:
        number = int(attachment.id[-12:], 16)
        self.address, self.attachment = ipv4(number), attachment
        self._inside = f"in{number}"
        self._space = stack.enter_context(Namespace(f"st{number}"))
        guest = stack.enter_context(contextlib.closing(scene.guest(attachment.id)))
        self.name = guest.name
        inside = self._space.run(tap.create, self._inside, multi_queue=False)
        stack.callback(os.close, inside)
        os.set_blocking(inside, False)
        self._space.run(self._settle, number, attachment.network.mtu)
        stack.enter_context(_joined(guest, inside))
        until(lambda: self._space.run(self._runs), f"{self._inside} is up")

    def _settle(self, number: int, mtu: int) -> None:  # type: ignore[override]
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=self._inside)
            netlink.link("set", index=index, address=mac(number), mtu=mtu, state="up")
            netlink.addr("add", index=index, address=self.address, prefixlen=16)

    def _runs(self) -> bool:
        with IPRoute() as netlink:
            (link,) = netlink.link("get", ifname=self._inside)
            return bool(link.get("state") == "up")


@contextlib.contextmanager
def _joined(guest: TapGuest, inside: int) -> Iterator[None]:
    """Carry frames between two taps, each way on a thread of its own."""
    done = threading.Event()
    ends = ((guest.fd, inside), (inside, guest.fd))
    threads = [threading.Thread(target=_carry, args=(*pair, done)) for pair in ends]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _carry(source: int, target: int, done: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not done.is_set():
            select.select([source], [], [], 0.2)
            with contextlib.suppress(BlockingIOError):
                while not done.is_set():
                    os.write(target, os.read(source, _BIGGEST))
