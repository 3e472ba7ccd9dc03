"""Which virtio features a guest has, and which a switch withholds."""

from __future__ import annotations

from typing import Any

import pytest

from vifd.drivers import PortRow
from vifd.model import Evidence
from vifd.plugin.guest.features import AGREED, WITHHELD, missing
from vifd_vhostuser.features import agreed, evidence, withheld


def row(features: str) -> PortRow:
    return PortRow("vhu1", "br-int", status={"status": "connected", "features": features})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0x0000000100008000", ["MRG_RXBUF", "VERSION_1"]),
        # what is between QEMU and the switch is not the guest's
        ("0x0000000144008000", ["MRG_RXBUF", "VERSION_1"]),
        ("0x0000010000000800", ["HOST_TSO4", "bit 40"]),
        ("0x0", []), ("", None), ("many", None), ("0x11111111111111111", None),
    ],
)  # fmt: skip
def test_what_a_guest_has(text: str, found: list[str] | None) -> None:
    assert agreed(row(text)) == found


@pytest.mark.parametrize(
    ("version", "config", "names"),
    [
        ("3.1.0", {}, {"HOST_TSO4", "HOST_TSO6", "CSUM", "ACCESS_PLATFORM"}),
        ("3.2.1", {}, {"HOST_TSO4", "HOST_TSO6", "ACCESS_PLATFORM"}),
        ("", {}, {"HOST_TSO4", "HOST_TSO6", "ACCESS_PLATFORM"}),
        ("3.1.0", {"userspace-tso-enable": "true"}, {"ACCESS_PLATFORM"}),
        ("3.1.0", {"userspace-tso-enable": "true", "vhost-iommu-support": "true"}, set()),
    ],
)  # fmt: skip
def test_what_a_switch_withholds(version: str, config: dict[str, str], names: set[str]) -> None:
    assert set(withheld({"ovs_version": version, "other_config": config})) == names


def test_before_a_guest_is_there_only_what_is_withheld_is_known() -> None:
    facts = [one.fact for one in evidence(PortRow("vhu1", "br-int"), {})]
    assert facts == [WITHHELD]
    assert [one.fact for one in evidence(row("0x8000"), {})] == [AGREED, WITHHELD]


@pytest.mark.parametrize("have", [None, 7, "CSUM", {"CSUM": 1}, [["CSUM"], {}, 7]])
def test_facts_of_another_form_say_nothing(have: Any) -> None:
    here = [Evidence(WITHHELD, {"CSUM": "why"})]
    assert missing([Evidence(AGREED, have)], here) == {}
    assert missing([Evidence(AGREED, ["CSUM"])], [Evidence(WITHHELD, have)]) == (
        {"CSUM": "1"} if isinstance(have, dict) else {}
    )
