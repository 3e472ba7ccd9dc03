"""A Neutron server that exists only in memory, behind a real message bus of oslo.messaging.

It keeps networks, ports and bindings as the service does, answers what an agent asks, pushes every
change, and gives a port the status that agents tell. What messages it loses, doubles or keeps back
is a test's to say.
"""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg

from support import promptbus
from vifd.network.neutron.bus import library
from vifd.network.neutron.objects import SERVED, topic_of

oslo_messaging = library()
promptbus.install()

EXCHANGE = "neutron"
Plain = dict[str, Any]


def primitive(kind: str, data: Mapping[str, Any]) -> Plain:
    """An object as it goes over the bus."""
    return {
        "versioned_object.name": kind, "versioned_object.namespace": "versionedobjects",
        "versioned_object.version": "1.0", "versioned_object.data": dict(data),
    }  # fmt: skip


@dataclass
class Network:
    """A network with one segment and one subnet."""

    id: str
    segment: Plain
    mtu: int = 1450
    revision: int = 1
    policy: str | None = None


@dataclass
class Port:
    """A port and its bindings, by host."""

    id: str
    network: str
    mac: str
    address: str
    owner: str = "compute:nova"
    status: str = "DOWN"
    revision: int = 1
    bindings: dict[str, Plain] = field(default_factory=dict)
    fields: Plain = field(default_factory=dict)


@dataclass
class Trunk:
    """A trunk; its sub-ports with their VLANs."""

    id: str
    parent: str
    sub_ports: dict[str, int]
    status: str = "DOWN"
    revision: int = 1


class FakeNeutron:
    """The server; its state survives :meth:`stop`, like a database.

    :ivar told: every ``update_device_list`` as (up, down)
    :ivar reports: the states that agents reported
    :ivar refused: ids of ports whose status cannot be set
    :ivar slow: seconds that it takes for each status
    :ivar learns: whether it knows yet what versions agents reported
    """

    def __init__(self, url: str = "fake://") -> None:
        self.url = url
        self.networks: dict[str, Network] = {}
        self.ports: dict[str, Port] = {}
        self.reports: list[Plain] = []
        self.told: list[tuple[list[str], list[str]]] = []
        self.refused: set[str] = set()
        self.slow = 0.0
        self.learns = True
        self.calls: list[str] = []
        #: by type, the endpoints by host
        self.tunnels: dict[str, dict[str, str]] = {}
        #: by network, who is behind each endpoint: told when a host asks for all of it
        self.behind: dict[str, dict[str, list[list[str]]]] = {}
        #: how often a message is sent, by its method; 0 loses it
        self.copies: dict[str, int] = {}
        #: by type, the version that this release has; older ones are served, newer ones are not
        self.has = {kind: versions[0] for kind, versions in SERVED.items()}
        self.groups: dict[str, dict[str, Plain]] = {}
        #: by QoS policy, its rules by id
        self.policies: dict[str, dict[str, Plain]] = {}
        self.address_groups: dict[str, list[str]] = {}
        #: by id
        self.trunks: dict[str, Trunk] = {}
        #: logs of security groups, by id
        self.logs: dict[str, Plain] = {}
        #: the request that messages say they are sent by
        self.by = ""
        self.lock = threading.RLock()
        self._standing: dict[str, str] = {}
        #: by host, the versions that its agent reported
        self._speak: dict[str, dict[str, str]] = {}
        self._transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
        self._servers: list[Any] = []

    # --- the bus ---

    def start(self) -> None:
        """Answer."""
        for name in ("q-plugin", "q-reports-plugin"):
            target = oslo_messaging.Target(exchange=EXCHANGE, topic=name, server="controller")
            server = oslo_messaging.get_rpc_server(self._transport, target, [_Endpoint(self)])
            server.start()
            self._servers.append(server)
        target = oslo_messaging.Target(exchange=EXCHANGE, topic="trunk", server="controller")
        server = oslo_messaging.get_rpc_server(self._transport, target, [_TrunkEndpoint(self)])
        server.start()
        self._servers.append(server)

    def stop(self) -> None:
        """Be away."""
        # each takes half a second for that
        with ThreadPoolExecutor(max(1, len(self._servers))) as pool:
            list(pool.map(_end, self._servers))
        self._servers.clear()

    def log(self, log_id: str = "", request: str = "", **said: Any) -> str:
        """A log of security groups, or what is other of one that is there."""
        event = "updated" if log_id else "created"
        log_id = log_id or str(uuid.uuid4())
        there = {"id": log_id, "resource_type": "security_group", "event": "ALL", "enabled": True,
                 "revision_number": 0, **self.logs.get(log_id, {}), **said}  # fmt: skip
        there["revision_number"] += 1
        self.logs[log_id] = there
        self.by = request
        self.push("Log", [primitive("Log", there)], event)
        return log_id

    def unlog(self, log_id: str) -> None:
        """Delete a log."""
        self.push("Log", [primitive("Log", self.logs.pop(log_id))], "deleted")

    def cast(self, name: str, method: str, **arguments: Any) -> None:
        """Tell all agents."""
        target = oslo_messaging.Target(exchange=EXCHANGE, topic=name, fanout=True, version="1.0")
        client = oslo_messaging.get_rpc_client(self._transport, target)
        for _ in range(self.copies.get(method, 1)):
            client.prepare().cast({"request_id": self.by}, method, **arguments)

    def push(self, kind: str, objects: Sequence[Plain], event: str = "updated") -> None:
        """Tell of objects as they are, in this release's version and in those that agents reported;
        where one of these is not served nobody is told."""
        with self.lock:
            said = {v[kind] for v in self._speak.values() if kind in v}
        if all(self.serves(kind, version) for version in said):
            for version in sorted({self.has[kind], *said}):
                told = {"resource_list": list(objects), "event_type": event}
                self.cast(topic_of(kind, version), "push", **told)

    def serves(self, kind: str, version: str) -> bool:
        """Whether objects can be had in a version."""
        return _numbers(version) <= _numbers(self.has[kind])

    # --- what users do ---

    def network(self, kind: str = "vlan", physnet: str = "physnet1", number: int = 100) -> Network:
        """A network."""
        segment = {"id": str(uuid.uuid4()), "network_type": kind, "segmentation_id": number,
                   "physical_network": physnet if kind in ("vlan", "flat") else None}  # fmt: skip
        made = Network(str(uuid.uuid4()), segment)
        self.networks[made.id] = made
        return made

    def port(self, network: Network, host: str = "", *, active: bool = True, **fields: Any) -> Port:
        """A port, bound where that is said."""
        number = len(self.ports) + 2
        made = Port(
            str(uuid.uuid4()), network.id, f"fa:16:3e:00:00:{number:02x}", f"10.0.0.{number}"
        )
        made.owner = fields.pop("device_owner", made.owner)
        made.fields = fields
        self.ports[made.id] = made
        if host:
            self.bind(made, host, active=active)
        return made

    def bind(
        self, port: Port, host: str, *, active: bool = True, vif_type: str = "ovs",
        **details: Any,
    ) -> None:  # fmt: skip
        """Bind a port to a host besides."""
        with self.lock:
            port.bindings[host] = {
                "host": host, "vif_type": vif_type, "vnic_type": "normal", "profile": "{}",
                "status": "ACTIVE" if active else "INACTIVE",
                "vif_details": json.dumps(details),
            }  # fmt: skip
            self.changed(port)

    def activate(self, port: Port, host: str) -> None:
        """Make a host's binding the one in force, as the bindings API does."""
        with self.lock:
            for binding in port.bindings.values():
                if binding["status"] == "ACTIVE":
                    binding |= {"status": "INACTIVE", "vif_type": "unbound"}
            port.bindings[host]["status"] = "ACTIVE"
            port.status = "DOWN"
            self.changed(port)

    def unbind(self, port: Port, host: str) -> None:
        """Delete a binding."""
        with self.lock:
            del port.bindings[host]
            self.changed(port)

    def delete(self, port: Port) -> None:
        """Delete a port."""
        with self.lock:
            del self.ports[port.id]
            self.push("Port", [self.wire(port)], "deleted")

    def changed(self, port: Port) -> None:
        """Something of a port is other now."""
        port.revision += 1
        self.push("Port", [self.wire(port)])

    def group(self, *rules: Plain) -> str:
        """A security group with these rules."""
        made = str(uuid.uuid4())
        self.groups[made] = {}
        for rule in rules:
            self.allow(made, **rule)
        return made

    def allow(self, group: str, **rule: Any) -> str:
        """A rule more."""
        made = {"id": str(uuid.uuid4()), "security_group_id": group, "direction": "ingress",
                "ethertype": "IPv4", "protocol": "tcp", "revision_number": 1, **rule}  # fmt: skip
        self.groups[group][made["id"]] = made
        self.push("SecurityGroupRule", [primitive("SecurityGroupRule", made)], "created")
        return str(made["id"])

    def forbid(self, group: str, rule: str) -> None:
        """A rule less."""
        gone = self.groups[group].pop(rule)
        self.push("SecurityGroupRule", [primitive("SecurityGroupRule", gone)], "deleted")

    def policy(self, *rules: Plain) -> str:
        """A QoS policy with these rules, each with its ``type``."""
        made = str(uuid.uuid4())
        self.policies[made] = {}
        self.set_rules(made, *rules)
        return made

    def set_rules(self, policy: str, *rules: Plain) -> None:
        """The policy has these rules and no others."""
        ids = [str(uuid.uuid4()) for _ in rules]
        self.policies[policy] = {i: {"id": i, **r} for i, r in zip(ids, rules, strict=True)}
        self.push("QosPolicy", [self.wire_policy(policy)])

    def set_policy(self, network: Network, policy: str | None) -> None:
        """A network has another policy: nobody is told of its ports."""
        with self.lock:
            network.policy = policy
            network.revision += 1
            self.push("Network", [self.wire_network(network)])

    def trunk(self, parent: Port) -> Trunk:
        """A trunk without sub-ports."""
        made = Trunk(str(uuid.uuid4()), parent.id, {})
        with self.lock:
            self.trunks[made.id] = made
            self.push("Trunk", [self.wire_trunk(made)], "created")
        return made

    def join(self, trunk: Trunk, port: Port, vlan: int) -> None:
        """A port becomes a sub-port."""
        with self.lock:
            trunk.sub_ports[port.id] = vlan
            self._moved(trunk, port.id, vlan, "created")

    def part(self, trunk: Trunk, port: Port) -> None:
        """A port is a sub-port no more; its binding stays as it was."""
        with self.lock:
            self._moved(trunk, port.id, trunk.sub_ports.pop(port.id), "deleted")

    def _moved(self, trunk: Trunk, port_id: str, vlan: int, event: str) -> None:
        trunk.status, trunk.revision = "DOWN", trunk.revision + 1
        self.push("SubPort", [_sub_port(trunk, port_id, vlan)], event)

    def end(self, trunk: Trunk) -> None:
        """Delete a trunk."""
        with self.lock:
            del self.trunks[trunk.id]
            self.push("Trunk", [self.wire_trunk(trunk)], "deleted")

    def bind_sub_ports(self, sub_ports: Sequence[Plain]) -> Plain:
        """Bind sub-ports to the host of their parents, as an agent asks for it."""
        with self.lock:
            for trunk in (self.trunks[s["trunk_id"]] for s in sub_ports):
                trunk.status = "BUILD"
                bindings = self.ports[trunk.parent].bindings.values()
                (host,) = (b["host"] for b in bindings if b["status"] == "ACTIVE")
                for port in (self.ports[s["port_id"]] for s in sub_ports):
                    port.owner = "trunk:subport"
                    port.bindings.clear()
                    self.bind(port, host)
        return {}

    def fdb(self, method: str, network: Network, ports: dict[str, list[list[str]]]) -> None:
        """Tell who is behind endpoints, or no longer."""
        self.cast("q-agent-notifier-l2population-update", f"{method}_fdb_entries", fdb_entries={
            network.id: {"segment_id": 7, "network_type": "vxlan", "ports": ports}})  # fmt: skip

    def resegment(self, network: Network, number: int) -> None:
        """Give a network another segmentation id."""
        with self.lock:
            network.segment = {**network.segment, "segmentation_id": number}
            network.revision += 1
            self.push("Network", [self.wire_network(network)])

    # --- what goes over the bus ---

    def wire(self, port: Port) -> Plain:
        """A port as an object."""
        segment = self.networks[port.network].segment
        bound = [h for h, b in port.bindings.items() if b["vif_type"] not in ("unbound",)]
        levels = [{"host": host, "level": 0, "driver": "openvswitch", "port_id": port.id,
                   "segment_id": segment["id"], "segment": primitive("NetworkSegment", segment)}
                  for host in bound]  # fmt: skip
        data = {
            "id": port.id, "name": "", "network_id": port.network, "mac_address": port.mac,
            "admin_state_up": True, "device_owner": port.owner, "device_id": "",
            "status": port.status, "revision_number": port.revision,
            "fixed_ips": [primitive("IPAllocation", {
                "ip_address": port.address, "subnet_id": _subnet(port.network)})],
            "bindings": [primitive("PortBinding", b) for b in port.bindings.values()],
            "binding_levels": [primitive("PortBindingLevel", x) for x in levels],
            "security_group_ids": [], "allowed_address_pairs": [],
            "security": primitive("PortSecurity", {"port_security_enabled": True}),
            "qos_policy_id": None,
            "qos_network_policy_id": self.networks[port.network].policy, **port.fields,
        }  # fmt: skip
        return copy.deepcopy(primitive("Port", data))

    def wire_network(self, network: Network) -> Plain:
        """A network as an object."""
        data = {"id": network.id, "name": "net", "mtu": network.mtu,
                "revision_number": network.revision, "qos_policy_id": network.policy,
                "segments": [primitive("NetworkSegment", network.segment)]}  # fmt: skip
        return copy.deepcopy(primitive("Network", data))

    def wire_policy(self, policy: str) -> Plain:
        """A QoS policy as an object."""
        rules = [primitive(rule["type"], {k: v for k, v in rule.items() if k != "type"})
                 for rule in self.policies[policy].values()]  # fmt: skip
        return copy.deepcopy(primitive("QosPolicy", {
            "id": policy, "name": "p", "revision_number": 1, "rules": rules}))  # fmt: skip

    def wire_trunk(self, trunk: Trunk) -> Plain:
        """A trunk as an object."""
        return primitive("Trunk", {
            "id": trunk.id, "port_id": trunk.parent, "admin_state_up": True, "name": "",
            "status": trunk.status, "revision_number": trunk.revision,
            "sub_ports": [_sub_port(trunk, i, v) for i, v in trunk.sub_ports.items()],
        })  # fmt: skip

    def wire_subnet(self, network: Network) -> Plain:
        """The network's subnet as an object."""
        return primitive("Subnet", {
            "id": _subnet(network.id), "network_id": network.id, "cidr": "10.0.0.0/24",
            "gateway_ip": "10.0.0.1", "enable_dhcp": False, "revision_number": 0,
        })  # fmt: skip

    def found(self, kind: str, **filters: Sequence[str]) -> list[Plain]:
        """Objects of a type by what is asked for."""
        ids = filters.get("id", ())
        with self.lock:
            networks = self.networks.values()
            match kind:
                case "Port" if "security_group_ids" in filters:
                    wanted = set(filters["security_group_ids"])
                    return [self.wire(p) for p in self.ports.values()
                            if wanted & set(p.fields.get("security_group_ids", ()))]  # fmt: skip
                case "Port" if "network_id" in filters:
                    return [self.wire(p) for p in self.ports.values()
                            if p.network in filters["network_id"]]  # fmt: skip
                case "SecurityGroup":
                    return [primitive(kind, {"id": i, "name": "g", "stateful": True,
                                             "revision_number": 1})
                            for i in ids if i in self.groups]  # fmt: skip
                case "SecurityGroupRule":
                    return [primitive(kind, rule) for i in filters["security_group_id"]
                            for rule in self.groups.get(i, {}).values()]  # fmt: skip
                case "AddressGroup":
                    return [primitive(kind, {"id": i, "name": "a", "addresses": [
                        primitive("AddressAssociation", {"address": a})
                        for a in self.address_groups[i]]}) for i in ids]  # fmt: skip
                case "Trunk":
                    return [self.wire_trunk(t) for t in self.trunks.values()
                            if t.parent in filters["port_id"]]  # fmt: skip
                case "Log":
                    return [primitive(kind, log) for log in self.logs.values()]
                case "QosPolicy":
                    return [self.wire_policy(i) for i in ids if i in self.policies]
                case "Port":
                    return [self.wire(self.ports[i]) for i in ids if i in self.ports]
                case "Network":
                    return [self.wire_network(n) for n in networks if n.id in ids]
                case "Subnet":
                    return [self.wire_subnet(n) for n in networks if _subnet(n.id) in ids]
                case _:
                    return []

    # --- what agents say ---

    def reported(self, state: Plain) -> str:
        """Take an agent's report."""
        with self.lock:
            self.reports.append(state)
            host = state["host"]
            if "resource_versions" in state and self.learns:
                self._speak[host] = state["resource_versions"]
            known = host in self._standing
            self._standing[host] = "alive"
            return "alive" if known else "new"

    def take(self, up: Sequence[str], down: Sequence[str], host: str) -> Plain:
        """Take statuses."""
        with self.lock:
            self.told.append((list(up), list(down)))
            for port_id, status in [*((i, "ACTIVE") for i in up), *((i, "DOWN") for i in down)]:
                port = self.ports.get(port_id)
                if port is None or port_id in self.refused or port.status == status:
                    continue
                if port.bindings.get(host, {}).get("status") == "ACTIVE":
                    port.status = status
                    self.changed(port)
            return {
                "devices_up": [i for i in up if i not in self.refused],
                "failed_devices_up": [i for i in up if i in self.refused],
                "devices_down": list(down), "failed_devices_down": [],
            }  # fmt: skip

    def finish(self, ids: Sequence[str], host: str) -> None:
        """Bind anew what was given up for another host and taken back."""
        with self.lock:
            for port in (self.ports[i] for i in ids if i in self.ports):
                binding = port.bindings.get(host)
                active = binding is not None and binding["status"] == "ACTIVE"
                if binding is not None and active and binding["vif_type"] == "unbound":
                    binding["vif_type"] = "ovs"
                    self.changed(port)


class _Endpoint:
    """What agents call."""

    target = oslo_messaging.Target(version="1.9")

    def __init__(self, server: FakeNeutron) -> None:
        self._server = server

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "target":
            self._server.calls.append(name)
        return super().__getattribute__(name)

    def report_state(self, _context: Plain, agent_state: Plain, time: str) -> str:
        assert time
        return self._server.reported(agent_state["agent_state"])

    def get_ports_by_vnic_type_and_host(
        self, _context: Plain, vnic_type: str, host: str
    ) -> list[Plain]:
        assert vnic_type == "normal"
        ports = self._server.ports.values()
        return [{"id": p.id, "mac_address": p.mac} for p in list(ports) if host in p.bindings]

    def bulk_pull(
        self, _context: Plain, resource_type: str, version: str, filter_kwargs: Plain
    ) -> list[Plain]:
        found = self._server.found(resource_type, **filter_kwargs)
        if found and not self._server.serves(resource_type, version):
            raise oslo_messaging.RemoteError("InvalidTargetVersion", version)
        return found

    def update_device_list(
        self, _context: Plain, devices_up: list[str], devices_down: list[str], agent_id: str,
        host: str, refresh_tunnels: bool = False,
    ) -> Plain:  # fmt: skip
        del agent_id
        server = self._server
        if refresh_tunnels:
            for network in {server.ports[i].network for i in devices_up if i in server.ports}:
                server.fdb("add", server.networks[network], server.behind.get(network, {}))
        if server.slow:
            threading.Event().wait(server.slow * len([*devices_up, *devices_down]))
        return server.take(devices_up, devices_down, host)

    def tunnel_sync(self, _context: Plain, tunnel_ip: str, tunnel_type: str, host: str) -> Plain:
        known = self._server.tunnels.setdefault(tunnel_type, {})
        known[host] = tunnel_ip
        self._server.cast("q-agent-notifier-tunnel-update", "tunnel_update",
                          tunnel_ip=tunnel_ip, tunnel_type=tunnel_type)  # fmt: skip
        return {"tunnels": [{"ip_address": ip, "host": h} for h, ip in known.items()]}

    def get_devices_details_list_and_failed_devices(
        self, _context: Plain, devices: list[str], agent_id: str, host: str
    ) -> Plain:
        del agent_id
        self._server.finish(devices, host)
        return {"devices": [], "failed_devices": []}


class _TrunkEndpoint:
    """What agents call of trunks."""

    target = oslo_messaging.Target(version="1.0", namespace="trunk")

    def __init__(self, server: FakeNeutron) -> None:
        self._server = server

    def update_subport_bindings(self, _context: Plain, subports: list[Plain]) -> Plain:
        return self._server.bind_sub_ports(subports)

    def update_trunk_status(self, _context: Plain, trunk_id: str, status: str) -> None:
        self._server.trunks[trunk_id].status = status


def _sub_port(trunk: Trunk, port_id: str, vlan: int) -> Plain:
    return primitive("SubPort", {
        "port_id": port_id, "trunk_id": trunk.id, "segmentation_type": "vlan",
        "segmentation_id": vlan,
    })  # fmt: skip


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _subnet(network: str) -> str:
    return str(uuid.uuid5(uuid.UUID(network), "subnet"))


Made = Callable[[], FakeNeutron]


def _end(server: Any) -> None:
    server.stop()
    server.wait()
