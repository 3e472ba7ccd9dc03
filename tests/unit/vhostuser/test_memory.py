"""What /proc/PID/maps tells of a guest's memory."""

from __future__ import annotations

import pytest

from vifd_vhostuser.memory import State, judge, parse

LIBRARY = "7f0000000000-7f0000001000 rw-p 00001000 08:01 42   /usr/lib/libc.so.6\n"
HEAP = "55e396605000-55e3975fa000 rw-p 00000000 00:00 0                          [heap]\n"
JIT = "7f5844000000-7f5883fff000 rwxp 00000000 00:00 0\n"
SMALL = "7f588a67d000-7f588b400000 rw-p 00000000 00:00 0\n"
SHARED = (
    "7f583dfff000-7f5843fff000 rw-s 00000000 00:01 1037    /memfd:memory-backend-memfd (deleted)\n"
)
PRIVATE = SHARED.replace("rw-s", "rw-p")
BARE = "7f3c5de00000-7f3c63e00000 rw-p 00000000 00:00 0\n"
HUGE = "7f0000000000-7f0040000000 rw-s 00000000 00:0f 77 /dev/hugepages/libvirt/qemu/ram\n"
VFIO = "7f0100000000-7f0110000000 rw-s 00000000 00:0e 9 /dev/vfio/42\n"
LOG = "7f0100000000-7f0110000000 rw-s 00000000 00:01 9 /memfd:vhost-log (deleted)\n"
OWN = LIBRARY + HEAP + JIT + SMALL


@pytest.mark.parametrize(
    ("maps", "state"),
    [
        (OWN + SHARED, State.SHARED),
        (OWN + HUGE, State.SHARED),
        (OWN + PRIVATE, State.PRIVATE),
        (OWN + HUGE + PRIVATE, State.PRIVATE),
        (OWN + BARE, State.ANONYMOUS),
        (OWN + BARE + VFIO, State.ANONYMOUS),
        (OWN + BARE + LOG, State.ANONYMOUS),
        (OWN, State.UNKNOWN),
        ("", State.UNKNOWN),
        ("nonsense\n\n", State.UNKNOWN),
    ],
)
def test_the_verdict(maps, state):
    assert judge(parse(maps)).state is state


def test_the_verdict_says_how_much_of_what():
    verdict = judge(parse(OWN + PRIVATE))
    assert verdict.bytes == 96 << 20
    assert "private, 96 MiB of /memfd:memory-backend-memfd" in str(verdict)
