"""SIGKILL before and after every effect of plug, update, role change and unplug; then converge."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from vifd.model import AddressPair, Attachment
from vifd.testing.census import Census
from vifd.testing.contract_kill import KillContract
from vifd.testing.contract_limits import RULES, held
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile as OvsProfile
from vifd_vhostuser.plugin import VhostUserPlugin
from vifd_vhostuser.testing import Profile as VhostUserProfile

ALL = ("plug", "update", "deactivate", "activate", "unplug")


def with_pairs(wanted: Attachment) -> Attachment:
    """The port with one more address that it may send from."""
    pairs = [AddressPair("10.0.0.77")]
    port = msgspec.structs.replace(wanted.port, allowed_address_pairs=pairs)
    return msgspec.structs.replace(wanted, port=port)


class OvsChanges(OvsProfile):
    """A change that touches the device, the flows and the meters."""

    def attachment(self, number: int) -> Attachment:
        return held(super().attachment(number), *RULES)

    def altered(self, wanted: Attachment) -> Attachment:
        return held(with_pairs(super().altered(wanted)), *RULES, other=True)


class TestOvsKilled(KillContract):
    touching = ALL

    @pytest.fixture
    def profile(self) -> Profile:
        return OvsChanges(OvsPlugin)


class LinuxBridgeLimits(LinuxBridgeProfile):
    """Ports with every limit; a change touches the device and the rates."""

    def attachment(self, number: int) -> Attachment:
        return held(super().attachment(number), *RULES)

    def altered(self, wanted: Attachment) -> Attachment:
        return held(super().altered(wanted), *RULES, other=True)


class TestLinuxBridgeKilled(KillContract):
    touching = ALL

    @pytest.fixture
    def profile(self) -> Profile:
        return LinuxBridgeLimits(LinuxBridgePlugin)


class VhostUserChanges(VhostUserProfile):
    """A change that touches the row, the flows and the meters."""

    def attachment(self, number: int) -> Attachment:
        return held(super().attachment(number), *RULES)

    def altered(self, wanted: Attachment) -> Attachment:
        return held(with_pairs(super().altered(wanted)), *RULES, other=True)


@pytest.mark.needs("dpdk")
class TestVhostUserKilled(KillContract):
    """One switch for all, because it takes long to start; each test makes a bridge of its own."""

    touching = ALL

    @pytest.fixture(scope="class")
    @classmethod
    def switch(cls, isolated: None) -> Iterator[PrivateOvs]:
        with DpdkOvs() as private:
            yield private

    @pytest.fixture
    def ovs(self, switch: PrivateOvs, leaks: Census) -> Iterator[PrivateOvs]:
        yield switch
        switch.reset()

    @pytest.fixture
    def profile(self) -> Iterator[Profile]:
        made = VhostUserChanges(VhostUserPlugin)
        yield made
        made.close()
