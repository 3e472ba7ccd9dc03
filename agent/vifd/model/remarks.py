"""What a reader should know of a document that was taken. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from vifd.model.attachment import Attachment
from vifd.model.unread import fields, unread

#: Fields that are told one by one; the rest is counted.
MOST = 20
#: Characters of a path that are told.
_LONGEST = 120

#: Fields of the Networking API that say nothing to a host, by the part of the document.
_SILENT: Mapping[str, frozenset[str]] = {
    "port": frozenset((
        "network_id", "device_id", "project_id", "tenant_id", "status", "description", "tags",
        "created_at", "updated_at", "revision_number", "dns_name", "dns_domain", "dns_assignment",
        "extra_dhcp_opts", "binding:host_id", "binding:vif_type", "binding:vif_details",
        "binding_host_id", "binding_vif_type", "binding_vif_details", "resource_request",
        "mac_learning_enabled", "data_plane_status", "location", "device_profile",
        "standard_attr_id", "uplink_status_propagation", "ip_address", "subnet_id",
    )),
    "network": frozenset((
        "project_id", "tenant_id", "status", "description", "tags", "created_at", "updated_at",
        "revision_number", "admin_state_up", "shared", "router:external", "subnets",
        "availability_zones", "availability_zone_hints", "ipv4_address_scope",
        "ipv6_address_scope", "port_security_enabled", "is_default", "dns_domain",
        "l2_adjacency", "location",
    )),
    "subnets": frozenset((
        "project_id", "tenant_id", "name", "description", "tags", "created_at", "updated_at",
        "revision_number", "network_id", "ip_version", "allocation_pools", "dns_nameservers",
        "host_routes", "ipv6_ra_mode", "ipv6_address_mode", "subnetpool_id", "service_types",
        "dns_publish_fixed_ip", "location",
    )),
}  # fmt: skip
#: Those that would say something if they said all of it.
_HALF = {
    "port.qos_policy_id": "an id alone: the rules belong under port.qos_policy",
    "port.qos_network_policy_id": "an id alone: the rules belong under port.qos_policy",
    "network.qos_policy_id": "an id alone: the rules belong under port.qos_policy",
    "network.segments": "the one segment that reaches this host belongs under network.segment",
}


_NO_ADDRESS = (
    "port security is on and the document has no address: the guest may ask for one (DHCP, router "
    "solicitation) and use none; fixed_ips says its addresses"
)
_QUIET = "of the Networking API, says nothing to a host"


def unread_remarks(raw: Mapping[str, Any]) -> list[str]:
    """Each field of a document that nothing here reads, with what may have been meant."""
    found = [_remark(path, value) for path, value in unread(raw)]
    found.sort(key=lambda remark: remark.endswith(_QUIET))
    more = len(found) - MOST
    return [*found[:MOST], f"and {more} more fields are not read"] if more > 0 else found


def alarming(remarks: Iterable[str]) -> list[str]:
    """Those that an operator should hear of: not what any port of the Networking API has."""
    return [remark for remark in remarks if not remark.endswith(_QUIET)]


def notes(attachment: Attachment) -> list[str]:
    """What is wanted, and probably not meant."""
    port = attachment.port
    nothing = not attachment.fixed_ips and not port.allowed_address_pairs
    meant = port.ip_allocation in ("none", "deferred")
    return [_NO_ADDRESS] if port.port_security_enabled and nothing and not meant else []


def _remark(path: str, value: Any) -> str:
    shown = path if path.isprintable() else ascii(path)
    shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
    if path in _HALF and value:
        return f"{shown} is not read: {_HALF[path]}"
    part, name = _split(path)
    if name in _SILENT.get(part, ()) or path in _HALF:
        return f"{shown} is not read: {_QUIET}"
    meant = _meant(path, name)
    return f"{shown} is not read" + (f"; did you mean {meant}?" if meant else "")


def _split(path: str) -> tuple[str, str]:
    """The part of the document, without a number, and the rest of the path."""
    part, _, name = path.partition(".")
    return part.partition("[")[0], name


def _meant(path: str, name: str) -> str:
    """A field with a name like it in the same place, else anywhere."""
    place = path.rpartition(".")[0]
    leaf = (path.rpartition(".")[2] or name)[:_LONGEST].lower().replace("-", "_")
    leaf = leaf.rpartition(":")[2]
    near = [known for known in _paths() if known.rpartition(".")[0] == _numberless(place)]
    for known in (near, _paths()):
        by_leaf = {one.rpartition(".")[2]: one for one in reversed(known)}
        close = difflib.get_close_matches(leaf, list(by_leaf), 1, 0.8)
        if close:
            found = by_leaf[close[0]]
            return f"{place}.{close[0]}" if known is near and place else found
    return ""


def _numberless(place: str) -> str:
    return ".".join(step.partition("[")[0] for step in place.split("."))


@cache
def _paths() -> list[str]:
    return list(_walk(fields(Attachment), ""))


def _walk(known: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Every path that is read, the shallow ones first."""
    yield from (f"{prefix}{name}" for name in known)
    for name, below in known.items():
        if below is not None:
            yield from _walk(fields(below), f"{prefix}{name}.")
