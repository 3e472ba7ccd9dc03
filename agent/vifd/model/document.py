"""Reading an attachment document: the schema's rules, and those that a schema cannot say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Struct, structs

from vifd import errors
from vifd.model import networking, trunks, unread
from vifd.model.attachment import Attachment
from vifd.model.extensions import (
    DIRECTIONS,
    DSCP_MARKS,
    QOS_DIRECTIONS,
    QOS_VALUES,
    QosPolicy,
)
from vifd.model.values import Role

#: Versions of the attachment document that are understood, newest first.
DOCUMENT_VERSIONS = ("1.0",)
#: What may stand under ``required`` in a document of these versions.
KNOWN_REQUIREMENTS = frozenset(("features", "traits"))
_Names = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=255)]],
                   msgspec.Meta(max_length=100)]  # fmt: skip
#: Fields that an earlier vifd kept unread, by the part of the document that they stand in: in what
#: it wrote down they may hold anything.
_LATER = {
    "port": (
        "ip_allocation", "security_groups", "qos_policy", "trunk_details", "numa_affinity_policy",
        "trusted", "hardware_offload_type", "hints", "propagate_uplink_status",
        *networking.IN_PORT,
    ),
    "network": ("vlan_transparent", "qinq", "qos_policy", *networking.IN_NETWORK),
    "instance": ("numa_nodes",),
}  # fmt: skip


class Document(Struct, frozen=True):
    """An attachment with the text it was read from, unknown fields included."""

    attachment: Attachment
    raw: dict[str, Any]
    #: bytes that its unknown fields take
    unread: int = 0

    @property
    def id(self) -> str:
        return self.attachment.port.id

    def text(self) -> bytes:
        """The canonical JSON: equal documents have equal text."""
        return msgspec.json.encode(self.raw, order="deterministic")

    def with_role(self, role: Role) -> Document:
        """The same document in another role."""
        attachment = msgspec.structs.replace(self.attachment, role=role)
        return Document(attachment, {**self.raw, "role": role.value}, self.unread)

    def with_vif_type(self, vif_type: str) -> Document:
        """The same document with a wish for a VIF type."""
        attachment = msgspec.structs.replace(self.attachment, vif_type=vif_type)
        return Document(attachment, {**self.raw, "vif_type": vif_type}, self.unread)


_PATH = re.compile(r" - at (?:`key` in )?`\$?\.?([^`]*)`$")


def decode(raw: Any, *, port_id: str | None = None) -> Document:
    """Read an attachment document.

    :param raw: the parsed JSON
    :param port_id: the id that the caller addressed, if any
    :raises errors.BadDocument: with the field's path; nothing was touched
    """
    if isinstance(raw, dict) and "prewired" in raw:
        problem = "is vifd's own word: ask for it by prewire=closed of the network's part"
        raise errors.BadDocument.at_field("prewired", problem, port=port_id or "")
    try:
        document = _decoded(raw, port_id)
        _check_new(document.attachment)
    except errors.BadDocument as error:
        raise networking.as_written(error, raw) from error.__cause__
    if document.unread > unread.MAX_DOCUMENT:
        path, _ = max(unread.unread(document.raw), key=lambda f: len(msgspec.json.encode(f[1])))
        problem = f"is not read; of such fields {unread.MAX_DOCUMENT} bytes are kept"
        facts = {"field": path[:255], "problem": problem, "have": document.unread}
        raise errors.UnreadTooLarge(facts=facts, stage="decode", port=document.id)
    return document


def _decoded(raw: Any, port_id: str | None) -> Document:
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    raw = networking.canonical(raw)
    version = raw.get("version")
    if isinstance(version, str) and version not in DOCUMENT_VERSIONS:
        raise errors.UnsupportedVersion(
            facts={"field": "version", "wanted": version[:64], "have": list(DOCUMENT_VERSIONS)},
            stage="decode",
        )
    try:
        attachment = msgspec.convert(raw, Attachment)
    except msgspec.ValidationError as error:
        raise bad_field(str(error), port_id or "") from error
    _check_required(attachment)
    if port_id is not None and attachment.id != port_id:
        raise errors.BadDocument.at_field("port.id", "differs from the id in the path")
    _check_values(attachment)
    return Document(attachment, raw, unread.size(raw))


def _check_required(attachment: Attachment) -> None:
    for name, value in attachment.required.items():
        path = f"required.{name[:64]}"
        if name not in KNOWN_REQUIREMENTS:
            raise errors.UnknownRequired(facts={"field": path}, stage="decode", port=attachment.id)
        try:
            msgspec.convert(value, _Names)
        except msgspec.ValidationError as error:
            problem = _PATH.sub("", str(error))
            raise errors.BadDocument.at_field(path, problem, port=attachment.id) from error


def restore(raw: Any, *, port_id: str | None = None) -> Document:
    """Read a document that was accepted once, perhaps by an earlier vifd: fields that it did not
    read and that make no sense are left out of the attachment, and stay in the document.

    :raises errors.BadDocument: it never was one
    """
    try:
        return _decoded(raw, port_id)
    except errors.BadDocument:
        if not isinstance(raw, dict):
            raise
        return Document(_decoded(_without_later(raw), port_id).attachment, raw, unread.size(raw))


def _without_later(raw: dict[str, Any]) -> dict[str, Any]:
    """The document without the fields that an earlier vifd did not read."""
    kept = dict(raw)
    for part, names in _LATER.items():
        if isinstance(value := raw.get(part), dict):
            kept[part] = {k: v for k, v in value.items() if k not in names}
    return kept


def bad_field(text: str, port: str) -> errors.BadDocument:
    """The error of a field that is not as the schema wants it.

    msgspec says ``problem - at `$.path```; a missing field is named in the problem."""
    found = _PATH.search(text)
    path = found.group(1) if found else ""
    problem = text[: found.start()] if found else text
    missing = re.search(r"missing required field `([^`]+)`", problem)
    if missing:
        path = f"{path}.{missing.group(1)}" if path else missing.group(1)
        problem = "is required"
    return errors.BadDocument.at_field(path or "(document)", problem, port=port)


def _check_values(attachment: Attachment) -> None:
    """The rules that a schema cannot say."""

    def fail(path: str, problem: str) -> None:
        raise errors.BadDocument.at_field(path, problem, port=attachment.id)

    def unicast(path: str, mac: str) -> None:
        if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
            fail(path, f"{mac} is not a unicast MAC address")

    unicast("port.mac_address", attachment.mac)
    for i, pair in enumerate(attachment.port.allowed_address_pairs):
        path = f"port.allowed_address_pairs[{i}]"
        if _network(pair.ip_address) is None:
            fail(f"{path}.ip_address", f"{pair.ip_address!r:.64} is no address or prefix")
        if pair.mac_address:
            unicast(f"{path}.mac_address", pair.mac_address)
    for i, ip in enumerate(attachment.fixed_ips):
        if _address(ip.ip_address) is None:
            fail(f"fixed_ips[{i}].ip_address", f"{ip.ip_address!r:.64} is no IP address")
    for i, subnet in enumerate(attachment.subnets):
        if _network(subnet.cidr) is None:
            fail(f"subnets[{i}].cidr", f"{subnet.cidr!r:.64} is no prefix")
        if subnet.gateway_ip is not None and _address(subnet.gateway_ip) is None:
            fail(f"subnets[{i}].gateway_ip", f"{subnet.gateway_ip!r:.64} is no IP address")
    segment = attachment.network.segment
    if segment.network_type == "vlan":
        tag = segment.segmentation_id
        if tag is None or not 1 <= tag <= 4094:
            fail("network.segment.segmentation_id", "a VLAN needs an id from 1 to 4094")
    if segment.network_type in ("vlan", "flat") and not segment.physical_network:
        problem = f"network type {segment.network_type} needs one"
        fail("network.segment.physical_network", problem)
    if attachment.network.vlan_transparent and attachment.network.qinq:
        fail("network.qinq", "excludes vlan_transparent: a network has one of the two")
    if attachment.hosted is not None and not attachment.plugin:
        fail("plugin", "is required beside hosted: the plugin on whose switch the port is")
    for owner in ("port", "network"):
        policy = getattr(attachment, owner).qos_policy
        if policy is not None:
            _check_qos(policy, f"{owner}.qos_policy", fail)
    if attachment.port.trunk_details is not None:
        trunks.check(attachment, attachment.port.trunk_details, fail)


def _check_qos(policy: QosPolicy, where: str, fail: Callable[[str, str], None]) -> None:
    for i, rule in enumerate(policy.rules):
        path = f"{where}.rules[{i}]"
        if rule.direction not in DIRECTIONS:
            fail(f"{path}.direction", f"{rule.direction!r:.64} is none of {', '.join(DIRECTIONS)}")
        if rule.type in QOS_VALUES and rule.value is None:
            fail(f"{path}.{QOS_VALUES[rule.type]}", f"is required for a rule {rule.type}")
        if rule.dscp_mark is not None and rule.dscp_mark not in DSCP_MARKS:
            fail(f"{path}.dscp_mark", f"{rule.dscp_mark} is no valid DSCP mark")


def _check_new(attachment: Attachment) -> None:
    """Rules that earlier versions did not have: what was accepted once keeps its limits."""

    def fail(path: str, problem: str) -> None:
        raise errors.BadDocument.at_field(path, problem, port=attachment.id)

    for owner in ("port", "network"):
        policy = getattr(attachment, owner).qos_policy
        marks: set[int | None] = set()
        for i, rule in enumerate(policy.rules if policy is not None else ()):
            path = f"{owner}.qos_policy.rules[{i}]"
            known = QOS_DIRECTIONS.get(rule.type, DIRECTIONS)
            if not rule.type:
                fail(f"{path}.type", "is empty")
            if rule.direction not in known:
                problem = f"{rule.direction} is none of {', '.join(known)}"
                fail(f"{path}.direction", f"{problem}, which rules {rule.type} have")
            marks |= {rule.dscp_mark} if rule.type == "dscp_marking" else set()
            if len(marks) > 1:
                fail(f"{path}.dscp_mark", "is a second mark: a packet has one")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return None if "%" in text else network


def differences(
    old: Mapping[str, Any] | Struct, new: Mapping[str, Any] | Struct, prefix: str = ""
) -> list[str]:
    """The paths at which two documents, or what was read of them, differ; lists are compared as a
    whole. A field that is said as its default is no difference from one that is not said, where
    both were read."""
    was, is_ = _named(old), _named(new)
    paths: list[str] = []
    for key in sorted(set(was) | set(is_)):
        path = f"{prefix}{key}"
        a, b = was.get(key), is_.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping | Struct) and isinstance(b, Mapping | Struct):
            paths += differences(a, b, f"{path}.")
        else:
            paths.append(path)
    return paths


def _named(part: Mapping[str, Any] | Struct) -> Mapping[str, Any]:
    return structs.asdict(part) if isinstance(part, Struct) else part
