"""Limits under the whole daemon: said with the rate, changed while the port is open, and back after
whatever takes them away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_daemon import FAST, flow_ages
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

_PATH = f"/v1/ports/{port_id(1)}"


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, FAST) as daemon:
        yield daemon


def limited(rate: int) -> dict[str, Any]:
    """A document with a limit and a mark."""
    rules = [{"type": "bandwidth_limit", "max_kbps": rate, "direction": "egress"},
             {"type": "dscp_marking", "dscp_mark": 46}]  # fmt: skip
    return document(1, port__qos_policy={"rules": rules})


def rates(ovs: PrivateOvs) -> list[int]:
    """The rates of the switch's meters, by a second opinion."""
    return sorted(map(int, re.findall(r"rate=(\d+)", ovs.ofctl("dump-meters", "br-int"))))


def have(ovs: PrivateOvs, *wanted: int) -> bool:
    """Whether these are its rates; a switch that starts does not say yet."""
    try:
        return rates(ovs) == [*wanted]
    except RuntimeError:
        return False


def test_limits_last(ovs: PrivateOvs, vifd: Vifd) -> None:
    status, port = vifd.plug(limited(5000))
    assert (status, port["status"]) == (201, "ACTIVE"), port
    enforced = {e["feature"]: (e["level"], e["enforced_by"]) for e in port["enforcement"]}
    for feature in ("qos.bandwidth_limit.egress", "qos.dscp_marking.egress"):
        assert enforced[feature] == ("dataplane", "ovs")
    facts = {e["fact"]: e for e in vifd.get(_PATH)["evidence"]}
    assert facts["qos.bandwidth_limit.egress"]["have"] == "5000 kbit/s, burst 4000 kbit"
    assert facts["qos.dscp_marking.egress"]["have"] == [46]

    before = flow_ages(ovs)
    assert vifd.plug(limited(7000))[0] == 200
    assert rates(ovs) == [7000]
    after = flow_ages(ovs)
    assert [flow for flow, age in after.items() if age < before.get(flow, 0)] == []
    assert after.keys() == before.keys()

    # another program takes the meter away, and with it the flows that name it
    ovs.ofctl("del-meters", "br-int")
    until(lambda: have(ovs, 7000), "the meter is back")
    until(lambda: vifd.get(_PATH)["status"] == "ACTIVE", "the port is as it was")

    ovs.vswitchd.kill()
    ovs.vswitchd.start()
    until(lambda: have(ovs, 7000), "the restarted switch has it too")
    until(lambda: vifd.get(_PATH)["status"] == "ACTIVE", "the port is as it was")

    vifd.kill()
    before = flow_ages(ovs)
    vifd.start()
    vifd.ready()
    assert rates(ovs) == [7000]
    after = flow_ages(ovs)
    assert [flow for flow, age in after.items() if age < before.get(flow, 0)] == []

    assert vifd.unplug(port_id(1))[0] == 204
    assert rates(ovs) == []
