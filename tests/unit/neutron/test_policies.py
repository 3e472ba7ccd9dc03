"""QoS policies as the service tells of them: of a port, of its network, and changed in place."""

from __future__ import annotations

from typing import Any

from support.neutron import Port
from unit.neutron.scene import Cloud, Node
from vifd.policy import qos
from vifd.testing.wait import until


def limit(kbps: int) -> dict[str, Any]:
    return {"type": "QosBandwidthLimitRule", "direction": "egress", "max_kbps": kbps,
            "max_burst_kbps": 0}  # fmt: skip


def rates(node: Node, port: Port) -> list[int | None]:
    """What a port here is limited to."""
    record = node.record(port)
    policy = record and qos.policy_of(record.doc.attachment)
    return [rule.max_kbps for rule in policy.rules] if policy else []


def used(cloud: Cloud, node: Node, port: Port) -> Port:
    node.compute(port)
    until(lambda: port.status == "ACTIVE", "active")
    return port


def test_rules_that_change_hold_for_a_port_that_is_there(cloud: Cloud):
    node, policy = cloud.node(), cloud.neutron.policy(limit(1000))
    port = cloud.neutron.port(cloud.vlan(), node.name, qos_policy_id=policy)
    used(cloud, node, port)
    assert rates(node, port) == [1000]
    cloud.neutron.set_rules(policy, limit(2000))
    until(lambda: rates(node, port) == [2000], "the rule is another one")
    cloud.neutron.set_rules(policy)
    until(lambda: rates(node, port) == [], "there is none any more")


def test_a_network_that_gets_a_policy_and_another_and_none(cloud: Cloud):
    """The service tells of the network alone."""
    network = cloud.vlan()
    node = cloud.node()
    guest = used(cloud, node, cloud.neutron.port(network, node.name))
    own = cloud.neutron.port(
        network, node.name, qos_policy_id=cloud.neutron.policy(limit(7))
    )  # fmt: skip
    used(cloud, node, own)
    service = cloud.neutron.port(network, node.name, device_owner="network:dhcp")
    used(cloud, node, service)
    cloud.neutron.set_policy(network, cloud.neutron.policy(limit(1000)))
    until(lambda: rates(node, guest) == [1000], "it holds for a guest")
    cloud.neutron.set_policy(network, cloud.neutron.policy(limit(2000)))
    until(lambda: rates(node, guest) == [2000], "another one")
    cloud.neutron.set_policy(network, None)
    until(lambda: rates(node, guest) == [], "it holds no more")
    assert (rates(node, own), rates(node, service)) == ([7], [])


def test_a_policy_of_the_network_that_was_given_while_the_host_was_away(cloud: Cloud):
    network = cloud.vlan()
    node = cloud.node()
    port = used(cloud, node, cloud.neutron.port(network, node.name))
    node.stop()
    cloud.neutron.set_policy(network, cloud.neutron.policy(limit(3000)))
    node.start()
    until(lambda: rates(node, port) == [3000], "it holds")
