"""Reading an attachment document: the schema's rules, and those that a schema cannot say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from vifd import errors
from vifd.model.attachment import Attachment
from vifd.model.values import Role

#: Versions of the attachment document that are understood, newest first.
DOCUMENT_VERSIONS = ("1.0",)
#: What may stand under ``required`` in a document of these versions.
KNOWN_REQUIREMENTS: frozenset[str] = frozenset()


class Document(Struct, frozen=True):
    """An attachment with the text it was read from, unknown fields included."""

    attachment: Attachment
    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return self.attachment.id

    def text(self) -> bytes:
        """The canonical JSON: equal documents have equal text."""
        return msgspec.json.encode(self.raw, order="deterministic")

    def with_role(self, role: Role) -> Document:
        """The same document in another role."""
        return Document(
            msgspec.structs.replace(self.attachment, role=role), {**self.raw, "role": role.value}
        )


_PATH = re.compile(r" - at (?:`key` in )?`\$?\.?([^`]*)`$")


def decode(raw: Any, *, port_id: str | None = None) -> Document:
    """Read an attachment document.

    :param raw: the parsed JSON
    :param port_id: the id that the caller addressed, if any
    :raises errors.BadDocument: with the field's path; nothing was touched
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    version = raw.get("version")
    if isinstance(version, str) and version not in DOCUMENT_VERSIONS:
        raise errors.UnsupportedVersion(
            facts={"field": "version", "wanted": version[:64], "have": list(DOCUMENT_VERSIONS)},
            stage="decode",
        )
    try:
        attachment = msgspec.convert(raw, Attachment)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error), port_id or "") from error
    for name in attachment.required:
        if name not in KNOWN_REQUIREMENTS:
            path = f"required.{name[:64]}"
            raise errors.UnknownRequired(facts={"field": path}, stage="decode", port=attachment.id)
    if port_id is not None and attachment.id != port_id:
        raise errors.BadDocument.at_field("port.id", "differs from the id in the path")
    _check_values(attachment)
    return Document(attachment, raw)


def _bad_field(text: str, port: str) -> errors.BadDocument:
    """msgspec says ``problem - at `$.path```; a missing field is named in the problem."""
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


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The paths at which two documents differ, lists compared as a whole."""
    paths: list[str] = []
    for key in sorted(set(old) | set(new)):
        path = f"{prefix}{key}"
        a, b = old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            paths += differences(a, b, f"{path}.")
        else:
            paths.append(path)
    return paths
