"""QoS policies of a real Neutron: rules, ports and networks change while ports are in use, and the
switch's own meters and flows say what holds."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE, VifdHost
from vifd.testing import sandbox
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

BANDWIDTHS = {"br-phys": {"egress": 1_000_000, "ingress": 500_000}}


@pytest.fixture(scope="module")
def host(cloud: Cloud) -> Iterator[VifdHost]:
    given: dict[str, dict[str, object]] = {
        "network_neutron": {"resource_provider_bandwidths": "br-phys:1000000:500000"},
    }
    with tempfile.TemporaryDirectory(prefix="q") as directory, sandbox.PrivateOvs() as ovs:
        found = VifdHost(Path(directory, "v"), cloud, ovs, "limited", given)
        try:
            found.start()
            yield found
        finally:
            found.close()


class Policies:
    """A network of its own, with its ports and policies; they go with the test."""

    def __init__(self, cloud: Cloud, host: VifdHost, stack: ExitStack) -> None:
        self.cloud, self.host, self._stack = cloud, host, stack
        given = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
        self.network = str(cloud.make("network", name="q", **given)["id"])
        stack.callback(cloud.remove, "network", self.network)
        subnet = cloud.make(
            "subnet", network_id=self.network, cidr="10.11.0.0/24", ip_version=4, enable_dhcp=False
        )
        stack.callback(cloud.remove, "subnet", subnet["id"])

    def port(self, **fields: Any) -> str:
        """A port that is in use and ACTIVE."""
        port = self.host.bind(self.network, **fields)
        self._stack.callback(self.cloud.remove, "port", port)
        self.host.use(port)
        self._stack.callback(self.host.unuse, port)
        self.host.told(self.network, [port], "ACTIVE")
        return port

    def policy(self) -> str:
        made = self.cloud.call("POST", "qos/policies", {"policy": {"name": "p"}})
        found = str(made["policy"]["id"])
        self._stack.callback(self.cloud.call, "DELETE", f"qos/policies/{found}")
        return found

    def add(self, policy: str, kind: str, **fields: Any) -> str:
        """A rule more; its path."""
        path = f"qos/policies/{policy}/{kind}_rules"
        made = self.cloud.call("POST", path, {f"{kind}_rule": fields})
        return f"{path}/{made[f'{kind}_rule']['id']}"

    def alter(self, rule: str, **fields: Any) -> None:
        kind = rule.split("/")[3].removesuffix("s")
        self.cloud.call("PUT", rule, {kind: fields})

    def has(self, *wanted: str) -> None:
        """Wait until the switch has these meters and no others."""
        until(lambda: meters(self.host) == sorted(wanted), f"meters {wanted}", PATIENCE,
              lambda: (meters(self.host), self.host.vifd.log[-3000:]))  # fmt: skip

    def marks(self, *wanted: int) -> None:
        """Wait until the switch's flows set these marks and no others."""
        until(lambda: marked(self.host) == {*wanted}, f"marks {wanted}", PATIENCE,
              lambda: self.host.vifd.log[-3000:])  # fmt: skip


def meters(host: VifdHost) -> list[str]:
    """The rates of the switch's meters: in kbit/s, or packets per second."""
    said = host.ovs.ofctl("dump-meters", "br-int")
    found = re.findall(r"(kbps|pktps).*?rate=(\d+)", said, re.DOTALL)
    return sorted(f"{rate} {unit}" for unit, rate in found)


def marked(host: VifdHost) -> set[int]:
    said = host.ovs.ofctl("dump-flows", "br-int")
    return {int(m) for m in re.findall(r"(?:load:0x|set_field:|mod_nw_tos:)(\d+)\S*ip_dscp", said)}


@pytest.fixture
def policies(cloud: Cloud, host: VifdHost) -> Iterator[Policies]:
    with ExitStack() as stack:
        yield Policies(cloud, host, stack)
    until(lambda: meters(host) == [], "no meter is left", PATIENCE)


def test_rules_change_in_place(policies: Policies):
    policy = policies.policy()
    rate = policies.add(policy, "bandwidth_limit", max_kbps=5000, direction="egress")
    port = policies.port(qos_policy_id=policy)
    policies.has("5000 kbps")
    policies.alter(rate, max_kbps=7000)
    policies.has("7000 kbps")
    other = policies.add(policy, "bandwidth_limit", max_kbps=3000, direction="ingress")
    packets = policies.add(policy, "packet_rate_limit", max_kpps=2, direction="egress")
    mark = policies.add(policy, "dscp_marking", dscp_mark=26)
    policies.has("7000 kbps", "3000 kbps", "2000 pktps")
    policies.marks(26)
    policies.alter(mark, dscp_mark=46)
    policies.marks(46)
    facts = policies.host.vifd.get(f"/v1/ports/{port}")["evidence"]
    told = {f["fact"]: f["have"] for f in facts if f["fact"].startswith("qos")}
    assert told["qos.bandwidth_limit.egress"].startswith("7000 kbit/s"), told
    assert told["qos.dscp_marking.egress"] == [46]
    for rule in (rate, packets, mark):
        policies.cloud.call("DELETE", rule)
    policies.has("3000 kbps")
    policies.marks()
    policies.alter(other, direction="egress")
    policies.has("3000 kbps")
    policies.host.told(policies.network, [port], "ACTIVE")
    policies.cloud.change("port", port, qos_policy_id=None)
    policies.has()


def test_a_network_gets_a_policy_after_its_ports(policies: Policies):
    first, second = policies.policy(), policies.policy()
    policies.add(first, "bandwidth_limit", max_kbps=4000, direction="egress")
    policies.add(second, "bandwidth_limit", max_kbps=6000, direction="egress")
    policies.port()
    own = policies.policy()
    policies.add(own, "bandwidth_limit", max_kbps=1500, direction="egress")
    policies.port(qos_policy_id=own)
    policies.has("1500 kbps")
    for policy, rate in ((first, 4000), (second, 6000)):
        policies.cloud.change("network", policies.network, qos_policy_id=policy)
        policies.has("1500 kbps", f"{rate} kbps")
    # A service's own port is not held to it.
    policies.port(device_owner="network:dhcp")
    policies.cloud.change("network", policies.network, qos_policy_id=None)
    policies.has("1500 kbps")


def test_a_rule_that_changed_while_the_host_was_away(policies: Policies):
    policy = policies.policy()
    rate = policies.add(policy, "bandwidth_limit", max_kbps=5000, direction="egress")
    policies.port(qos_policy_id=policy)
    policies.has("5000 kbps")
    policies.host.vifd.stop()
    policies.alter(rate, max_kbps=9000)
    policies.host.vifd.start()
    policies.host.vifd.ready()
    policies.has("9000 kbps")


def test_the_bandwidth_of_bridges_is_reported(cloud: Cloud, host: VifdHost):
    told = cloud.agent(host.name)["configurations"]
    assert told["resource_provider_bandwidths"] == BANDWIDTHS
    assert told["resource_provider_hypervisors"]["br-phys"] == host.name
    assert told["resource_provider_inventory_defaults"]["allocation_ratio"] == 1.0


def test_the_server_knows_what_is_enforced(cloud: Cloud):
    def drivers(kind: str) -> set[str]:
        told = cloud.call("GET", f"qos/rule-types/{kind}")["rule_type"]["drivers"]
        return {driver["name"] for driver in told}

    for kind in ("bandwidth_limit", "packet_rate_limit", "dscp_marking"):
        assert "vifd" in drivers(kind), kind
    assert "vifd" not in drivers("minimum_bandwidth")
