"""Logs of security groups: how much is written, and what a line says, whatever a guest sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functional.groups.packets import Station, first
from vifd.engine import packetline
from vifd.engine.logpace import Pace
from vifd.model.sets import GroupLog, LogEvent
from vifd.policy import headers
from vifd.policy.logged import Logged, about, logged, wants
from vifd.policy.rule import Direction
from vifd.testing import frames as f

HERE, THERE = (
    Station(f"02:00:00:00:00:0{n}", f"10.0.0.{n}", f"fd00::{n}") for n in (1, 2)
)  # fmt: skip
LOG, PORT, GROUP = (f"{n}0000000-0000-4000-8000-000000000000" for n in (1, 2, 3))


@given(st.lists(st.floats(0, 0.2), max_size=300), st.integers(1, 50), st.integers(1, 30))
def test_never_more_than_the_limit_whatever_comes(
    pauses: list[float], rate: int, burst: int
) -> None:
    pace, now, passed = Pace(rate, burst, 10_000), 0.0, []
    for pause in pauses:
        now += pause
        if pace.take("port", now):
            passed.append(now)
    for i, began in enumerate(passed):
        for j, ended in enumerate(passed[i:], 1):
            assert j <= burst + rate * (ended - began) + 1e-6


def test_one_port_hides_no_other_but_all_have_a_limit() -> None:
    pace = Pace(10, 5, 8)
    assert [pace.take("noisy", 0.0) for _ in range(20)].count(True) == 5
    assert pace.take("quiet", 0.0)
    assert [pace.take(f"p{n}", 0.0) for n in range(20)].count(True) == 8 - 6


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("name", "protocol", "ports"),
    [("tcp:80", "tcp", (7, 80)), ("udp:53", "udp", (7, 53)), ("proto:132/5060", "sctp", (7, 5060)),
     ("proto:47", "47", None)],
)  # fmt: skip
def test_the_five_tuple(
    version: int, name: str, protocol: str, ports: tuple[int, int] | None
) -> None:
    found = headers.read(first(name, HERE, THERE, version, 7))
    assert (found.name, found.ports) == (protocol, ports)
    assert (found.source, found.target) == (HERE.ip(version), THERE.ip(version))
    assert found.flags == ("S" if protocol == "tcp" else "")
    packet = found.packet(Direction.EGRESS)
    assert packet is not None
    assert (packet.remote, packet.dport) == (THERE.ip(version), ports[1] if ports else 0)


def test_extension_headers_and_fragments() -> None:
    whole = first("udp:53", HERE, THERE, 6, 7)
    extended = f.ipv6(
        HERE.mac, THERE.mac, HERE.ip6, THERE.ip6, 60, b"\x11\0" + bytes(6) + whole[54:]
    )
    assert headers.read(extended).ports == (7, 53)
    later = f.ipv6(
        HERE.mac, THERE.mac, HERE.ip6, THERE.ip6, 44, b"\x11\0\0\x08" + bytes(4) + b"data"
    )
    found = headers.read(later)
    assert (found.protocol, found.ports, found.fragment) == (17, None, True)


@given(st.binary(max_size=120), st.integers(0, 120))
def test_nothing_that_a_guest_sends_breaks_the_reading(tail: bytes, cut: int) -> None:
    for kind in (b"\x08\0", b"\x86\xdd", b"\x81\0", b""):
        headers.read((bytes(12) + kind + tail)[:cut])


@pytest.mark.parametrize("text", ["a b", 'x"y', "a=b", "line\nbreak", "\x1b[31m", "\u2028", ""])
def test_a_value_never_makes_two(text: str) -> None:
    word = packetline._word(text)
    assert word
    assert len(word.split()) == 1
    assert word.isprintable()
    assert not set(word) & set('="')


def test_which_ports_a_log_is_about() -> None:
    def has(groups: tuple[str, ...] | None = (GROUP,), project: str = "p", **said: str) -> bool:
        return bool(about([GroupLog(id=LOG, **said)], PORT, groups, project))  # type: ignore[arg-type]

    assert has()
    assert has(resource_id=GROUP)
    assert not has(resource_id=LOG)
    assert has(target_id=PORT, project_id="another")
    assert not has(target_id=GROUP)
    assert not has(target_id=PORT, resource_id=LOG)
    assert has(project_id="p")
    assert not has(project_id="q")
    assert not has(groups=None)
    assert not about([GroupLog(id=LOG, enabled=False)], PORT, (GROUP,), "p")


def test_what_a_log_has() -> None:
    drop = GroupLog(id=LOG, event=LogEvent.DROP)
    accept = GroupLog(id=LOG, event=LogEvent.ACCEPT, resource_id=GROUP)
    assert logged([drop]) == Logged(accepted=False, dropped=True)
    assert logged([drop, accept]) == logged([GroupLog(id=LOG)]) == Logged(True, True)
    assert wants(drop, None, accepted=False)
    assert not wants(drop, GROUP, accepted=True)
    assert wants(accept, GROUP, accepted=True)
    assert not wants(accept, LOG, accepted=True)
