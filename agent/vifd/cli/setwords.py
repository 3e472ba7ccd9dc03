"""Rules, members and endpoints in words, and back. Pure.

A rule reads ``ingress tcp 443 from 10.0.0.0/8``: direction, IP version where neither the protocol
nor the other side tells it, protocol, destination ports (of ICMP, type and code), other side.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from vifd.cli.base import UsageError

SYNTAX = (
    "ingress|egress [ipv4|ipv6] [PROTOCOL [PORT[-PORT]]] [from|to PREFIX|group ID|address-group "
    "ID]; of icmp TYPE[/CODE] in place of ports"
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_ICMP = frozenset(("icmp", "icmpv6", "ipv6-icmp", "1", "58"))
_IPV6 = frozenset(("icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts",
                   "ipv6-route"))  # fmt: skip
_SIDE = {"ingress": "from", "egress": "to"}


def rule(text: str) -> dict[str, Any]:
    """A rule from words.

    :raises UsageError: it is none, with what is wrong
    """
    words = text.split()
    found: dict[str, Any] = {}
    if not words or words[0].lower() not in _SIDE:
        raise _wrong(text, "begins with ingress or egress")
    found["direction"] = words.pop(0).lower()
    if words and words[0].lower() in ("ipv4", "ipv6"):
        found["ethertype"] = {"ipv4": "IPv4", "ipv6": "IPv6"}[words.pop(0).lower()]
    if words and words[0].lower() not in ("from", "to"):
        _protocol(found, words, text)
    if words:
        _remote(found, words, text)
    found.setdefault("ethertype", "IPv6" if found.get("protocol") in _IPV6 else "IPv4")
    return found


def _protocol(found: dict[str, Any], words: list[str], text: str) -> None:
    found["protocol"] = words.pop(0).lower()
    if not words or words[0].lower() in ("from", "to"):
        return
    ports = words.pop(0)
    apart = "/" if found["protocol"] in _ICMP else "-"
    low, _, high = ports.partition(apart)
    if not (low.isdecimal() and (high.isdecimal() or apart not in ports)):
        what = "a TYPE or TYPE/CODE" if apart == "/" else "a PORT or PORT-PORT"
        raise _wrong(text, f"{ports!r} is not {what}")
    found["port_range_min"] = int(low)
    if high or apart == "-":
        found["port_range_max"] = int(high or low)


def _remote(found: dict[str, Any], words: list[str], text: str) -> None:
    side = words.pop(0).lower()
    if side != _SIDE[found["direction"]]:
        raise _wrong(text, f"{found['direction']} is {_SIDE[found['direction']]} somebody")
    if not words:
        raise _wrong(text, f"nothing stands after {side!r}")
    kind = words.pop(0)
    if kind in ("group", "address-group"):
        name = "remote_group_id" if kind == "group" else "remote_address_group_id"
        found[name] = words.pop(0) if words else ""
        if not _UUID.fullmatch(found[name]):
            raise _wrong(text, f"an id stands after {kind!r}")
    elif kind.lower() != "any":
        try:
            network = ipaddress.ip_network(kind, strict=False)
        except ValueError:
            raise _wrong(text, f"{kind!r} is no prefix, 'group ID' or 'address-group ID'") from None
        found["remote_ip_prefix"] = kind
        found.setdefault("ethertype", f"IPv{network.version}")
    if words:
        raise _wrong(text, f"{' '.join(words)!r} is too much")


def _wrong(text: str, problem: str) -> UsageError:
    return UsageError(f"rule {text!r:.120}: {problem}; a rule is: {SYNTAX}")


def rule_text(found: dict[str, Any]) -> str:
    """A rule in words."""
    direction, protocol = found["direction"], found.get("protocol")
    words = [direction, found.get("ethertype", "IPv4").lower(), protocol or "any"]
    low, high = found.get("port_range_min"), found.get("port_range_max")
    if low is not None and protocol in _ICMP:
        words.append(str(low) if high is None else f"{low}/{high}")
    elif low is not None:
        words.append(str(low) if high == low else f"{low}-{high}")
    for name, word in (("remote_ip_prefix", ""), ("remote_group_id", "group "),
                       ("remote_address_group_id", "address-group ")):  # fmt: skip
        if found.get(name):
            words += [_SIDE[direction], f"{word}{found[name]}"]
    return " ".join(words)


def member(text: str) -> dict[str, Any]:
    """A member from ``ADDRESS`` or ``ADDRESS,MAC``.

    :raises UsageError: the MAC address is none
    """
    address, _, mac = text.partition(",")
    if mac and not _MAC.fullmatch(mac):
        raise UsageError(
            f"member {text!r:.80}: {mac!r} is no MAC address; a member is ADDRESS[,MAC]"
        )
    return {"ip_address": address, **({"mac_address": mac} if mac else {})}


def member_text(found: dict[str, Any]) -> str:
    """A member in words."""
    return ",".join(filter(None, (found["ip_address"], found.get("mac_address"))))


def endpoint(text: str) -> dict[str, Any]:
    """An endpoint from ``ADDRESS`` or ``ADDRESS=MAC[,IP…]``: with one port behind it.

    :raises UsageError: it is none
    """
    address, behind, rest = text.partition("=")
    if not behind:
        return {"address": address}
    mac, *ips = rest.split(",")
    if not _MAC.fullmatch(mac):
        raise UsageError(
            f"endpoint {text!r:.80}: {mac!r} is no MAC address; it is ADDRESS[=MAC[,IP…]]"
        )
    return {"address": address, "ports": [{"mac_address": mac, "ip_addresses": ips}]}


def endpoints(texts: list[str]) -> list[dict[str, Any]]:
    """Endpoints from such texts, those with one address together."""
    found: dict[str, dict[str, Any]] = {}
    for one in map(endpoint, texts):
        known = found.setdefault(one["address"], {"address": one["address"]})
        if "ports" in one:
            known.setdefault("ports", []).extend(one["ports"])
    return list(found.values())


def endpoint_texts(found: dict[str, Any]) -> list[str]:
    """An endpoint in words: a line for itself, and one for each port behind it."""
    lines = [found["address"]]
    for port in found.get("ports") or ():
        ips = port.get("ip_addresses") or []
        lines.append(f"{found['address']}={','.join([port['mac_address'], *ips])}")
    return lines


def lines(body: dict[str, Any]) -> list[str]:
    """What a set holds, a line for each piece."""
    return [
        *(f"rule {rule_text(r)}" for r in body.get("rules") or ()),
        *(f"member {member_text(m)}" for m in body.get("members") or ()),
        *(f"address {a}" for a in body.get("addresses") or ()),
        *(f"endpoint {t}" for e in body.get("endpoints") or () for t in endpoint_texts(e)),
    ]


def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changes from one set to another, as lines with ``+`` and ``-``."""
    had, has = lines(old), lines(new)
    changed = [f"- {line}" for line in had if line not in set(has)]
    changed += [f"+ {line}" for line in has if line not in set(had)]
    for name in ("name", "stateful", "event", "enabled", "resource_id", "target_id", "project_id"):
        if name in new and old.get(name) != new[name]:
            changed.append(f"~ {name} {old.get(name)!r} -> {new[name]!r}")
    return changed
