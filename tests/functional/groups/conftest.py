"""Hosts whose ports have security groups."""

from __future__ import annotations

import pytest

from functional.groups.rig import FakeRig, RealRig
from functional.groups.rig_bridge import FakeBridgeRig, RealBridgeRig
from support import cables


@pytest.fixture
def cable(far):
    """A cable to another host; its far end."""
    with cables.cable(far) as guest:
        yield guest


@pytest.fixture(params=[
    "fakes", "switch", "bridge on fakes",
    pytest.param("bridge", marks=pytest.mark.needs("bridge_tracking")),
])  # fmt: skip
def rig(request):
    """The same on fakes and for real, on Open vSwitch and on the kernel's bridge."""
    if request.param.endswith("fakes"):
        with FakeRig() if request.param == "fakes" else FakeBridgeRig() as rig:
            yield rig
        return
    if request.param == "bridge":
        with RealBridgeRig(request.getfixturevalue("cable")) as rig:
            yield rig
        return
    ovs, cable = request.getfixturevalue("ovs"), request.getfixturevalue("wire")
    with RealRig(ovs, cable) as rig:
        yield rig


@pytest.fixture(
    params=["fakes", pytest.param("bridge", marks=pytest.mark.needs("bridge_tracking"))]
)
def bridge_rig(request):
    """The kernel's bridge, on fakes and for real."""
    made = FakeBridgeRig() if request.param == "fakes" else None
    with made or RealBridgeRig(request.getfixturevalue("cable")) as rig:
        yield rig
