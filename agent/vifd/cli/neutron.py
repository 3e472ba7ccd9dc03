"""Attachment documents made of answers of the Networking and Compute APIs. Pure.

An answer may be the body of the REST API (``{"port": {…}}``, ``{"ports": […]}``) or what
``openstack … show -f json`` prints, in any number of files and any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Part = dict[str, Any]

#: Fields of a port that are taken as they are.
_PORT = (
    "id", "mac_address", "name", "admin_state_up", "port_security_enabled", "device_owner",
    "ip_allocation", "trunk_details", "numa_affinity_policy", "trusted", "hardware_offload_type",
    "hints", "propagate_uplink_status",
)  # fmt: skip
#: Fields of other names, the first that is there.
_RENAMED = {
    "vnic_type": ("binding:vnic_type", "binding_vnic_type"),
    "binding_profile": ("binding:profile", "binding_profile"),
}
_NETWORK = ("id", "name", "mtu", "vlan_transparent", "qinq")
_SUBNET = ("id", "cidr", "gateway_ip", "enable_dhcp", "segment_id")
_SEGMENT = ("network_type", "physical_network", "segmentation_id")
_RULE = (
    "id", "type", "direction", "max_kbps", "max_burst_kbps", "max_kpps", "max_burst_kpps",
    "min_kbps", "min_kpps", "dscp_mark",
)  # fmt: skip
#: Wrappers of the REST APIs, one and many, and the kind of what is in them.
_WRAPPERS = {
    "port": "port", "network": "network", "subnet": "subnet", "segment": "segment",
    "security_group": "security_group", "policy": "policy", "server": "server", "image": "image",
    "flavor": "flavor",
}  # fmt: skip
_MANY = {f"{one}s": kind for one, kind in _WRAPPERS.items()} | {"policies": "policy"}


class Lacking(Exception):
    """Something that a document needs is not in the files; the text says what, and who has it."""


@dataclass
class Answers:
    """What the files hold, by kind and id."""

    found: dict[str, dict[str, Part]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[Any]) -> Answers:
        """:raises Lacking: something that none of the APIs answers"""
        answers = cls()
        for value in values:
            for kind, part in _parts(value):
                answers.found.setdefault(kind, {})[str(part.get("id", ""))] = part
        return answers

    def all(self, kind: str) -> list[Part]:
        return list(self.found.get(kind, {}).values())

    def get(self, kind: str, wanted: str) -> Part | None:
        return self.found.get(kind, {}).get(wanted)


def documents(values: Iterable[Any], *, role: str, physical_network: str = "") -> list[Part]:
    """A document of each port.

    :param physical_network: which segment of a network with several reaches this host
    :raises Lacking: see there
    """
    answers = Answers.of(values)
    ports = answers.all("port")
    if not ports:
        raise Lacking("no port is in the files; it is what GET /v2.0/ports/{id} answers, or "
                      "openstack port show -f json")  # fmt: skip
    return [_document(port, answers, role, physical_network) for port in ports]


def _document(port: Part, answers: Answers, role: str, physical: str) -> Part:
    port_id = str(port.get("id", "?"))
    for name in ("id", "mac_address", "network_id"):
        if not isinstance(port.get(name), str):
            raise Lacking(f"port {port_id}: {name} is missing")
    network = answers.get("network", port["network_id"])
    if network is None:
        raise Lacking(
            f"network {port['network_id']} of port {port_id} is not in the files; it is what "
            f"GET /v2.0/networks/{port['network_id']} answers an administrator, or openstack "
            "network show -f json"
        )
    made: Part = {"version": "1.0", "role": role, "port": _port(port, answers)}
    made["network"] = _network(network, answers, physical)
    made["fixed_ips"] = [_only(ip, ("ip_address", "subnet_id")) for ip in _list(port, "fixed_ips")]
    wanted = [str(ip["subnet_id"]) for ip in made["fixed_ips"] if ip.get("subnet_id")]
    subnets = [answers.get("subnet", subnet) for subnet in dict.fromkeys(wanted)]
    made["subnets"] = [_only(subnet, _SUBNET) for subnet in subnets if subnet is not None]
    instance = _instance(port, answers)
    return {**made, "instance": instance} if instance else made


def _port(port: Part, answers: Answers) -> Part:
    made = _only(port, _PORT)
    for ours, names in _RENAMED.items():
        value = next((port[name] for name in names if port.get(name) is not None), None)
        if value is not None:
            made[ours] = value
    pairs = _list(port, "allowed_address_pairs")
    if pairs:
        made["allowed_address_pairs"] = [_only(p, ("ip_address", "mac_address")) for p in pairs]
    groups = port.get("security_groups", port.get("security_group_ids"))
    if groups is not None and not isinstance(groups, list):
        raise Lacking(f"security groups of port {port['id']} are no list")
    if groups is not None:
        made["security_groups"] = [_group(group, answers) for group in groups]
    policy = port.get("qos_policy_id") or port.get("qos_network_policy_id")
    if policy:
        made["qos_policy"] = _policy(str(policy), port, answers)
    return made


def _group(group: Any, answers: Answers) -> Any:
    """A group with its rules where they are known, else its id."""
    known = answers.get("security_group", str(group))
    if known is None:
        return group
    rules = known.get("security_group_rules", known.get("rules")) or []
    return {"id": str(group), "name": str(known.get("name") or ""), "rules": rules}


def _policy(policy: str, port: Part, answers: Answers) -> Part:
    known = answers.get("policy", policy)
    if known is None:
        raise Lacking(f"QoS policy {policy} of port {port['id']} is not in the files; it is what "
                      f"GET /v2.0/qos/policies/{policy} answers")  # fmt: skip
    rules = [_only(rule, _RULE) for rule in _list(known, "rules")]
    return {"id": policy, "name": str(known.get("name") or ""), "rules": rules}


def _network(network: Part, answers: Answers, physical: str) -> Part:
    made = _only(network, _NETWORK)
    made["segment"] = _segment(network, answers, physical)
    return made


def _segment(network: Part, answers: Answers, physical: str) -> Part:
    own = {name: network.get(f"provider:{name}") for name in _SEGMENT}
    several = [{n: s.get(f"provider:{n}", s.get(n)) for n in _SEGMENT}
               for s in _list(network, "segments")]  # fmt: skip
    listed = [{**_only(s, _SEGMENT), "id": s.get("id")} for s in answers.all("segment")
              if s.get("network_id") == network["id"]]  # fmt: skip
    choice = listed or several or ([own] if own["network_type"] else [])
    if physical:
        choice = [s for s in choice if s.get("physical_network") == physical]
    if not choice:
        which = f" with physical network {physical}" if physical else ""
        raise Lacking(f"network {network['id']} has no segment{which} in the files: "
                      "provider:network_type is told to administrators only")  # fmt: skip
    if len(choice) > 1:
        names = sorted(str(s.get("physical_network") or s["network_type"]) for s in choice)
        raise Lacking(f"network {network['id']} has {len(choice)} segments ({', '.join(names)}); "
                      "--physical-network says which one reaches the host")  # fmt: skip
    return {name: value for name, value in choice[0].items() if value is not None}


def _instance(port: Part, answers: Answers) -> Part | None:
    wanted = str(port.get("device_id") or "")
    server = answers.get("server", wanted)
    if server is None:
        compute = str(port.get("device_owner") or "").startswith("compute:")
        return {"id": wanted} if wanted and compute else None
    made: Part = {"id": wanted, "name": str(server.get("OS-EXT-SRV-ATTR:instance_name")
                                            or server.get("name") or "")}  # fmt: skip
    if server.get("tenant_id") or server.get("project_id"):
        made["project_id"] = str(server.get("tenant_id") or server.get("project_id"))
    flavor = server.get("flavor") if isinstance(server.get("flavor"), dict) else {}
    flavors = answers.all("flavor")
    flavor = {**(flavor or {}), **(flavors[0] if len(flavors) == 1 else {})}
    if isinstance(flavor.get("vcpus"), int):
        made["vcpus"] = flavor["vcpus"]
    specs = flavor.get("extra_specs", flavor.get("properties"))
    if isinstance(specs, dict):
        made["flavor_extra_specs"] = specs
    images = answers.all("image")
    if len(images) == 1:
        made["image_properties"] = _properties(images[0])
    return made


def _properties(image: Part) -> Part:
    """What an image asks for: version 2 has its properties beside its fields."""
    own = image.get("properties")
    flat = {k: v for k, v in image.items() if k.startswith(("hw_", "os_", "img_", "trait:"))}
    return {**flat, **(own if isinstance(own, dict) else {})}


def _parts(value: Any) -> Iterator[tuple[str, Part]]:
    """What a file holds, each with its kind."""
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
        return
    if not isinstance(value, dict):
        raise Lacking(f"{str(value)[:60]!r} is no answer of an API: it is no object")
    kind = _kind(value)
    if kind:
        yield kind, value
        return
    wrapped = False
    for name, inside in value.items():
        if name in _WRAPPERS and isinstance(inside, dict):
            wrapped = True
            yield _WRAPPERS[name], inside
        elif name in _MANY and isinstance(inside, list):
            wrapped = True
            yield from ((_MANY[name], one) for one in inside if isinstance(one, dict))
    if not wrapped:
        names = ", ".join(list(map(str, value))[:5])
        raise Lacking(f"an object with {names or 'nothing in it'} is no port, network, subnet, "
                      "segment, security group, QoS policy, server, flavor or image")  # fmt: skip


def _kind(value: Mapping[str, Any]) -> str:
    """The kind of an object that stands without a wrapper, by what only such a one has."""
    signs = (
        ("port", ("mac_address", "network_id")),
        ("subnet", ("cidr", "network_id")),
        ("segment", ("network_type", "network_id")),
        ("security_group", ("id", "security_group_rules")),
        ("security_group", ("id", "rules", "stateful")),
        ("policy", ("id", "rules")),
        ("server", ("id", "flavor", "addresses")),
        ("image", ("id", "disk_format")),
        ("flavor", ("id", "vcpus", "ram")),
        ("network", ("id", "provider:network_type")),
        ("network", ("id", "mtu", "subnets")),
        ("network", ("id", "segments")),
    )
    if not isinstance(value.get("id"), str):
        return ""
    return next((kind for kind, names in signs if all(n in value for n in names)), "")


def _only(part: Mapping[str, Any], names: Iterable[str]) -> Part:
    """These fields, where they say something."""
    return {name: part[name] for name in names if part.get(name) is not None}


def _list(part: Mapping[str, Any], name: str) -> list[Any]:
    """The objects in a field.

    :raises Lacking: something else is among them
    """
    value = part.get(name)
    found = value if isinstance(value, list) else []
    for one in found:
        if not isinstance(one, dict):
            raise Lacking(f"{name} of {part.get('id', '?')} has {str(one)[:60]!r} in it, which is "
                          "no object")  # fmt: skip
    return found
