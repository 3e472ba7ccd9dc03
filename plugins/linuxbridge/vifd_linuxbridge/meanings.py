"""What the facts of a port on a bridge of the kernel mean, the graver first. Pure."""

from __future__ import annotations

from typing import Any

from vifd.plugin import trunks
from vifd.plugin.meanings import WHO, Meaning, Meanings, missing, plain
from vifd.plugin.severing import Severing, always, dropping
from vifd_linuxbridge import phrases as say

_SWITCH = (
    Meaning("switch", ("bridge.up",), say.mapped_down, "set it up: `ip link set BRIDGE up`",
            ("bridge.stops",)),
    Meaning("switch", ("bridge.snooping",), say.snooping,
            "turn it off (`ip link set BRIDGE type bridge mcast_snooping 0`), or have a querier on "
            "the network"),
    Meaning("switch", ("bridge",), say.linux_bridge, WHO, ("bridge.*", "uplink*")),
)  # fmt: skip
_PORT = (
    Meaning("port", ("bridge.port",), say.not_enslaved, WHO, ("bridge.*", "device.carrier")),
    Meaning("port", ("bridge.stops",), say.port_stops,
            "`bridge link set dev DEVICE state 3`, `locked off`, `neigh_suppress off` or `hairpin "
            "off`, or `ip link set DEVICE type bridge_slave proxy_arp off` takes it back"),
    Meaning("port", ("bridge.*",), plain, WHO),
)  # fmt: skip
_TRUNK = trunks.meanings("device*", "bridge*")
_UPLINK = (
    Meaning("uplink", ("uplink", "uplink.port"), say.way_out,
            f"{WHO}; `bridge -d link show dev NAME` and `ip -d link show dev NAME` show it; "
            "one that was renamed: `ip link set NEW name OLD`",
            ("uplink.carrier",)),
)  # fmt: skip
_DEVICE = (
    Meaning("device", ("device.guard",), say.guard_barred,
            "`tc qdisc show dev DEVICE` shows it; if nobody needs it there: `tc qdisc del dev "
            "DEVICE clsact` (or `ingress`), and vifd puts its guard back at once",
            applies=lambda finding: not finding.repairable),
)  # fmt: skip
_FLUSHED = f"{WHO}; another program may flush the whole rule set"
_FILTER = (
    Meaning("filter", ("nft",), say.filter_silent, "`nft list table bridge vifd` says the same",
            ("nft.*",)),
    Meaning("filter", ("nft.prerouting", "nft.input", "nft.postrouting"), say.filter_differs,
            _FLUSHED, ("nft.*",), missing),
    Meaning("filter", ("nft.others",), say.filter_of_others,
            "have that software accept bridged frames, or keep its filters from them: "
            "`sysctl net.bridge.bridge-nf-call-iptables=0` (and ip6tables, arptables); a table of "
            "the families netdev and bridge sees them in any case"),
    Meaning("filter", ("nft.rules", "nft.targets"), say.filter_differs, WHO, ("nft.from",)),
    Meaning("filter", ("nft.asks", "nft.answers"), say.unanswered, _FLUSHED),
    Meaning("filter", ("qos.*",), plain, WHO, ("nft.limits", "nft.shaped-*")),
    Meaning("filter", ("nft.*",), say.filter_differs, _FLUSHED),
)  # fmt: skip


def _no_way(have: Any) -> bool:
    return str(have).startswith(("missing", "down", "not a port of the bridge"))


def _no_way_by(have: Any) -> bool:
    """With the name of the interface before it."""
    return _no_way(str(have).partition(": ")[2])


def _stopped(have: Any) -> bool:
    return any("state" in str(text) for text in have or ())


_SEVERING = Severing(
    {"bridge": _no_way, "bridge.up": always, "bridge.port": always, "bridge.stops": _stopped,
     "uplink": _no_way, "uplink.port": _no_way_by, "nft.others": dropping,
     **dict.fromkeys(trunks.SEVERING, always)}
)  # fmt: skip

MEANINGS = Meanings(
    (*_DEVICE, *_SWITCH, *_TRUNK, *_PORT, *_FILTER, *_UPLINK),
    follows={"device": ("bridge.*",), "device.ifindex": ("bridge.*",),
             "device.up": ("bridge.forward*",)},
    sound={"port": say.port_sound, "filter": say.filter_sound},
    shown={"bridge.forwards": "guest"},
    stages={"forwarding": "filter", "nft": "filter"},
    names=("bridge", "uplink"),
    severing=_SEVERING,
)  # fmt: skip
