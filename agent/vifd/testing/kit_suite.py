"""The tests of :mod:`vifd.testing.kit`: the whole contract, for the plugin that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vifd.drivers import Drivers
from vifd.model import Attachment
from vifd.plugin import Host, VifPlugin, inspection
from vifd.testing.contract import PluginContract
from vifd.testing.contract_engine import EngineContract
from vifd.testing.contract_kill import KillContract
from vifd.testing.hosts import real_drivers
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs


@pytest.mark.usefixtures("profile")
class TestContract(PluginContract):
    """Every verb repeated, a fault and a crash at every call, bad company."""

    profile: Profile

    @pytest.fixture(autouse=True)
    def _about(self, profile: Profile) -> None:
        self.profile = profile

    @pytest.fixture
    def drivers(self, vif_drivers: Drivers) -> Drivers:
        return vif_drivers

    def factory(self, host: Host) -> VifPlugin:
        return self.profile.plugin(host)

    def attachment(self, number: int) -> Attachment:
        return self.profile.attachment(number)

    def altered(self, wanted: Attachment) -> Attachment:
        return self.profile.altered(wanted)

    def residue(self, drivers: Drivers) -> set[str]:
        return self.profile.residue(drivers)

    def test_what_can_be_seen_without_a_port(self, ledger: Ledger, injector: Injector) -> None:
        injector.arm()
        found = inspection.inspect(ledger.plugin)
        assert [check for check in found.checks if not check.ok] == []
        assert injector.writes == []

    # --- what does not hold of a plugin that makes nothing ---

    def test_unplug_leaves_nothing(self, ledger: Ledger, count: Callable[[], set[str]]) -> None:
        if self.profile.makes:
            super().test_unplug_leaves_nothing(ledger, count)
            return
        assert not ledger.plug(*(self.attachment(n) for n in range(1, 4)))
        assert count() == set()
        assert not ledger.unplug()

    def test_check_of_a_port_that_is_gone_finds_it(self, ledger: Ledger) -> None:
        self._only_if_it_makes_something()
        super().test_check_of_a_port_that_is_gone_finds_it(ledger)

    def test_observe_finds_what_is_there(self, ledger: Ledger) -> None:
        self._only_if_it_makes_something()
        super().test_observe_finds_what_is_there(ledger)

    def test_what_was_observed_can_be_unplugged(
        self, ledger: Ledger, count: Callable[[], set[str]]
    ) -> None:
        self._only_if_it_makes_something()
        super().test_what_was_observed_can_be_unplugged(ledger, count)

    def _only_if_it_makes_something(self) -> None:
        if not self.profile.makes:
            pytest.skip("the plugin makes nothing, says its profile")


class TestEngine(EngineContract):
    """Many callers of one port, calls that hang, verbs that raise, many turns."""

    @pytest.fixture
    def profile(self, profile: Profile) -> Profile:
        return profile

    @pytest.fixture
    def drivers(self, vif_drivers: Drivers) -> Drivers:
        return vif_drivers


@pytest.fixture(scope="module")
def nursery(isolated: None, request: pytest.FixtureRequest) -> Iterator[Nursery]:
    """Daemons that can be killed."""
    if request.config.option.vif_host != "real":
        pytest.skip("fakes die with the process: --vif-host real")
    with Nursery() as made:
        yield made


class TestKill(KillContract):
    """SIGKILL of the real daemon before and after every effect."""

    @pytest.fixture
    def profile(self, nursery: Nursery, profile: Profile) -> Profile:
        return profile

    @pytest.fixture(autouse=True)
    def _prepared(self, ovs: PrivateOvs, profile: Profile) -> Any:
        with real_drivers(ovs) as drivers, profile.prepared(drivers):
            yield
