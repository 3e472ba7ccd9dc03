"""Machines with a network stack of their own on the switch, and what passes between them."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import threading
import time
from array import array
from collections.abc import Callable, Iterator

import msgspec
from pyroute2 import IPRoute

from functional.scene import Scene
from vifd.model import Attachment
from vifd.model.attachment import Hosted
from vifd.testing.attachments import ipv4, mac
from vifd.testing.netns import Namespace
from vifd.testing.wait import until

_SIOCETHTOOL, _SET_TX_CHECKSUMS = 0x8946, 0x17
_PORT = 7007
#: Seconds of one measurement.
SPAN = 4.0


class Station:
    """A port of another program: a cable to a namespace, whose kernel speaks TCP."""

    def __init__(self, scene: Scene, stack: contextlib.ExitStack, attachment: Attachment) -> None:
        number = int(attachment.id[-12:], 16)
        self.address, self.name = ipv4(number), f"st{number}"
        self._inside = f"in{number}"
        self._space = stack.enter_context(Namespace(self.name))
        self._space.veth(self.name, self._inside, mtu=attachment.network.mtu)
        self._space.run(self._settle, number)
        scene.ovs.vsctl("add-port", "br-int", self.name, "--", "set", "Interface", self.name,
                        f"external_ids:iface-id={attachment.id}")  # fmt: skip
        stack.callback(scene.ovs.vsctl, "--if-exists", "del-port", self.name)
        row = scene.machine.drivers.ovsdb.port
        until(lambda: (found := row(self.name)) is not None and found.ofport, "the switch has it")
        self.attachment = hosted(attachment, self.name)

    def _settle(self, number: int) -> None:
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=self._inside)
            netlink.link("set", index=index, address=mac(number))
            netlink.addr("add", index=index, address=self.address, prefixlen=16)
        # a cable in memory fills no checksum in, and the switch looks at them
        asked = array("I", [_SET_TX_CHECKSUMS, 0])
        request = struct.pack("16sP", self._inside.encode(), asked.buffer_info()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)

    def socket(self, kind: int) -> socket.socket:
        """A socket on the machine."""
        return self._space.run(socket.socket, socket.AF_INET, kind)

    def received(self) -> tuple[int, int]:
        """Bytes of frames, and frames, that arrived so far."""
        return self._space.run(self._received)

    def _received(self) -> tuple[int, int]:
        with open("/proc/thread-self/net/dev") as table:
            line = next(x for x in table if x.strip().startswith(f"{self._inside}:"))
        count = line.split(":")[1].split()
        return int(count[0]), int(count[1])


def hosted(attachment: Attachment, device: str) -> Attachment:
    """The document of a port that stands on another program's device."""
    return msgspec.structs.replace(attachment, plugin="ovs", hosted=Hosted(device))


@contextlib.contextmanager
def _busy(work: Callable[[], object]) -> Iterator[None]:
    """Do this again and again meanwhile."""
    done = threading.Event()

    def loop() -> None:
        with contextlib.suppress(OSError):
            while not done.is_set():
                work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def datagrams(one: Station, two: Station, size: int, rate: float) -> Iterator[None]:
    """UDP from one to the other, so many bits of payload a second."""
    began, sent = time.monotonic(), 0

    def send() -> None:
        nonlocal sent
        due = int((time.monotonic() - began) * rate / 8 / size)
        for _ in range(min(due - sent, 200)):
            out.sendto(bytes(size), (two.address, _PORT))
        sent = due
        time.sleep(0.002)

    with two.socket(socket.SOCK_DGRAM) as sink, one.socket(socket.SOCK_DGRAM) as out:
        sink.bind((two.address, _PORT))
        with _busy(send):
            yield


@contextlib.contextmanager
def stream(one: Station, two: Station) -> Iterator[None]:
    """TCP from one to the other, as fast as it goes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(two.socket(socket.SOCK_STREAM))
        listener.bind((two.address, _PORT))
        listener.listen()
        out = stack.enter_context(one.socket(socket.SOCK_STREAM))
        out.connect((two.address, _PORT))
        sink, _ = listener.accept()
        stack.enter_context(sink)
        for end in (out, sink):  # it is looked now and then whether it is over
            end.settimeout(0.5)

        def send() -> None:
            with contextlib.suppress(TimeoutError):
                out.send(bytes(65536))

        def take() -> None:
            with contextlib.suppress(TimeoutError):
                sink.recv(65536)

        stack.enter_context(_busy(take))
        stack.enter_context(_busy(send))
        yield


def rates(station: Station) -> Iterator[tuple[float, float]]:
    """Bits of frames, and frames, per second that arrive, measurement by measurement."""
    while True:
        (before, counted), began = station.received(), time.monotonic()
        time.sleep(SPAN)
        (after, more), ended = station.received(), time.monotonic()
        span = ended - began
        yield (after - before) * 8 / span, (more - counted) / span
