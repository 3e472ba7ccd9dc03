"""Network namespaces for tests and the sandbox.

A test process leaves the host's network for good before it does anything else
(:func:`enter_private_netns`); a :class:`Namespace` is one more, for what shall play another host.
Nothing here needs a program: threads move, and what they start stays where they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(RuntimeError):
    """This process may not, or can no longer, move to a namespace of its own."""


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling thread to new namespaces."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def link_up(name: str) -> None:
    """Bring a device of the calling thread's namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", name.encode(), 0)
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", answer, 16)[0] | _IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags))


def links() -> dict[str, int]:
    """Names and indices of all devices of the calling thread's namespace."""
    return {name: index for index, name in socket.if_nameindex()}


def netns_id() -> int:
    """A number that tells the calling thread's namespace from any other."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def enter_private_netns(others: int = 0) -> bool:
    """Move this process to a network namespace of its own, with loopback up.

    Without root it also enters a user namespace in which it is root. Where the kernel permits, /sys
    is mounted anew in a private mount namespace, so that it shows the new namespace's devices.

    :param others: threads besides this one that may stay behind, because they touch no network
    :returns: whether /sys shows the new namespace
    :raises NamespaceError: another thread runs (it would stay behind), or the kernel refuses
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1 + others:
        raise NamespaceError(f"{threads} threads run; enter the namespace before starting any")
    try:
        if os.geteuid() != 0:
            _become_root_of_a_user_namespace()
        unshare(CLONE_NEWNET)
    except OSError as error:
        raise NamespaceError(
            f"{error}; run as root, or under 'unshare --user --map-root-user --net'"
        ) from error
    link_up("lo")
    return _remount_sys()


def _become_root_of_a_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {uid} 1"),
        ("gid_map", f"0 {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _remount_sys() -> bool:
    try:
        unshare(CLONE_NEWNS)
        _checked(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount")
        _checked(_libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount")
    except OSError:
        return False
    return True


class Namespace:
    """A network namespace that plays another host.

    It lives on a thread: what :meth:`run` calls there opens its sockets there and starts its
    processes there. Whatever was made inside vanishes with it.
    """

    def __init__(self, name: str = "host2") -> None:
        self.name = name
        #: the near ends of its cables, by index
        self._cables: dict[int, str] = {}
        self._thread = ThreadPoolExecutor(1, f"netns-{name}")
        try:
            self.fd = self.run(self._enter)
        except BaseException:
            self._thread.shutdown()
            raise

    @staticmethod
    def _enter() -> int:
        unshare(CLONE_NEWNET)
        link_up("lo")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call inside, and wait for its result."""
        return self._thread.submit(call, *args, **kwargs).result()

    def command(
        self, argv: Sequence[str], timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside; a failure raises with its output."""

        def call() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                list(argv), check=True, capture_output=True, text=True, timeout=timeout
            )

        return self.run(call)

    def veth(self, outside: str, inside: str, mtu: int = 1500) -> None:
        """Lay a cable: ``outside`` in the caller's namespace, ``inside`` in this one, both up.

        Deleting either end, or closing the namespace, removes it.
        """
        from pyroute2 import IPRoute

        with IPRoute() as netlink:
            netlink.link(
                "add",
                ifname=outside,
                kind="veth",
                mtu=mtu,
                peer={"ifname": inside, "mtu": mtu, "net_ns_fd": self.fd},
            )
        self._cables[links()[outside]] = outside
        self.run(link_up, inside)
        link_up(outside)

    def _take_up(self) -> None:
        """Remove the cables: the kernel would, some time after nothing runs inside any more."""
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        present = {(index, name) for name, index in links().items()}
        left = self._cables.items() & present
        if left:
            with IPRoute() as netlink:
                for index, _ in left:
                    with contextlib.suppress(NetlinkError):
                        netlink.link("del", index=index)

    def close(self) -> None:
        """Give the namespace up, with its cables; the kernel removes it once nothing runs
        inside."""
        self._take_up()
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self._thread.shutdown()

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
