"""Whether the security groups of a port let a packet pass, and by which rule. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from msgspec import Struct, structs

from vifd.model import Attachment
from vifd.model.attachment import FixedIp
from vifd.model.members import effective_members, groups_of, members_of
from vifd.model.sets import PROTOCOLS, AddressGroup, SecurityGroup, SetBody, SetKey, SetKind
from vifd.policy.groups import Packet, Passes, judge, missing, unseen
from vifd.policy.rule import Direction

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Reads a set.
Get = Callable[[SetKey], SetBody | None]


class OtherSide(Struct, frozen=True, kw_only=True):
    """What the groups of the port at the other end say, where it is on this host."""

    port: str
    passes: bool
    why: str
    group: str | None = None
    rule: str | None = None
    missing: list[str] = []


class Passing(Struct, frozen=True, kw_only=True):
    """What the groups of a port say of the first packet of a connection.

    :param direction: as seen from the guest
    :param remote: the other side
    :param peer: the port of this host that has that address, which judges the packet as well
    :param passes: whether something lets it pass
    :param why: what does, or that nothing does
    :param group: the security group, where it is a rule of one
    :param rule: the id of that rule
    :param missing: sets that the answer would need
    """

    port: str
    direction: Direction
    remote: str
    protocol: int
    port_number: int | None = None
    passes: bool
    why: str
    group: str | None = None
    rule: str | None = None
    missing: list[str] = []
    peer: OtherSide | None = None


def protocol_number(text: str, version: int) -> int:
    """A protocol by name or number.

    :raises ValueError: it is none
    """
    number = PROTOCOLS.get(text.lower())
    number = int(text, 10) if number is None else number
    if not 1 <= number <= 255:
        raise ValueError(f"{text} is no protocol")
    return PROTOCOLS["icmpv6"] if (number, version) == (PROTOCOLS["icmp"], 6) else number


def passing(
    attachment: Attachment, packet: Packet, get: Get, attachments: Iterable[Attachment],
    unseen_ports: Collection[int] = (),
) -> Passing:  # fmt: skip
    """What lets a packet of a port pass, if anything does.

    :param attachments: of all ports of the host: they are members of their groups
    :param unseen_ports: see :attr:`vifd.plugin.Advert.unseen_ports`
    """
    ids, lacking, everybody = groups_of(attachment), [], list(attachments)
    found, why = None, ""
    if ids is None:
        why = "no security groups are enforced for the port"
    else:
        lacking = [*missing(ids, packet.direction, lambda i: _group(get, i),
                            lambda key: get(key) is not None)]  # fmt: skip
        bodies = () if lacking else (_group(get, i) for i in ids)
        groups = [body for body in bodies if body is not None]

        def lookup(key: SetKey) -> list[str]:
            return _addresses(get(key), everybody)

        found = judge([_seen(body, unseen_ports) for body in groups], packet, lookup)
        meant = found or judge(groups, packet, lookup)
        why = meant.what if meant is not None else _nothing(ids, lacking, packet.direction)
        if meant is not None and found is None:
            why = _vain(meant, packet)
    return Passing(
        port=attachment.id, direction=packet.direction,
        remote=str(ipaddress.ip_address(packet.remote)), protocol=packet.protocol,
        port_number=packet.dport or None, passes=ids is None or found is not None, why=why,
        group=found.group.id if found is not None and found.group is not None else None,
        rule=found.rule.id if found is not None and found.rule is not None else None,
        missing=[str(key) for key in lacking],
    )  # fmt: skip


_TURNED = {Direction.EGRESS: Direction.INGRESS, Direction.INGRESS: Direction.EGRESS}


def other_end(
    attachment: Attachment, packet: Packet, attachments: Iterable[Attachment]
) -> tuple[Attachment, Packet] | None:
    """The port of this host and of the same network that has the packet's other address, and the
    packet as it is judged there; ``None`` where there is none.

    One that has the address of its own goes before those that may use it.
    """
    far = ipaddress.ip_address(packet.remote)
    near = next(
        (ip for ip in map(_address, attachment.fixed_ips) if ip.version == far.version), None
    )
    beside = (a for a in attachments if a.network.id == attachment.network.id)
    there = [a for a in beside if a.id != attachment.id and _may_use(a, far)]
    if near is None or not there:
        return None
    owner = next((a for a in there if far in map(_address, a.fixed_ips)), there[0])
    return owner, replace(packet, direction=_TURNED[packet.direction], remote=str(near))


def _address(ip: FixedIp) -> Address:
    return ipaddress.ip_address(ip.ip_address)


def _may_use(attachment: Attachment, address: Address) -> bool:
    """Whether it is one of the port's own or allowed addresses; a prefix is nobody's address."""
    return any(ipaddress.ip_network(m.ip_address) == ipaddress.ip_network(address)
               for m in members_of(attachment))  # fmt: skip


def with_peer(found: Passing, peer: Passing) -> Passing:
    """The answer, with what the other end says."""
    return structs.replace(found, peer=OtherSide(
        port=peer.port, passes=peer.passes, why=peer.why, group=peer.group, rule=peer.rule,
        missing=peer.missing,
    ))  # fmt: skip


def _nothing(ids: Iterable[str], lacking: list[SetKey], direction: Direction) -> str:
    if lacking:
        return f"{direction} is closed: the port waits for {', '.join(map(str, lacking))}"
    names = ", ".join(ids) or "none, so that nothing passes but what every guest needs"
    return f"no {direction} rule of the port's security groups lets it pass (they are: {names})"


def _seen(body: SecurityGroup, protocols: Collection[int]) -> SecurityGroup:
    """A group without the rules that let nothing pass."""
    rules = tuple(rule for rule in body.rules if not unseen(rule, protocols))
    return body if len(rules) == len(body.rules) else structs.replace(body, rules=rules)


def _vain(meant: Passes, packet: Packet) -> str:
    name = next((n for n, number in PROTOCOLS.items() if number == packet.protocol), "")
    return (
        f"{meant.what} is meant for it, and lets nothing pass: ports of {name} cannot be told on "
        f"this host; a rule for all of {name}, without ports, has its effect"
    )


def _group(get: Get, group_id: str) -> SecurityGroup | None:
    found = get(SetKey(SetKind.SECURITY_GROUP, group_id))
    return found if isinstance(found, SecurityGroup) else None


def _addresses(body: SetBody | None, attachments: list[Attachment]) -> list[str]:
    if isinstance(body, AddressGroup):
        return list(body.addresses)
    if isinstance(body, SecurityGroup):
        return [member.ip_address for member in effective_members(body, attachments)]
    return []
