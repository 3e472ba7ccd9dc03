"""A second opinion on ports of Linux bridges: devices by sysfs and ``ip``, rules by ``nft``, and
frames of guests. Nothing of it asks vifd, or uses what vifd reads the host with.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from support import oracle
from support.oracle import Wanted
from vifd.testing.guests import TapGuest, guests
from vifd.testing.wait import until

_NET = Path("/sys/class/net")
#: ``BR_STATE_FORWARDING`` of linux/if_bridge.h.
_FORWARDING = "3"
_HANDLE = re.compile(r" # handle \d+")
_AGENT = re.compile(r"\n\tchain vifd-agent {.*?\n\t}\n", re.DOTALL)
_COUNTED = re.compile(r"packets \d+ bytes \d+")
#: As ``nft`` writes a rate: 5000 kbit are 625000 bytes.
_RATE = re.compile(r"limit rate over (\d+) (|k|m)bytes/second")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}


def _said(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600)
    return done.stdout


def rules() -> str:
    """The whole ruleset with the handle of each rule, without its counts: what was put in again has
    another handle. Without the chain that names the daemon's process, which a restart changes."""
    return _AGENT.sub("", _COUNTED.sub("", _said("nft", "-a", "list", "ruleset")))


def plain_rules() -> list[str]:
    """The lines of the ruleset without handles, in order."""
    return sorted(filter(None, (_HANDLE.sub("", x).strip() for x in rules().splitlines())))


def devices() -> dict[str, dict[str, Any]]:
    """What ``ip`` says of each device, without what its guest does."""
    found = json.loads(_said("ip", "-j", "-d", "link"))
    volatile = ("operstate", "stats", "stats64")
    return {d["ifname"]: {k: v for k, v in d.items() if k not in volatile} for d in found}


def state() -> tuple[str, dict[str, int]]:
    """All that a daemon could have changed: the rules, and each device by its number."""
    return rules(), {name: device["ifindex"] for name, device in devices().items()}


def touched(before: tuple[str, dict[str, int]]) -> list[str]:
    """What differs from an earlier :func:`state`, a line each."""
    (rules, numbers), (now, known) = before, state()
    lines = {*rules.splitlines()} ^ {*now.splitlines()}
    return sorted(lines) + sorted(map(str, numbers.items() ^ known.items()))


def forwards(*names: str) -> None:
    """Wait until bridges forward for these ports."""

    def all_do() -> bool:
        return all(_read(name, "brport/state") == _FORWARDING for name in names)

    until(all_do, f"a bridge forwards for {names}")


def _read(device: str, attribute: str) -> str:
    try:
        return (_NET / device / attribute).read_text().strip()
    except OSError:
        return ""


def _master(device: str) -> str:
    with contextlib.suppress(OSError):
        return (_NET / device / "master").readlink().name
    return ""


def device(port: Wanted) -> str:
    """The name of a port's own device: a tap, or what its tag comes in by."""
    return f"sub{port.id[:11]}" if port.vlan else port.device


def complaints(wanted: Iterable[Wanted]) -> list[str]:
    """What is not as it shall be, a line each: devices, the bridges that they are on, the rules
    that let frames pass."""
    found: list[str] = []
    bridges: dict[str, set[str]] = {}
    passing = _elements("open")
    for port in wanted:
        name = device(port)
        wrong = [] if port.vlan else oracle.device_complaints(port)
        bridge = _master(name)
        if bool(bridge) != port.open:
            wrong.append(f"it is on bridge {bridge!r}")
        if (name in passing) != port.open:
            wrong.append(f"whether rules let it pass is {name in passing}")
        found += [f"{name}: {text}" for text in wrong]
        if port.open:
            bridges.setdefault(port.network, set()).add(bridge)
    found += [f"network {n} has bridges {sorted(b)}" for n, b in bridges.items() if len(b) > 1]
    if len(used := [next(iter(b)) for b in bridges.values()]) != len(set(used)):
        found.append(f"networks share a bridge: {bridges}")
    return found


def _elements(name: str) -> set[str]:
    """What is in one set of vifd's table."""
    found = re.search(rf"\n\tset {name} {{(.*?)\n\t}}", rules(), re.DOTALL)
    return set(re.findall(r'"([^"]+)"', found[1])) if found else set()


def rates() -> list[int]:
    """The limits of bandwidth in kbit per second, in order."""
    found = _RATE.findall(rules())
    return sorted(int(number) * _UNITS[unit] // 125 for number, unit in found)


def ports_of_rules() -> set[str]:
    """The ports that rules of security groups let pass."""
    chains = re.findall(r"\n\tchain (sg-\S+) {(.*?)\n\t}", rules(), re.DOTALL)
    return {port for _, text in chains for port in re.findall(r"dport (\d+)", text)}


def floods(name: str) -> set[str]:
    """To which endpoints a tunnel's device sends what is for nobody known."""
    if not (_NET / name).exists():
        return set()
    found = json.loads(_said("bridge", "-j", "fdb", "show", "dev", name) or "[]")
    return {e["dst"] for e in found if e["mac"] == "00:00:00:00:00:00" and "dst" in e}


@contextlib.contextmanager
def opened(wanted: Sequence[Wanted]) -> Iterator[dict[str, TapGuest]]:
    """The guest of each port, by the tap's name; the bridges forward for those that are open."""
    names = sorted({p.device for p in wanted})
    with guests(*names) as taps:
        forwards(*(device(p) for p in wanted if p.open))
        yield dict(zip(names, taps, strict=True))
