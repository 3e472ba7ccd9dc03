"""The whole table: rules by packets, both ways, IPv4 and IPv6, on fakes and a real switch."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from functional.groups.playing import play
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.rig_bridge import FakeBridgeRig, RealBridgeRig
from functional.groups.table import GROUP, OTHERS, cases, sets
from vifd.testing.attachments import attachment, flat
from vifd.testing.sandbox import DATAPATH

#: So many source ports one case may take.
_EACH = 16
#: Linux holds the checksum of UDP-Lite against a header of UDP: no valid packet passes there
#: (nf_conntrack_proto_udp.c, up to 6.1 at least).
UNSEEN_BY_LINUX = "UDP-Lite"


def furnish(rig: Rig) -> None:
    """The port that is judged, and one beside it that nothing filters."""
    sets(rig.put)
    rig.say(GROUP)
    rig.plug(
        port=attachment(1, segment=flat(), security_groups=[GROUP]),
        peer=attachment(2, segment=flat()),
    )


def assert_no_difference(
    rig: Rig, every: int = 1, unseen: str = "-", others: Collection[str] = OTHERS
) -> None:  # fmt: skip
    """
    :param others: at the other side
    :param every: of cases that differ by the other side alone, so many play one
    :param unseen: cases about this are left out
    """
    played = [(n, case) for n, case in enumerate(cases()) if unseen not in case.said.what.split()]
    played = [(n, case) for n, case in played if case.other in others]
    played = [(n, case) for n, case in played if (n + n // every) % every == 0]
    wrong = [line for n, case in played for line in play(rig, case, 10000 + n * _EACH)]
    assert not wrong, "\n".join(wrong)
    assert not rig.ledger.findings()


def test_no_difference_on_fakes():
    with FakeRig() as rig:
        furnish(rig)
        assert_no_difference(rig)


def test_no_difference_through_the_switch(ovs, wire):
    with RealRig(ovs, wire) as rig:
        furnish(rig)
        assert_no_difference(rig, every=2, unseen=UNSEEN_BY_LINUX if DATAPATH == "system" else "")


def test_no_difference_on_fakes_of_the_kernels_bridge():
    with FakeBridgeRig() as rig:
        furnish(rig)
        assert_no_difference(rig)


@pytest.mark.needs("bridge_tracking")
def test_no_difference_through_the_kernels_bridge(cable):
    with RealBridgeRig(cable) as rig:
        furnish(rig)
        assert_no_difference(rig, unseen=UNSEEN_BY_LINUX)


def test_there_are_enough_cases():
    assert sum(len(case.packets) for case in cases()) // 2 >= 150
