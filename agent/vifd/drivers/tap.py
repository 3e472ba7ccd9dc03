"""Making taps: the ioctls of ``/dev/net/tun``, the only way the kernel offers.

A tap lives as long as the file that made it, until it is told to persist. So a tap whose settings
fail, or whose maker dies, is removed by the kernel itself when the file is closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from vifd.safety import limits

TUN = "/dev/net/tun"

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_TUNSETGROUP = 0x400454CE

_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_MULTI_QUEUE = 0x0100
#: Refuse to attach to a device that is there already.
_IFF_TUN_EXCL = 0x8000

_IPV6 = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


def problem() -> str:
    """Why no tap can be made here, with what helps; empty where one can. Makes nothing."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"{TUN} does not exist: load the kernel module tun (modprobe tun)"
    except PermissionError as error:
        return (
            f"{TUN} cannot be opened by uid {os.geteuid()} ({error.strerror}): start vifd by its "
            f"unit, or give its user the device (DeviceAllow={TUN} rw)"
        )
    except OSError as error:
        advice = limits.word(error) or "load the kernel module tun"
        return f"{TUN} cannot be opened: {error.strerror}; {advice}"
    return ""


def create(name: str, *, multi_queue: bool) -> int:
    """Make a tap in the calling thread's network namespace.

    Frames are exchanged without the packet information header (IFF_NO_PI).

    :returns: the file that keeps the tap alive
    :raises OSError: EBUSY when a device of that name exists
    """
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL | (_IFF_MULTI_QUEUE if multi_queue else 0)
    file = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except BaseException:
        os.close(file)
        raise
    return file


def opened(name: str) -> bool:
    """Whether somebody has a tap of one queue open: nobody else can open it then.

    :raises OSError: the kernel does not let it be tried
    """
    file = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    finally:
        os.close(file)
    return False


def persist(file: int, *, owner: int | None, group: int | None) -> None:
    """Let the tap outlive its file, and say who may open it."""
    if owner is not None:
        fcntl.ioctl(file, _TUNSETOWNER, owner)
    if group is not None:
        fcntl.ioctl(file, _TUNSETGROUP, group)
    fcntl.ioctl(file, _TUNSETPERSIST, 1)


def ipv6_off(name: str) -> None:
    """Keep the host from speaking IPv6 with the guest.

    Nothing to do where the kernel has no IPv6, or none on this device (its MTU is below 1280).
    """
    try:
        file = os.open(_IPV6.format(name), os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(file, b"1")
    finally:
        os.close(file)
