"""SIGKILL before and after every effect of plug, update, role change and unplug; then converge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from vifd.model import AddressPair, Attachment
from vifd.testing.census import Census
from vifd.testing.contract_kill import KillContract
from vifd.testing.daemon import Vifd
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile as OvsProfile
from vifd_vhostuser.plugin import VhostUserPlugin
from vifd_vhostuser.testing import Profile as VhostUserProfile


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


@pytest.mark.needs("dpdk")
class TestVhostUserKilled(KillContract):
    """Dead before an effect is dead after the one before it: of two times, the slow switch gets
    one."""

    @pytest.fixture
    def ovs(self, leaks: Census) -> Iterator[PrivateOvs]:
        with DpdkOvs() as private:
            yield private

    @pytest.fixture
    def profile(self) -> Iterator[Profile]:
        made = VhostUserProfile(VhostUserPlugin)
        yield made
        made.close()

    @pytest.mark.parametrize("operation", ["plug", "update", "deactivate", "unplug"])
    def test_killed_at_every_effect(  # type: ignore[override]
        self, operation: str, vifd: Vifd, ovs: PrivateOvs, profile: Profile, tmp_path: Path
    ) -> None:
        super().test_killed_at_every_effect(operation, "after", vifd, ovs, profile, tmp_path)
