"""QoS rules at the edges of what can be asked for."""

from __future__ import annotations

import pytest

from contract import linuxbridge, ovs
from unit.docs import document
from vifd import errors
from vifd.capabilities import enforcement
from vifd.model import decode, restore
from vifd.openflow import meters
from vifd.plugin import Host
from vifd.policy.qos import shape_of
from vifd.testing.attachments import attachment
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import shaping as of_switch

MOST = 2**31 - 1


def bandwidth(**more):
    return {"type": "bandwidth_limit", **more}


def packets(**more):
    return {"type": "packet_rate_limit", **more}


def mark(**more):
    return {"type": "dscp_marking", **more}


REFUSED = {
    "rate above what the Networking API has": (bandwidth(max_kbps=MOST + 1), "max_kbps"),
    "negative": (bandwidth(max_kbps=-1), "max_kbps"),
    "fraction": (bandwidth(max_kbps=1.5), "max_kbps"),
    "text": (packets(max_kpps="100"), "max_kpps"),
    "truth": (packets(max_kpps=True), "max_kpps"),
    "burst alone": (bandwidth(max_burst_kbps=100), "max_kbps"),
    "the other kind's field": (packets(max_kbps=100), "max_kpps"),
    "no direction": (bandwidth(max_kbps=1, direction="both"), "direction"),
    "both directions at once": (bandwidth(max_kbps=1, direction="any"), "direction"),
    "packets in both directions": (packets(max_kpps=1, direction="any"), "direction"),
    "guaranteed in both": ({"type": "minimum_bandwidth", "min_kbps": 1, "direction": "any"},
                           "direction"),
    "a mark on what the guest gets": (mark(dscp_mark=46, direction="ingress"), "direction"),
    "no mark": (mark(), "dscp_mark"),
    "a mark that is none": (mark(dscp_mark=64), "dscp_mark"),
    "no type": ({"type": "", "max_kbps": 3}, "type"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("owner", ["port", "network"])
def test_what_makes_no_sense_is_refused_with_the_fields_path(name, owner):
    rule, field = REFUSED[name]
    with pytest.raises(errors.BadDocument) as refused:
        decode(document(1, **{f"{owner}__qos_policy": {"rules": [rule]}}))
    assert refused.value.facts["field"] == f"{owner}.qos_policy.rules[0].{field}"


def test_a_packet_has_one_mark():
    twice = [mark(dscp_mark=46), bandwidth(max_kbps=5), mark(dscp_mark=46)]
    decode(document(port__qos_policy={"rules": twice}))
    with pytest.raises(errors.BadDocument, match=r"rules\[3\].dscp_mark: is a second mark"):
        decode(document(port__qos_policy={"rules": [*twice, mark(dscp_mark=0)]}))


def test_what_an_earlier_version_took_keeps_its_limits():
    rules = [bandwidth(max_kbps=100), packets(max_kpps=1, direction="any"),
             mark(dscp_mark=46, direction="ingress")]  # fmt: skip
    kept = restore(document(port__qos_policy={"rules": rules})).attachment
    shape = shape_of(kept)
    assert shape is not None
    assert shape.egress.bandwidth is not None
    # what the report says is enforced by nobody is not done either
    assert shape.dscp is None


EDGES = [
    bandwidth(max_kbps=1), bandwidth(max_kbps=1, max_burst_kbps=1),
    bandwidth(max_kbps=100_000_000), bandwidth(max_kbps=MOST, max_burst_kbps=MOST),
    bandwidth(max_kbps=100, max_burst_kbps=100_000), bandwidth(max_kbps=100, max_burst_kbps=0),
    packets(max_kpps=1, max_burst_kpps=1), packets(max_kpps=1, max_burst_kpps=MOST),
    packets(max_kpps=MOST, max_burst_kpps=MOST), packets(max_kpps=MOST),
]  # fmt: skip


@pytest.mark.parametrize("plugin", [ovs, linuxbridge])
@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_whatever_rate_is_taken_is_held_and_read_back(plugin, direction):
    machine = FakeMachine()
    options = {"serve_local": True} if plugin is linuxbridge else {}
    ledger = Ledger(machine.drivers, lambda host: plugin.plugin(host, **options))
    ledger.plugin.probe()
    for rule in EDGES:
        wanted = attachment(1, qos_policy={"rules": [{**rule, "direction": direction}]})
        assert not ledger.plug(wanted), rule
        (report,) = ledger.check().values()
        told = [e for e in report.evidence if e.fact == f"qos.{rule['type']}.{direction}"]
        assert [e.ok for e in told] == [True], rule
        for meter in of_switch.meters(7, shape_of(wanted)).values():
            assert meters.change(1, meter, meters.Command.ADD)
    assert not ledger.unplug()


@pytest.mark.parametrize("plugin", [ovs, linuxbridge])
def test_a_rate_of_0_is_no_limit_and_said_to_be_none(plugin):
    rules = [bandwidth(max_kbps=0), packets(max_kpps=0, direction="ingress")]
    wanted = attachment(1, qos_policy={"rules": rules})
    assert shape_of(wanted) is None
    advert = plugin.plugin(Host(FakeMachine().drivers, dict)).describe()
    told = [e for e in enforcement.report(wanted, advert, plugin="any") if e.requested == 0]
    assert [e.note.partition(";")[0] for e in told] == ["0 is no limit"] * 2
