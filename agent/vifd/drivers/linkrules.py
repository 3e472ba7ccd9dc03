"""Decisions about devices, without I/O; the driver and its fake share them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from vifd.drivers import MARK, Link, Tap
from vifd.errors import DeviceError, NameClash, VifError

#: IFNAMSIZ without the closing zero byte.
NAME_BYTES = 15
#: IFALIASZ without the closing zero byte.
ALIAS_BYTES = 255

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)


@lru_cache(maxsize=4096)
def refusal(name: str) -> str | None:
    """Why the kernel would not take a name for a device (``dev_valid_name``)."""
    if not name or name in (".", ".."):
        return "is no name for a device"
    if len(name.encode()) > NAME_BYTES:
        return f"the name is longer than {NAME_BYTES} bytes"
    if any(c.isspace() or c in "/:\0" for c in name):
        return "the name holds a character that the kernel does not take"
    if "%" in name:
        return "the name holds a %, which the kernel would replace by a number"
    return None


def _malformed(tap: Tap) -> str | None:
    if problem := refusal(tap.name):
        return problem
    if not _MAC.fullmatch(tap.mac):
        return f"{tap.mac!r} is no MAC address"
    if not tap.alias.startswith(MARK) or len(tap.alias.encode()) > ALIAS_BYTES:
        return f"the alias {tap.alias!r} is no mark of ours"
    if not 0 < tap.mtu < 1 << 31:
        return f"{tap.mtu} is no MTU"
    return None


def holder(alias: str) -> str:
    """Whose device it is by its alias, in words; empty where it bears no mark of ours."""
    if not alias.startswith(MARK):
        return ""
    owner = alias.removeprefix(MARK)
    return f"port {owner} of vifd" if _UUID.fullmatch(owner) else "vifd itself"


def clash(link: Link, others: Sequence[str] = (), *, ours: str = "") -> NameClash:
    """A device that is not the one we look for.

    :param ours: what of vifd's it is, where it is
    """
    have = f"kind {link.kind or 'physical'}, alias {link.alias!r}"
    facts: dict[str, object] = {
        "kind": "device",
        "name": link.name,
        "have": have,
        "have_kind": link.kind,
        "have_alias": link.alias,
    }
    if ours:
        facts["ours"] = ours
    if others:
        facts["others"] = list(others)
    return NameClash(stage="device", facts=facts)


def other_name(name: str, link: Link) -> NameClash:
    """A name that is taken because a device with another one answers to it as well (an altname)."""
    have = f"it is another name (altname) of device {link.name}"
    return NameClash(
        f"device {name} cannot be had: {have}",
        stage="device",
        facts={"kind": "device", "name": name, "have": have, "device": link.name,
               "have_alias": link.alias},
        hint=f"take that name from it: ip link property del dev {link.name} altname {name}; the "
        "device itself stays as it is",
    )  # fmt: skip


def complaint(tap: Tap, there: Link | None) -> VifError | None:
    """Why a tap cannot be made, or taken over from what is there."""
    if problem := _malformed(tap):
        return DeviceError(stage="device", facts={"device": tap.name, "problem": problem})
    if there is None:
        return None
    if there.alias != tap.alias or there.kind != "tun":
        # a device of another kind with our own alias is a copy of the mark
        return clash(there, ours="" if there.alias == tap.alias else holder(there.alias))
    if there.multi_queue != tap.multi_queue:
        return _differs(tap.name, "multi_queue", tap.multi_queue, there.multi_queue)
    return None


def unmarked(link: Link, ifindex: int, alias: str) -> bool:
    """Whether a device is the tap with this ifindex, and somebody took our mark from it."""
    ours = link.kind == "tun" and link.ifindex == ifindex
    return ours and link.alias != alias and not link.alias.startswith(MARK)


def renamed(link: Link, ifindex: int, alias: str) -> bool:
    """Whether a device is the tap with this ifindex and our mark, by whatever name."""
    return link.kind == "tun" and link.ifindex == ifindex and link.alias == alias


def unlike(tap: Tap, link: Link) -> DeviceError | None:
    """In what a device that was just made differs from what was wanted."""
    pairs: list[tuple[str, object, object]] = [
        ("alias", tap.alias, link.alias),
        ("kind", "tun", link.kind),
        ("mac", tap.mac.lower(), link.mac),
        ("mtu", tap.mtu, link.mtu),
        ("up", True, link.up),
        ("multi_queue", tap.multi_queue, link.multi_queue),
    ]
    for what, wanted, have in pairs:
        if wanted != have:
            return _differs(tap.name, what, wanted, have)
    if link.ipv6:
        return _differs(tap.name, "ipv6", False, True)
    return None


def _differs(name: str, what: str, wanted: object, have: object) -> DeviceError:
    problem = f"{what} is {have!r}, wanted {wanted!r}"
    return DeviceError(
        stage="device",
        facts={"device": name, "problem": problem, "field": what, "wanted": wanted, "have": have},
    )
