"""The table where the other side is behind a tunnel: each type over each version of IP, on fakes
and between two hosts with a switch each."""

from __future__ import annotations

import pytest

from functional.groups.playing import play
from functional.groups.rig import Rig
from functional.groups.rig_tunnel import FakeTunnelRig, TunnelRig, port
from functional.groups.table import GROUP, cases, sets
from functional.tunnels.test_two_hosts import CASES

TUNNELS = pytest.mark.parametrize(
    ("number", "kind", "version"),
    [(n, *case) for n, case in enumerate(CASES)],
    ids=[f"{kind}-ipv{version}" for kind, version in CASES],
)


def wrong(rig: Rig, kind: str, number: int = 0, of: int = 1) -> list[str]:
    """The cases that came out otherwise than they should.

    :param of: so many play them together, this one those of its number
    """
    if not rig.names:
        rig.sets.group(GROUP)  # there is no port yet that could be waited for
    rig.plug(port=port(kind, 1, security_groups=[GROUP]))
    sets(rig.put)
    mine = [case for case in cases() if case.other == "wire"]
    return [
        line for n, case in enumerate(mine) if n % of == number
        for line in play(rig, case, 10000 + n * 16)
    ]  # fmt: skip


@TUNNELS
def test_no_difference_on_fakes(number: int, kind: str, version: int) -> None:
    with FakeTunnelRig(kind, version) as rig:
        assert not wrong(rig, kind)


@TUNNELS
def test_no_difference_between_two_hosts(
    leaks: object, number: int, kind: str, version: int
) -> None:
    """Each tunnel plays some of the table; together half of it."""
    with TunnelRig(kind, version) as rig:
        assert not wrong(rig, kind, 2 * number + number % 2, 2 * len(CASES))
        assert not rig.findings()
