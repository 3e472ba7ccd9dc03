"""A program on a device that drops every frame, made without a compiler: see bpf(2)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute

#: The number of the system call, by architecture.
_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _XDP, _DROP = 5, 6, 1
#: ``r0 = 1; exit``
_CODE = struct.pack("<BBhi", 0xB7, 0, 0, _DROP) + struct.pack("<BBhi", 0x95, 0, 0, 0)
_ATTR = 144


@contextlib.contextmanager
def _program() -> Iterator[int]:
    """Its file descriptor; skips the test where none can be loaded."""
    number = _BPF.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of bpf(2) is not known on {platform.machine()}")
    code, licence = ctypes.create_string_buffer(_CODE), ctypes.create_string_buffer(b"GPL")
    head = struct.pack("<IIQQ", _XDP, 2, ctypes.addressof(code), ctypes.addressof(licence))
    attr = ctypes.create_string_buffer(head.ljust(_ATTR, b"\0"), _ATTR)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(number, _PROG_LOAD, attr, _ATTR)
    if fd < 0:
        pytest.skip(f"no program can be loaded here: {os.strerror(ctypes.get_errno())}")
    try:
        yield fd
    finally:
        os.close(fd)


def drop(device: str) -> None:
    """Have a program drop what comes in by a device."""
    with _program() as fd, IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=device)[0], xdp_fd=fd)


def take(device: str) -> None:
    """Take the program off."""
    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=device)[0], xdp_fd=-1)
