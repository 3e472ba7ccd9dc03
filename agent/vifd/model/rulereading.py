"""What a rule of a security group may say, as the Networking API has it. Pure."""

from __future__ import annotations

import ipaddress

from msgspec.structs import replace

from vifd import errors
from vifd.model.sets import ICMP, ICMPV6, PROTOCOLS, WITH_PORTS, SecurityGroupRule

#: Protocols that IPv4 packets do not carry, as the Networking API has it.
_IPV6_ONLY = frozenset(
    PROTOCOLS[name]
    for name in ("ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route")
)
#: What the API takes for "all protocols", besides nothing; the last two are Neutron's names of 0.
_ANY = ("any", "0", "ip", "hopopt")
_REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")


def read_rule(rule: SecurityGroupRule, path: str) -> SecurityGroupRule:
    """A rule in canonical form.

    :param path: where it stands
    :raises errors.BadDocument: with the field's path
    """
    rule = replace(rule, protocol=_protocol(rule.protocol, path))
    if rule.number in _IPV6_ONLY and rule.ip_version == 4:
        raise _bad(path, "protocol", f"{rule.protocol} is not carried by IPv4")
    _check_range(rule, path)
    named = [name for name in _REMOTES if getattr(rule, name) is not None]
    if len(named) > 1:
        raise _bad(path, named[1], f"stands beside {named[0]}; a rule has one other side")
    if rule.remote_ip_prefix is not None:
        return replace(rule, remote_ip_prefix=_remote(rule, rule.remote_ip_prefix, path))
    return rule


def _bad(path: str, field: str, problem: str) -> errors.BadDocument:
    return errors.BadDocument.at_field(f"{path}.{field}", problem)


def _protocol(text: str | None, path: str) -> str | None:
    if text is None or text.lower() in _ANY:
        return None
    text = text.lower()
    if text in PROTOCOLS:
        return text
    if not (text.isascii() and text.isdecimal() and int(text) <= 255):
        known = ", ".join(PROTOCOLS)
        raise _bad(path, "protocol", f"{text!r:.64} is no number up to 255 and none of {known}")
    return str(int(text)) if int(text) else None


def _check_range(rule: SecurityGroupRule, path: str) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    if rule.number is None:
        raise _bad(path, "protocol", "is required where ports are named")
    if rule.number in WITH_PORTS:
        _check_ports(low, high, path)
    elif rule.number in (ICMP, ICMPV6):
        _check_icmp(low, high, path)
    else:
        field = "port_range_min" if low is not None else "port_range_max"
        raise _bad(path, field, f"packets of protocol {rule.protocol} have no ports")


def _check_ports(low: int | None, high: int | None, path: str) -> None:
    for field, value in (("port_range_min", low), ("port_range_max", high)):
        if value is None:
            raise _bad(path, field, "is required where the other end of the range is named")
        if value == 0:
            raise _bad(path, field, "0 is no port")
    if low is not None and high is not None and low > high:
        raise _bad(path, "port_range_min", f"{low} is above port_range_max, {high}")


def _check_icmp(kind: int | None, code: int | None, path: str) -> None:
    for field, value in (("port_range_min", kind), ("port_range_max", code)):
        if value is not None and value > 255:
            word = "type" if field == "port_range_min" else "code"
            raise _bad(path, field, f"{value} is no ICMP {word}, which is at most 255")
    if kind is None:
        raise _bad(path, "port_range_min", "is required where port_range_max names an ICMP code")


def _remote(rule: SecurityGroupRule, text: str, path: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _bad(path, "remote_ip_prefix", f"{text!r:.64} is no address or prefix") from None
    if "%" in text:
        raise _bad(path, "remote_ip_prefix", f"{text!r:.64} is no address or prefix")
    if network.version != rule.ip_version:
        raise _bad(path, "remote_ip_prefix", f"{text} is no prefix of {rule.ethertype}")
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)
