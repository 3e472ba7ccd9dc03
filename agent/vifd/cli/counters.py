"""What passed through the devices of ports, counted by the kernel or by the switch.

The kernel counts from its own side of a tap: what it *received* there the guest has sent. Here all
is said from the guest's side. A vhost-user port has no device of the kernel; the switch counts it,
and writes that down every five seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vifd.cli import switchrows
from vifd.cli.switchrows import DATABASE

#: The devices of this process's network namespace; unlike /sys it is never another one's.
DEVICES = Path("/proc/self/net/dev")
_TABLES = {"Interface": {"name": switchrows.text, "statistics": switchrows.numbers}}


class Count(NamedTuple):
    """Counters of a port since its device was made, from the guest's side.

    :param lost_out: frames of the guest that its device had no room for
    """

    bytes_out: int
    frames_out: int
    lost_out: int
    bytes_in: int
    frames_in: int
    lost_in: int


class Rate(NamedTuple):
    """A port's traffic between two moments, per second."""

    bits_out: float
    frames_out: float
    bits_in: float
    frames_in: float
    lost: float


def parse(text: str) -> dict[str, Count]:
    """By device, what /proc/net/dev says."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        n = [int(word) for word in rest.split()]
        if len(n) >= 12:
            found[name.strip()] = Count(n[0], n[1], n[3], n[8], n[9], n[11])
    return found


def of_switch(rows: Iterable[Mapping[str, Any]]) -> dict[str, Count]:
    """By name, what rows of the table Interface say."""
    names = ("rx_bytes", "rx_packets", "rx_dropped", "tx_bytes", "tx_packets", "tx_dropped")
    return {
        row["name"]: Count(*(row["statistics"].get(name, 0) for name in names))
        for row in rows
        if row["statistics"]
    }


def read(ports: Sequence[Mapping[str, Any]], database: str = DATABASE) -> dict[str, Count]:
    """By port id, its counters; a port without a device has none.

    :param ports: with ``id``, ``device`` and ``vif`` as the API answers them
    """
    known = parse(DEVICES.read_text())
    if any((port.get("vif") or {}).get("type") == "vhostuser" for port in ports):
        known |= of_switch(_interfaces(database))
    return {str(p["id"]): known[p["device"]] for p in ports if p.get("device") in known}


def rates(before: Mapping[str, Count], now: Mapping[str, Count], seconds: float) -> dict[str, Rate]:
    """By port, what passed between two readings. A device that was made anew counts from zero."""
    return {port: _rate(before.get(port), count, seconds) for port, count in now.items()}


def _rate(before: Count | None, now: Count, seconds: float) -> Rate:
    if before is None or seconds <= 0 or any(b > n for b, n in zip(before, now, strict=True)):
        return Rate(0.0, 0.0, 0.0, 0.0, 0.0)
    d = Count(*(n - b for b, n in zip(before, now, strict=True)))
    lost = d.lost_out + d.lost_in
    return Rate(
        8 * d.bytes_out / seconds, d.frames_out / seconds, 8 * d.bytes_in / seconds,
        d.frames_in / seconds, lost / seconds,
    )  # fmt: skip


def _interfaces(database: str) -> list[Any]:
    """The rows of the switch's interfaces; none where it does not answer."""
    try:
        rows: list[Any] = switchrows.select(_TABLES, database)["Interface"]
    except (OSError, ValueError):
        return []
    return rows
