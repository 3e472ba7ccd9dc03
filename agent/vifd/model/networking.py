"""A document in which parts stand as the Networking API writes them, in the places of ours. Pure.

Its extensions have a prefix there (``binding:``, ``provider:``), and the addresses of a port belong
to the port. The same thing said twice must be the same thing: what is ignored of an address is a
filter that nobody made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vifd import errors

#: Names in the port of the Networking API, and the fields of the port here.
_PORT = {
    "binding:vnic_type": "vnic_type",
    "binding:profile": "binding_profile",
    "binding_vnic_type": "vnic_type",
}
#: Names in its network, and the fields of the segment here.
_SEGMENT = {
    "provider:network_type": "network_type",
    "provider:physical_network": "physical_network",
    "provider:segmentation_id": "segmentation_id",
}
#: All that is read here of the port and the network, by its name there.
IN_PORT = (*_PORT, "fixed_ips", "network_id", "device_id")
IN_NETWORK = tuple(_SEGMENT)
#: What only a port of the Networking API has.
_TELLING = ("network_id", "fixed_ips", "binding:vnic_type", "binding:host_id", "tenant_id")
_HOW = "vifctl document from-neutron makes a document of such a port"


def canonical(raw: dict[str, Any]) -> dict[str, Any]:
    """The document with every such part in its place here; the same object where there is none.

    :raises errors.BadDocument: what it says in two places differs, or it is no document but a port
        of the Networking API, which lacks what a host must know
    """
    _no_bare_port(raw)
    port, network = raw.get("port"), raw.get("network")
    if isinstance(port, dict):
        raw = _port(raw, port)
        _same_network(raw)
    if isinstance(network, dict) and not _SEGMENT.keys().isdisjoint(network):
        raw = {**raw, "network": _network(network)}
    return raw


def as_written(error: errors.BadDocument, raw: Any) -> errors.BadDocument:
    """The error with the field's path in the document as it was sent."""
    field = str(error.facts.get("field", ""))
    if not isinstance(raw, dict):
        return error
    port, network = raw.get("port"), raw.get("network")
    pairs = []
    if isinstance(port, dict):
        if "fixed_ips" in port and "fixed_ips" not in raw:
            pairs.append(("fixed_ips", "port.fixed_ips"))
        pairs += [(f"port.{ours}", f"port.{name}") for name, ours in _PORT.items()
                  if name in port and ours not in port]  # fmt: skip
    if isinstance(network, dict):
        pairs += [(f"network.segment.{ours}", f"network.{name}")
                  for name, ours in _SEGMENT.items() if name in network]  # fmt: skip
    for ours, theirs in pairs:
        if field == ours or field.startswith((f"{ours}.", f"{ours}[")):
            facts = {**error.facts, "field": theirs + field[len(ours) :]}
            return type(error)(facts=facts, stage=error.stage, port=error.port)
    return error


def _no_bare_port(raw: Mapping[str, Any]) -> None:
    port = raw.get("port")
    if "port" not in raw and "mac_address" in raw and "network_id" in raw:
        problem = f"is required; this is a bare port of the Networking API, {_HOW}"
        raise errors.BadDocument.at_field("port", problem)
    if isinstance(port, dict) and any(name in port for name in _TELLING):
        for part in ("version", "network"):
            if part not in raw:
                problem = f"is required beside a port of the Networking API; {_HOW}"
                raise errors.BadDocument.at_field(part, problem, port=_text(port.get("id")))


def _port(raw: dict[str, Any], port: dict[str, Any]) -> dict[str, Any]:
    """Its addresses stand beside it, its extensions without a prefix."""
    if "fixed_ips" in port:
        raw = _beside(raw, port)
        port = raw["port"]
    named = [name for name in _PORT if name in port]
    if not named:
        return raw
    port = dict(port)
    for name in named:
        _put(port, _PORT[name], port.pop(name), f"port.{name}", f"port.{_PORT[name]}")
    return {**raw, "port": port}


def _beside(raw: dict[str, Any], port: dict[str, Any]) -> dict[str, Any]:
    given = port["fixed_ips"]
    if raw.get("fixed_ips", given) != given:
        problem = "differs from fixed_ips; say the addresses once"
        raise errors.BadDocument.at_field("port.fixed_ips", problem, port=_text(port.get("id")))
    rest = {name: value for name, value in port.items() if name != "fixed_ips"}
    return {**raw, "port": rest, "fixed_ips": given}


def _network(network: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in network.items() if name not in _SEGMENT}
    segment = rest.get("segment", {})
    if not isinstance(segment, dict):
        return network
    segment = dict(segment)
    for name, field in _SEGMENT.items():
        if name in network:
            path = f"network.segment.{field}"
            _put(segment, field, network[name], f"network.{name}", path)
    return {**rest, "segment": segment}


def _put(part: dict[str, Any], name: str, value: Any, path: str, other: str) -> None:
    if part.setdefault(name, value) != value:
        raise errors.BadDocument.at_field(path, f"differs from {other}; say it once")


def _same_network(raw: Mapping[str, Any]) -> None:
    port, network, instance = raw["port"], raw.get("network"), raw.get("instance")
    pairs = (
        ("network_id", network, "network.id"),
        ("device_id", instance, "instance.id"),
    )
    for name, part, other in pairs:
        if port.get(name) and isinstance(part, dict) and part.get("id", port[name]) != port[name]:
            problem = f"differs from {other}: that is of another port"
            raise errors.BadDocument.at_field(f"port.{name}", problem, port=_text(port.get("id")))


def _text(value: Any) -> str:
    return value[:36] if isinstance(value, str) else ""
