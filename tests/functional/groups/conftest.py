"""Hosts whose ports have security groups."""

from __future__ import annotations

import pytest

from functional.groups.rig import FakeRig, RealRig
from vifd.testing.guests import PacketGuest


@pytest.fixture
def wire(ovs, far):
    """A physical bridge with a cable; its far end."""
    ovs.vsctl("add-br", "br-phys", "--", "set", "Bridge", "br-phys", "datapath_type=netdev")
    far.veth("eth-phys", "wire")
    ovs.vsctl("add-port", "br-phys", "eth-phys")
    ovs.wait_for_carrier("eth-phys")
    guest = far.run(PacketGuest, "wire")
    yield guest
    guest.close()
    ovs.vsctl("del-port", "br-phys", "eth-phys")


@pytest.fixture(params=["fakes", "switch"])
def rig(request):
    """The same on fakes and on a real switch."""
    if request.param == "fakes":
        with FakeRig() as rig:
            yield rig
        return
    ovs, cable = request.getfixturevalue("ovs"), request.getfixturevalue("wire")
    with RealRig(ovs, cable) as rig:
        yield rig
