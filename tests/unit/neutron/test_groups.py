"""Security groups of Neutron as shared sets of this host."""

from __future__ import annotations

from support.neutron import Port
from unit.neutron.scene import Cloud, Node
from vifd.model.sets import AddressGroup, SecurityGroup, SetKey, SetKind
from vifd.network.neutron.groups import Groups
from vifd.network.neutron.objects import plain
from vifd.testing.wait import until


def group(node: Node, group_id: str) -> SecurityGroup | None:
    record = node.agent.sets.get(SetKey(SetKind.SECURITY_GROUP, group_id))
    body = record.body if record is not None and not record.going else None
    return body if isinstance(body, SecurityGroup) else None


def members(node: Node, group_id: str) -> set[str]:
    found = group(node, group_id)
    return {m.ip_address for m in found.members} if found else set()


def ports(node: Node, group_id: str) -> set[int | None]:
    found = group(node, group_id)
    return {rule.port_range_min for rule in found.rules} if found else set()


def tcp(number: int, **more: object) -> dict[str, object]:
    return {"port_range_min": number, "port_range_max": number, **more}


class TestGroups:
    def test_the_rules_of_ports_here_are_known_and_followed(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        mine, others = cloud.neutron.group(tcp(22)), cloud.neutron.group(tcp(23))
        cloud.neutron.port(network, node.name, security_group_ids=[mine])
        cloud.neutron.port(network, "elsewhere", security_group_ids=[others])
        until(lambda: ports(node, mine) == {22}, "its rule is here")
        rule = cloud.neutron.allow(mine, **tcp(80))
        until(lambda: ports(node, mine) == {22, 80}, "one more")
        cloud.neutron.forbid(mine, rule)
        until(lambda: ports(node, mine) == {22}, "and gone")
        assert group(node, others) is None

    def test_who_is_in_a_group_that_a_rule_names(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        clients = cloud.neutron.group()
        servers = cloud.neutron.group(tcp(22, remote_group_id=clients))
        first = cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
        cloud.neutron.port(network, node.name, security_group_ids=[servers])
        until(lambda: members(node, clients) == {first.address}, "known when the port comes")
        second = cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
        both = {first.address, second.address}
        until(lambda: members(node, clients) == both, "one that comes later")
        self.readdress(cloud, second, "10.0.0.77")
        until(lambda: members(node, clients) == {first.address, "10.0.0.77"}, "another address")
        first.fields["security_group_ids"] = []
        cloud.neutron.changed(first)
        until(lambda: members(node, clients) == {"10.0.0.77"}, "one leaves")
        cloud.neutron.delete(second)
        until(lambda: members(node, clients) == set(), "one is deleted")

    def readdress(self, cloud: Cloud, port: Port, address: str) -> None:
        port.address = address
        cloud.neutron.changed(port)

    def test_two_ports_with_one_address_leave_one_by_one(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        clients = cloud.neutron.group()
        servers = cloud.neutron.group(tcp(22, remote_group_id=clients))
        pair = [cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
                for _ in range(2)]  # fmt: skip
        pair[1].mac = pair[0].mac
        self.readdress(cloud, pair[1], pair[0].address)
        cloud.neutron.port(network, node.name, security_group_ids=[servers])
        until(lambda: members(node, clients) == {pair[0].address}, "they share it")
        cloud.neutron.delete(pair[0])
        last = cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
        until(lambda: members(node, clients) == {pair[1].address, last.address},
              "the other one still has it")  # fmt: skip

    def test_an_address_group(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        addresses = "66666666-0000-4000-8000-000000000001"
        cloud.neutron.address_groups[addresses] = ["192.0.2.0/24"]
        mine = cloud.neutron.group(tcp(22, remote_address_group_id=addresses))
        cloud.neutron.port(network, node.name, security_group_ids=[mine])

        def there() -> bool:
            record = node.agent.sets.get(SetKey(SetKind.ADDRESS_GROUP, addresses))
            body = record.body if record else None
            return isinstance(body, AddressGroup) and body.addresses == ("192.0.2.0/24",)

        until(there, "its addresses are here")

    def test_a_rule_that_makes_no_sense_costs_itself_only(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        mine = cloud.neutron.group(tcp(22), tcp(23, protocol="no such protocol"))
        cloud.neutron.port(network, node.name, security_group_ids=[mine])
        until(lambda: ports(node, mine) == {22}, "the other rule is here")

    def test_hosts_that_filter_nothing_know_no_groups(self, cloud: Cloud):
        node, network = cloud.node(security_groups=False), cloud.vlan()
        mine = cloud.neutron.group(tcp(22))
        port = cloud.neutron.port(network, node.name, security_group_ids=[mine])
        node.plug(port)
        until(lambda: port.status == "ACTIVE", "active")
        assert group(node, mine) is None

    def test_members_that_go_are_gathered_and_those_that_come_are_not(self, cloud: Cloud):
        node, network = cloud.node(security_groups=False), cloud.vlan()
        clients = cloud.neutron.group()
        servers = cloud.neutron.group(tcp(22, remote_group_id=clients))
        here = cloud.neutron.port(network, node.name, security_group_ids=[servers])
        service, now = node.service._service, [100.0]
        assert service is not None
        assert service._server is not None
        groups = Groups(service._server, node.agent.sets, 5.0, lambda: now[0])
        groups.ensure([plain(cloud.neutron.wire(here))])
        until(lambda: group(node, clients) is not None, "the group is known")
        several = [cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
                   for _ in range(5)]  # fmt: skip
        for port in several:
            groups.port(plain(cloud.neutron.wire(port)))
        groups.flush()
        until(lambda: members(node, clients) == {p.address for p in several}, "all of them")
        gone, back = several.pop(), several[0]
        for port in (gone, back):
            groups.port_gone(port.id)
        late = cloud.neutron.port(network, "elsewhere", security_group_ids=[clients])
        for port in (back, late):
            groups.port(plain(cloud.neutron.wire(port)))
        groups.flush()
        several.append(late)
        everybody = {p.address for p in (*several, gone)}
        until(lambda: members(node, clients) == everybody, "who comes is there at once")
        now[0] += 5.0
        groups.flush()
        until(lambda: members(node, clients) == {p.address for p in several}, "those that stay")
