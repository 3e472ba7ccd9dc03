"""Guards: a program on a device that judges what comes from it, before its bridge and the host do.

It hangs on the device itself (traffic control, ``ingress`` with a classic BPF program whose result
is the verdict), so flushing the packet filter does not touch it, and it goes with the device.
``clsact`` has the same place, but libvirt removes and makes ``ingress`` when it sets a limit.
Packet sockets, those of a userspace switch among them, hear frames before it. The numbers are those
of ``linux/rtnetlink.h`` and ``pkt_sched.h``.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence

from vifd.drivers import Program, tap
from vifd.drivers.netlink import (
    ACK,
    CREATE,
    EXCL,
    Message,
    Socket,
    attribute,
    index_of,
    nest,
    pick,
    string,
    text,
)
from vifd.safety import limits

__all__ = ["barred", "lacking", "read", "remove", "write"]

_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWFILTER, _DELFILTER, _GETFILTER = 44, 45, 46
_TCMSG = struct.Struct("BxxxiIII")
_HANDLE, _PARENT, _INGRESS = 0xFFFF_0000, 0xFFFF_FFF1, 0xFFFF_FFF2
#: Where among the filters of a device ours stands, and its handle there.
_PRIORITY, _NUMBER = 0x7669, 1
_ALL_PROTOCOLS = 0x0300  # ETH_P_ALL in network order
_INFO = _PRIORITY << 16 | _ALL_PROTOCOLS
_KIND, _OPTIONS = 1, 2
#: Of a qdisc: the number of the block of filters that it shares with others.
_INGRESS_BLOCK = 13
_OPS_LEN, _OPS, _FLAGS, _DIRECT = 4, 5, 8, 1
_STEP = struct.Struct("HBBI")
_U16, _U32 = struct.Struct("H"), struct.Struct("I")

#: The step of a program that ends it, and the verdict that leaves the frame to others.
_RETURN, _GO_ON = 0x06, 0xFFFF_FFFF
#: The kernel has no such thing, or no device.
_NO_FILTER = (errno.ENOENT, errno.EINVAL)
_UNKNOWN = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)


def _qdisc(index: int) -> Message:
    body = _TCMSG.pack(0, index, _HANDLE, _PARENT, 0) + text(_KIND, "ingress")
    return Message(_NEWQDISC, ACK | CREATE | EXCL, body)


def _filter(index: int, program: Program) -> Message:
    """Put a program in the place of the one that is there, with no moment without one."""
    steps = b"".join(_STEP.pack(*step) for step in program)
    options = attribute(_OPS_LEN, _U16.pack(len(program))) + attribute(_OPS, steps)
    options += attribute(_FLAGS, _U32.pack(_DIRECT))
    body = _TCMSG.pack(0, index, _NUMBER, _INGRESS, _INFO) + text(_KIND, "bpf")
    return Message(_NEWFILTER, ACK | CREATE, body + nest(_OPTIONS, options))


def _ask(index: int) -> Message:
    body = _TCMSG.pack(0, index, _NUMBER, _INGRESS, _INFO) + text(_KIND, "bpf")
    return Message(_GETFILTER, 0, body)


def write(sock: Socket, programs: Mapping[int, Program]) -> dict[int, int]:
    """Set the programs of devices, by ifindex.

    :returns: error numbers of those that failed
    """
    messages = [m for i, program in programs.items() for m in (_qdisc(i), _filter(i, program))]
    answers = iter(sock.ask(messages))
    failed: dict[int, int] = {}
    for index in programs:
        # somebody else's qdisc of that place takes filters as well
        made, filtered = int(next(answers)), int(next(answers))
        if filtered:
            failed[index] = made if made not in (0, errno.EEXIST) else filtered
    return failed


def read(sock: Socket, indices: Sequence[int]) -> dict[int, Program | None]:
    """The programs that devices have; a device without one has ``None``.

    :raises OSError: the kernel refuses to say
    """
    found: dict[int, Program | None] = {}
    for index, answer in zip(indices, sock.ask([_ask(i) for i in indices]), strict=True):
        if isinstance(answer, int) and answer not in (*_NO_FILTER, errno.ENODEV, *_UNKNOWN):
            raise OSError(answer, os.strerror(answer))
        found[index] = _program(answer) if isinstance(answer, bytes) else None
    return found


def barred(sock: Socket, indices: Sequence[int]) -> dict[int, str]:
    """Why there is no place for a guard on devices, in words, by ifindex: filters of a shared block
    are changed by its number alone, and hold for every device that shares it.

    :raises OSError: the kernel refuses to say
    """
    found: dict[int, str] = {}
    for message in sock.dump(Message(_GETQDISC, 0, _TCMSG.pack(0, 0, 0, 0, 0))):
        _, index, _, parent, _ = _TCMSG.unpack_from(message)
        parts = pick(message, _TCMSG.size, (_KIND, _INGRESS_BLOCK))
        if index in indices and parent == _PARENT and _INGRESS_BLOCK in parts:
            number = _U32.unpack(parts[_INGRESS_BLOCK])[0]
            found[index] = f"{string(parts[_KIND])} with the shared block {number}"
    return found


def remove(sock: Socket, indices: Sequence[int]) -> None:
    """Take the programs of devices away, and the place for them where nobody else has a filter
    there.

    :raises OSError: the kernel refuses
    """
    for index in indices:
        body = _TCMSG.pack(0, index, _NUMBER, _INGRESS, _INFO) + text(_KIND, "bpf")
        (gone,) = sock.ask([Message(_DELFILTER, ACK, body)])
        if gone not in (0, *_NO_FILTER, errno.ENODEV, *_UNKNOWN):
            raise OSError(int(gone), os.strerror(int(gone)))
        if gone == 0 and not _others(sock, index):
            empty = _TCMSG.pack(0, index, _HANDLE, _PARENT, 0) + text(_KIND, "ingress")
            # somebody may have made it anew meanwhile, or taken it away
            sock.ask([Message(_DELQDISC, ACK, empty)])


def _others(sock: Socket, index: int) -> bool:
    """Whether a device has filters in that place."""
    return bool(sock.dump(Message(_GETFILTER, 0, _TCMSG.pack(0, index, 0, _INGRESS, 0))))


def _program(message: bytes) -> Program | None:
    options = pick(message, _TCMSG.size, (_OPTIONS,)).get(_OPTIONS, b"")
    parts = pick(options, 0, (_OPS, _FLAGS))
    flags = _U32.unpack(parts.get(_FLAGS, b"\0\0\0\0"))[0]
    if _OPS not in parts or not flags & _DIRECT:
        return None
    return tuple(_STEP.iter_unpack(parts[_OPS]))


def lacking(sock: Socket) -> str | None:
    """Why this kernel cannot guard devices; ``None`` where it can. Asked with a tap that is gone
    again when this returns; it is that of the calling thread's namespace, as the socket is."""
    name = f"vifdprobe{os.getpid() % 100_000}"
    try:
        file = tap.create(name, multi_queue=False)
    except OSError as error:
        return f"a device to ask with cannot be made: {limits.word(error) or error.strerror}"
    try:
        index = index_of(name)
        failed = write(sock, {index: ((_RETURN, 0, 0, _GO_ON),)})
    except OSError as error:
        return f"the device to ask with is gone: {limits.word(error) or error.strerror}"
    finally:
        os.close(file)
    if not failed:
        return None
    problem = os.strerror(failed[index])
    return f"the kernel cannot filter on a device (modules sch_ingress and cls_bpf): {problem}"
