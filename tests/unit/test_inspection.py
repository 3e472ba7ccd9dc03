"""The harmless part of the contract, held against plugins that break it one by one."""

from __future__ import annotations

from typing import Any

import pytest
from oslo_config import cfg

from contract import noop, ovs
from vifd import errors
from vifd.drivers import Drivers
from vifd.model import Wiring
from vifd.plugin import Advert, Health, Host, Observed, Probe, Requirement, VifPlugin, inspection
from vifd.plugin.inspection import Inspection, inspect
from vifd.testing.injection import Injector
from vifd.testing.machines import FakeMachine
from vifd.testing.plugin import FakeBackend, FakePlugin


def drivers() -> Drivers:
    return FakeMachine().drivers


def host() -> Host:
    return Host(drivers(), dict)


def details(found: Inspection) -> dict[str, str]:
    return {check.name: check.detail for check in found.checks}


def broken(found: Inspection) -> dict[str, str]:
    return {check.name: check.detail for check in found.checks if not check.ok}


def plugin(**members: Any) -> VifPlugin:
    """A good plugin with some members replaced."""
    cls = type("Changed", (FakePlugin,), members)
    made: VifPlugin = cls(FakeBackend(), host())
    return made


@pytest.mark.parametrize("make", [ovs.plugin, noop.plugin])
def test_the_plugins_of_the_tree_keep_the_contract(make: Any) -> None:
    found = inspect(make(host()))
    assert broken(found) == {}
    assert found.ok
    assert {"contract.version", "options.documented", "probe.health", "observe"} <= set(
        details(found)
    )


def test_nothing_on_the_host_is_changed() -> None:
    injector = Injector(drivers())
    made = ovs.plugin(Host(injector.drivers, dict))
    injector.arm()
    inspect(made)
    assert injector.calls
    assert injector.writes == []


def test_what_is_not_met_here_is_said_and_no_fault() -> None:
    found = inspect(ovs.plugin(host()))
    assert found.ok
    assert "physical_network" in details(found)["requires.vlan"]
    assert "name.vlan" not in details(found)
    assert details(found)["name.local"].startswith("device tap")


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("never")


@pytest.mark.parametrize(
    ("members", "check", "said"),
    [
        ({"contract_version": "2.0"}, "contract.version", "2.0, this vifd speaks"),
        ({"contract_version": None}, "contract.version", "None"),
        ({"observe": None}, "contract.verbs", "lacks observe"),
        ({"options": classmethod(lambda cls: [cfg.StrOpt("mtu")])}, "options.documented", "mtu"),
        ({"options": classmethod(raising)}, "options", "ZeroDivisionError"),
        ({"describe": classmethod(raising)}, "describe", "ZeroDivisionError"),
        ({"describe": classmethod(lambda cls: {})}, "describe", "is no Advert"),
        ({"probe": raising}, "probe", "ZeroDivisionError"),
        ({"probe": lambda self: "good"}, "probe", "is no Probe"),
        ({"probe": lambda self: Probe(Health.DEGRADED)}, "probe.health", "names no reason"),
        ({"probe": lambda self: Probe(Health.READY, [], {"x": object()})}, "probe.facts", "raised"),
        ({"requires": raising}, "requires.local", "ZeroDivisionError"),
        ({"requires": lambda self, a: ["mtu"]}, "requires.local", "no Requirement"),
        ({"name": raising}, "name.local", "ZeroDivisionError"),
        ({"name": lambda self, a, t: "tap0"}, "name.local", "is no Wiring"),
        ({"name": lambda self, a, t: Wiring("other", "", "")}, "name.local", "'other'"),
        ({"name": lambda self, a, t: Wiring("fake", "", "x" * 16)}, "name.local", "15 bytes"),
        ({"name": lambda self, a, t: Wiring("fake", "", "x", {"n": {1, 2}})}, "name.local", "JSON"),
        ({"vif": raising}, "vif.local", "ZeroDivisionError"),
        ({"vif": lambda self, a, w: {}}, "vif.local", "{}"),
        ({"observe": raising}, "observe", "ZeroDivisionError"),
        ({"observe": lambda self: ["tap0"]}, "observe", "is no Observed"),
        ({"observe": lambda self: [Observed("1", Wiring("fake", "", ""))]}, "observe", "no UUID"),
    ],
)
def test_each_breach_is_named(members: dict[str, Any], check: str, said: str) -> None:
    found = inspect(plugin(**members))
    assert not found.ok
    assert said in broken(found)[check]


def test_a_field_that_no_document_has(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = frozenset({"network.mut", "port.binding_profile.any.thing", "instance.vcpus"})
    advert = Advert(("fake",), network_types=("local",), in_place=paths)
    found = inspect(plugin(describe=classmethod(lambda cls: advert)))
    assert broken(found) == {"describe.in_place": "no such field: network.mut"}


def test_a_slow_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "PROBE_SECONDS", 0.0)
    assert "ms" in broken(inspect(plugin()))["probe.time"]


def test_a_refusal_of_name_with_a_code_is_an_answer() -> None:
    def refuse(*_: Any) -> Wiring:
        raise errors.NoLocalVlan(facts={"bridge": "br-int"})

    assert inspect(plugin(name=refuse)).ok


def test_an_unmet_requirement_needs_an_error_with_a_code() -> None:
    needs = [Requirement("mtu", met=False, error=ValueError("small"))]  # type: ignore[arg-type]
    assert "requires.local" in broken(inspect(plugin(requires=lambda self, a: needs)))
