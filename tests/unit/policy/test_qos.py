"""What a QoS policy holds a port to."""

from __future__ import annotations

import msgspec
import pytest

from vifd.model import Attachment, QosPolicy, QosRule
from vifd.policy.qos import Limit, Shape, Traffic, policy_of, shape_of
from vifd.testing.attachments import attachment


def shaped(*rules, **port):
    return shape_of(attachment(1, qos_policy={"rules": list(rules)}, **port))


def sent(wanted: Attachment) -> Limit:
    """The bandwidth of what a port sends."""
    shape = shape_of(wanted)
    assert shape is not None
    assert shape.egress.bandwidth is not None
    return shape.egress.bandwidth


@pytest.mark.parametrize(("rules", "shape"), [
    ([{"type": "bandwidth_limit", "max_kbps": 10_000}],
     Shape(egress=Traffic(Limit(10_000, 8_000)))),
    ([{"type": "bandwidth_limit", "max_kbps": 10_000, "max_burst_kbps": 500,
       "direction": "ingress"}], Shape(ingress=Traffic(Limit(10_000, 500)))),
    ([{"type": "packet_rate_limit", "max_kpps": 2}],
     Shape(egress=Traffic(packets=Limit(2000, 1600)))),
    ([{"type": "packet_rate_limit", "max_kpps": 2, "max_burst_kpps": 1, "direction": "ingress"}],
     Shape(ingress=Traffic(packets=Limit(2000, 1000)))),
    ([{"type": "dscp_marking", "dscp_mark": 0}], Shape(dscp=0)),
    ([{"type": "dscp_marking", "dscp_mark": 46}, {"type": "bandwidth_limit", "max_kbps": 1000}],
     Shape(egress=Traffic(Limit(1000, 800)), dscp=46)),
    # what is enforced elsewhere, or unknown
    ([{"type": "minimum_bandwidth", "min_kbps": 5}], None),
    ([{"type": "of_tomorrow"}], None),
    # no limit
    ([{"type": "bandwidth_limit", "max_kbps": 0}], None),
    ([], None),
])  # fmt: skip
def test_rules(rules, shape):
    assert shaped(*rules) == shape


def test_of_several_limits_the_lowest_counts():
    rules = [{"type": "bandwidth_limit", "max_kbps": n} for n in (300, 100, 200)]
    assert shaped(*rules).egress.bandwidth.rate == 100


@pytest.mark.parametrize("mtu", [1450, 9000])
def test_a_burst_takes_the_largest_frame(mtu):
    rule = {"type": "bandwidth_limit", "max_kbps": 5, "max_burst_kbps": 1}
    limit = sent(attachment(1, mtu=mtu, qos_policy={"rules": [rule]}))
    assert limit.burst * 1000 >= (mtu + 22) * 8
    assert limit.burst < (mtu + 22) * 8 // 1000 + 2


def with_network(policy, **port):
    made = attachment(1, **port)
    network = msgspec.structs.replace(made.network, qos_policy=policy)
    return msgspec.structs.replace(made, network=network)


def test_the_network_s_policy_is_the_default():
    slow = QosPolicy(rules=[QosRule("bandwidth_limit", max_kbps=7)])
    own = {"rules": [{"type": "bandwidth_limit", "max_kbps": 9}]}
    assert sent(with_network(slow)).rate == 7
    assert sent(with_network(slow, qos_policy=own)).rate == 9
    # a policy of its own without rules is one
    assert shape_of(with_network(slow, qos_policy={})) is None
    assert policy_of(with_network(slow, device_owner="network:dhcp")) is None
