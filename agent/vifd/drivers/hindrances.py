"""What other software put on a device: traffic control, programs, addresses, a master, a queue of
no length.

Read for who asks why; numbers of ``linux/rtnetlink.h``, ``pkt_sched.h`` and ``if_link.h``.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence

from vifd.drivers import brnl, ifla
from vifd.drivers.netlink import Message, Socket, pick, string
from vifd.model.limited import at_most

_GETQDISC, _GETCLASS, _GETFILTER = 38, 42, 46
#: Of the options of a class of ``htb``: its parameters, whose ceiling stands behind its rate and
#: ends with bytes per second; and that as 64 bits where it is more.
_HTB_PARMS, _HTB_CEIL64 = 1, 7
_HTB_CEIL = struct.Struct("20xI")
_U64 = struct.Struct("Q")
#: An action that drops what is over a rate, and where it stands in an older filter.
_POLICE, _U32_POLICE = b"police\0", 6
_TCMSG = struct.Struct("BxxxiIII")
_KIND, _OPTIONS = 1, 2
_TXQLEN = 13
#: Of a link: what is known of a program that sees its frames before the host does.
_XDP, _XDP_ATTACHED, _XDP_ID = 43, 2, 4
#: Where filters hang: before the device's bridge and behind it, and on the older kind of qdisc.
_PLACES = {0xFFFF_FFF2: "ingress", 0xFFFF_FFF3: "egress", 0xFFFF_0000: "ingress"}
#: The priority of the filter that is ours, see :mod:`vifd.drivers.tcguard`.
_OURS = 0x7669
#: The parent of what hangs on the device itself.
_ROOT = 0xFFFF_FFFF
#: Queues that only order and share, and what only holds filters.
_HARMLESS = frozenset(
    ("noqueue", "noop", "pfifo_fast", "pfifo", "bfifo", "fq_codel", "fq", "mq", "mqprio", "sfq",
     "cake", "htb", "hfsc", "ingress", "clsact", "prio", "multiq", "codel", "fq_pie", "pie", "drr",
     "qfq", "ets", "etf", "taprio", "cbs", "hhf")
)  # fmt: skip
#: Kinds of devices that stand on another one; the number of the namespace that it is in elsewhere.
_UPPER = frozenset(("vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"))
_NETNS = 37
_STANDING = (ifla.IFNAME, ifla.LINK, ifla.LINKINFO, _NETNS)
#: What an action does to a frame that matters here.
_ACTIONS = {b"gact\0": "drops or passes", b"mirred\0": "sends elsewhere", b"pedit\0": "rewrites"}


def limits(sock: Socket, names: Sequence[str]) -> dict[str, list[str]]:
    """In words, by device, what limits the rate of what passes it.

    :raises OSError: the kernel does not say
    """
    links = {n: ifla.IFINFO.unpack_from(a)[2] for n, a in _there(sock, names).items()}
    found = {name: [*_ceilings(sock, i), *_policed(sock, i)] for name, i in links.items()}
    return {name: sorted(set(texts)) for name, texts in found.items() if texts}


def _there(sock: Socket, names: Sequence[str]) -> dict[str, bytes]:
    """What is told of each device that there is; not by another name of it (an altname)."""
    answers = zip(names, sock.ask([brnl.get(n) for n in names]), strict=True)
    found = {n: answer for n, answer in answers if isinstance(answer, bytes)}
    return {n: answer for n, answer in found.items() if _name(answer) == n}


def _name(message: bytes) -> str:
    return string(pick(message, ifla.IFINFO.size, (ifla.IFNAME,))[ifla.IFNAME])


def _ceilings(sock: Socket, index: int) -> Iterator[str]:
    """Of a root class of ``htb``, towards whoever holds the device."""
    for message in sock.dump(Message(_GETCLASS, 0, _TCMSG.pack(0, index, 0, 0, 0))):
        _, at, _, parent, _ = _TCMSG.unpack_from(message)
        parts = pick(message, _TCMSG.size, (_KIND, _OPTIONS))
        if at != index or parent != _ROOT or string(parts.get(_KIND, b"")) != "htb":
            continue
        options = pick(parts.get(_OPTIONS, b""), 0, (_HTB_PARMS, _HTB_CEIL64))
        (ceiling,) = _HTB_CEIL.unpack_from(options.get(_HTB_PARMS, bytes(_HTB_CEIL.size)))
        if _HTB_CEIL64 in options:
            (ceiling,) = _U64.unpack(options[_HTB_CEIL64])
        yield f"towards the device {at_most(ceiling * 8 / 1000)} (tc class htb)"


def _policed(sock: Socket, index: int) -> Iterator[str]:
    for where, kind, options in _each_filter(sock, index):
        old = kind == "u32" and _U32_POLICE in pick(options, 0, (_U32_POLICE,))
        if old or _POLICE in options:
            yield f"what is over a rate is dropped (tc filter {kind} on {where})"


def read(sock: Socket, names: Sequence[str]) -> dict[str, list[str]]:
    """In words, by device; nothing of a device that has nothing, or is gone.

    :raises OSError: the kernel does not say
    """
    links = _there(sock, names)
    indices = {ifla.IFINFO.unpack_from(link)[2]: name for name, link in links.items()}
    found: dict[str, list[str]] = {name: list(_of_link(link)) for name, link in links.items()}
    for index, address in map(brnl.address, sock.dump(brnl.ask_addresses())):
        if index in indices and address:
            found[indices[index]].append(f"the host has the address {address} on it")
    for message in sock.dump(Message(_GETQDISC, 0, _TCMSG.pack(0, 0, 0, 0, 0))):
        index = _TCMSG.unpack_from(message)[1]
        kind = string(pick(message, _TCMSG.size, (_KIND,)).get(_KIND, b""))
        if index in indices and kind not in _HARMLESS:
            found[indices[index]].append(f"queueing discipline {kind}")
    for name, text in _standing(sock, indices):
        found[name].append(text)
    for index, name in indices.items():
        found[name] += sorted(set(_filters(sock, index)))
    return {name: texts for name, texts in found.items() if texts}


def _standing(sock: Socket, indices: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Devices that another program put on these, and that get what comes in by them."""
    for message in sock.dump(brnl.everything()):
        parts = pick(message, ifla.IFINFO.size, _STANDING)
        below = int.from_bytes(parts.get(ifla.LINK, b""), sys.byteorder)
        kind = string(pick(parts.get(ifla.LINKINFO, b""), 0, (ifla.KIND,)).get(ifla.KIND, b""))
        elsewhere = _NETNS in parts
        if below in indices and kind in _UPPER and not elsewhere:
            yield indices[below], f"the {kind} device {string(parts[ifla.IFNAME])} stands on it"


def _of_link(message: bytes) -> Iterator[str]:
    parts = pick(message, ifla.IFINFO.size, (_TXQLEN, ifla.LINKINFO, ifla.MASTER, _XDP))
    info = pick(parts.get(ifla.LINKINFO, b""), 0, (ifla.SLAVE_KIND,))
    master = string(info.get(ifla.SLAVE_KIND, b""))
    if master and master not in ("bridge", "openvswitch"):
        yield f"it belongs to a device of kind {master}"
    elif master == "bridge":
        yield "it is a port of a bridge of the kernel"
    if parts.get(_TXQLEN) == b"\0\0\0\0":
        yield "its queue has no length (txqueuelen 0)"
    program = pick(parts.get(_XDP, b""), 0, (_XDP_ATTACHED, _XDP_ID))
    if any(program.get(_XDP_ATTACHED, b"")):
        number = int.from_bytes(program.get(_XDP_ID, b""), sys.byteorder)
        yield f"an XDP program{f' ({number})' if number else ''} sees every frame first"


def _filters(sock: Socket, index: int) -> Iterator[str]:
    for where, kind, options in _each_filter(sock, index):
        does = [text for mark, text in _ACTIONS.items() if mark in options]
        if does or kind == "bpf":
            yield f"a {kind} filter on {where}" + (f" that {does[0]}" if does else "")


def _each_filter(sock: Socket, index: int) -> Iterator[tuple[str, str, bytes]]:
    """Where it hangs, its kind and its options; ours is none."""
    for place, where in _PLACES.items():
        try:
            messages = sock.dump(Message(_GETFILTER, 0, _TCMSG.pack(0, index, 0, place, 0)))
        except OSError:
            continue  # nothing of that kind hangs there
        for message in messages:
            info = _TCMSG.unpack_from(message)[4]
            parts = pick(message, _TCMSG.size, (_KIND, _OPTIONS))
            kind, options = string(parts.get(_KIND, b"")), parts.get(_OPTIONS, b"")
            if info >> 16 != _OURS and options:
                yield where, kind, options
