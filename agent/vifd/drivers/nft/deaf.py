"""Devices that the host itself does not hear: a chain for each in the family ``netdev``.

It drops what comes from a device before the host's stack sees it, and behind packet sockets, by
which a userspace switch reads its ports. A policy does it, so a chain has no rules. Kernels before
6.16 take the chain away with the device, later ones keep it for the next device of that name.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Sequence

from vifd.drivers.netlink import CREATE, Message, attributes, nest, string, text
from vifd.drivers.nft import hold, nl
from vifd.drivers.nft.expr import Code
from vifd.drivers.nft.packing import number_, u32
from vifd.drivers.nft.socket import NftSocket

NETDEV_FAMILY = 5
_INGRESS = 0
#: Before the chains of others: what is dropped here concerns nobody.
_PRIORITY = -500
_PRIORITY_BYTES = struct.Struct("!i")
#: Attributes of a chain: its table, name, hook, policy, and how much refers to it.
_TABLE, _NAME, _HOOK, _POLICY, _USE = 1, 3, 4, 5, 6
_HOOKNUM, _HOOK_PRIORITY, _DEVICE = 1, 2, 3


def _place(table: str, name: str) -> bytes:
    return nl.head(NETDEV_FAMILY) + text(_TABLE, table) + text(_NAME, name)


def _chain(table: str, name: str) -> Message:
    hook = u32(_HOOKNUM, _INGRESS) + u32(_HOOK_PRIORITY, _PRIORITY & 0xFFFF_FFFF)
    body = _place(table, name) + nest(_HOOK, hook + text(_DEVICE, name))
    body += u32(_POLICY, Code.DROP) + text(7, "filter")
    return Message(nl.NEWCHAIN, CREATE, body, f"keep the host from hearing {name}")


def table(name: str, flags: bytes = b"") -> Message:
    """Make the table where it is missing.

    :param flags: the attribute that says whose it is
    """
    body = nl.head(NETDEV_FAMILY) + text(1, name) + flags
    return Message(nl.NEWTABLE, CREATE, body, f"make table netdev {name}")


def addition(name: str, devices: Iterable[str]) -> list[Message]:
    """What keeps the host from hearing devices, in a table that is there."""
    return [_chain(name, device) for device in devices]


def removal(table: str, devices: Iterable[str]) -> list[Message]:
    """What lets the host hear devices again."""
    return [
        Message(nl.DELCHAIN, 0, _place(table, name), f"let the host hear {name}")
        for name in devices
    ]


def read(sock: NftSocket, table: str, names: Sequence[str]) -> dict[str, bool]:
    """The devices that have a chain, and whether it is as it shall be.

    :raises OSError: the kernel refuses to say
    """
    asked = [Message(nl.GETCHAIN, 0, _place(table, name)) for name in names]
    *answers, about = sock.ask([*asked, hold.question(table, NETDEV_FAMILY)])
    works, found = not hold.dormant(about), dict[str, bool]()
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, bytes):
            found[name] = works and _drops(answer, name)
        elif answer != errno.ENOENT:
            raise OSError(answer, os.strerror(answer))
    return found


def everything(sock: NftSocket, table: str) -> list[str]:
    """The names of all chains (a dump).

    :raises OSError: the kernel refuses to say
    """
    bodies = sock.dump(Message(nl.GETCHAIN, 0, nl.head(NETDEV_FAMILY)))
    found = [dict(attributes(body, 4)) for body in bodies]
    return [string(parts[_NAME]) for parts in found if string(parts[_TABLE]) == table]


def _drops(body: bytes, name: str) -> bool:
    """Whether a chain drops everything of the device: by its policy, with no rule before it."""
    parts = dict(attributes(body, 4))
    hook = dict(attributes(parts.get(_HOOK, b"")))
    priority = _PRIORITY_BYTES.unpack(hook.get(_HOOK_PRIORITY, bytes(4)))[0]
    return (
        string(_device(hook)) == name
        and priority == _PRIORITY
        and _number(parts.get(_POLICY)) == Code.DROP
        and _number(parts.get(_USE)) == 0
    )


def _device(hook: dict[int, bytes]) -> bytes:
    """The one device of a hook; a later kernel may tell it in a list of one."""
    if _DEVICE in hook:
        return hook[_DEVICE]
    listed = [value for _, value in attributes(hook.get(4, b""))]
    return listed[0] if len(listed) == 1 else b""


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else number_(raw)
