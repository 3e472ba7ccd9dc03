"""Every test here works on a real kernel and must leave it as it was."""

import pytest

from vifd.testing.census import Census
from vifd.testing.guests import PacketGuest
from vifd.testing.sandbox import OF_DATAPATH


@pytest.fixture(autouse=True)
def _nothing_left(leaks: Census) -> None:
    """Fail on what a test leaves behind."""


@pytest.fixture
def wire(ovs, far):
    """A physical bridge of the switch with a cable; what hangs on the cable's far end."""
    ovs.vsctl("add-br", "br-phys", "--", "set", "Bridge", "br-phys", OF_DATAPATH)
    far.veth("eth-phys", "wire")
    ovs.vsctl("add-port", "br-phys", "eth-phys")
    ovs.wait_for_carrier("eth-phys")
    guest = far.run(PacketGuest, "wire")
    yield guest
    guest.close()
    ovs.vsctl("del-port", "br-phys", "eth-phys")
