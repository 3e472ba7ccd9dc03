"""SIGKILL before and after every effect of plug, update, role change and unplug; then converge."""

from __future__ import annotations

import msgspec
import pytest

from vifd.model import AddressPair, Attachment
from vifd.testing.contract_kill import KillContract
from vifd.testing.profile import Profile
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile as OvsProfile


class OvsChanges(OvsProfile):
    """A change that touches the device and the flows."""

    def altered(self, wanted: Attachment) -> Attachment:
        changed = super().altered(wanted)
        pairs = [AddressPair("10.0.0.77")]
        port = msgspec.structs.replace(changed.port, allowed_address_pairs=pairs)
        return msgspec.structs.replace(changed, port=port)


class TestOvsKilled(KillContract):
    @pytest.fixture
    def profile(self) -> Profile:
        return OvsChanges(OvsPlugin)


class TestLinuxBridgeKilled(KillContract):
    @pytest.fixture
    def profile(self) -> Profile:
        return LinuxBridgeProfile(LinuxBridgePlugin)
