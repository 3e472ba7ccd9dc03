"""Measured rates held to what was asked for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from functional.qos.stations import SPAN, datagrams, rates
from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, mac
from vifd.testing.guests import assert_reaches

RATE = 10_000
#: A tenth of a second's worth: less would cost what a busy machine makes the switch wait.
BURST = 2_000
#: So many measurements there are at most: on a machine that is busy with others a sender may not
#: get to send enough.
TRIES = 6


def limit(direction: str, rate: int = RATE) -> dict[str, Any]:
    """A rule that limits bandwidth."""
    return {"type": "bandwidth_limit", "max_kbps": rate, "max_burst_kbps": BURST,
            "direction": direction}  # fmt: skip


def close_to(wanted: float, found: Iterator[float], burst: float = BURST * 1000) -> float:
    """The first measurement that is within 10 % of what is wanted. None may be above; where none
    is within and the machine is busy with others, it did not get to send enough.

    :param burst: what may pass besides, in one measurement
    """
    seen = []
    for value in itertools.islice(found, TRIES):
        seen.append(value)
        assert value <= 1.1 * wanted + burst / SPAN
        if abs(value - wanted) <= wanted / 10:
            return value
    skip_if_busy(seen)
    return max(seen)


def skip_if_busy(seen: list[float]) -> None:
    """A sender that has no turn measures the machine, and not the limit."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 3 * cores:
        pytest.skip(f"needs a machine that is not busy: load {load:.0f}, measured {max(seen):.3g}")


def assert_not_limited(one: Any, two: Any) -> None:
    """More than the limit of the other way passes from one station to another."""
    with datagrams(one, two, 1300, 25e6):
        seen: list[float] = []
        for bits, _ in itertools.islice(rates(two), TRIES):
            seen.append(bits)
            if bits > 1.3e3 * RATE:
                return
    skip_if_busy(seen)
    assert max(seen) > 1.3e3 * RATE


def assert_marked(one: Any, two: Any) -> None:
    """What the first guest sends to the second bears DSCP 46 and keeps its ECN, over IPv4 and IPv6;
    what comes back passes as well."""
    four = bytearray(f.udp(mac(1), mac(2), ipv4(1), ipv4(2)))
    four[15] = 8 << 2 | 1  # another mark, and ECT(1) of RFC 3168
    four[24:26] = bytes(2)
    four[24:26] = f.checksum(bytes(four[14:34])).to_bytes(2, "big")
    one.send(bytes(four))
    got = two.recv(predicate=lambda frame: frame[12:14] == b"\x08\x00")
    assert got[15] == 46 << 2 | 1
    assert f.checksum(got[14:34]) == 0
    six = bytearray(f.udp(mac(1), mac(2), "fd00::1", "fd00::2"))
    six[14] |= 8 >> 2
    six[15] = (six[15] & 0x0F) | 3 << 4  # ECN: congestion experienced
    one.send(bytes(six))
    got = two.recv(predicate=lambda frame: frame[12:14] == b"\x86\xdd")
    assert int.from_bytes(got[14:16], "big") >> 4 & 0xFF == 46 << 2 | 3
    back = f.udp(mac(2), mac(1), ipv4(2), ipv4(1))
    assert_reaches(two, one, back)
