"""What ovn-controller was told of a host."""

from __future__ import annotations

import pytest

from vifd_ovs.bridge.chassis import BRIDGE, chassis_of, taken_by_ovn

TOLD = {
    "system-id": "here",
    "ovn-remote": "tcp:192.0.2.1:6642,tcp:192.0.2.2:6642",
    "ovn-encap-type": "geneve, vxlan",
    "ovn-encap-ip": "192.0.2.10",
    "ovn-bridge-mappings": "physnet1:br-ex,physnet2:br-two",
}


def facts(**ids: str):
    return {"external_ids": TOLD | ids}


def test_everything_that_was_told() -> None:
    chassis = chassis_of(facts())
    assert chassis is not None
    assert chassis.name == "here"
    assert chassis.remote == TOLD["ovn-remote"]
    assert chassis.bridge == BRIDGE
    assert chassis.encap_types == ("geneve", "vxlan")
    assert chassis.encap_ip == "192.0.2.10"
    assert chassis.mappings == {"physnet1": "br-ex", "physnet2": "br-two"}


def test_a_key_of_the_chassis_comes_before_the_common_one() -> None:
    chassis = chassis_of(facts(**{"ovn-bridge": "br-all", "ovn-bridge-here": "br-mine"}))
    assert chassis is not None
    assert chassis.bridge == "br-mine"


@pytest.mark.parametrize("ids", [{}, {"system-id": "here"}, {"ovn-remote": "  "}])
def test_a_host_without_a_database_of_ovn_is_no_chassis(ids: dict[str, str]) -> None:
    assert chassis_of({"external_ids": ids}) is None
    assert taken_by_ovn({"external_ids": ids}, BRIDGE) == ""


def test_facts_of_a_switch_that_was_not_reached() -> None:
    assert chassis_of({}) is None


@pytest.mark.parametrize("text", ["", ",", "physnet1", ":br-ex", "physnet1:"])
def test_mappings_that_name_nothing(text: str) -> None:
    chassis = chassis_of(facts(**{"ovn-bridge-mappings": text}))
    assert chassis is not None
    assert chassis.mappings == {}


def test_only_its_own_bridge_is_taken() -> None:
    assert "belongs to ovn-controller" in taken_by_ovn(facts(), BRIDGE)
    assert taken_by_ovn(facts(), "br-vifd") == ""
