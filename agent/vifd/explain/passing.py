"""Whether the security groups of a port let a packet pass, and by which rule. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct, structs

from vifd.model import Attachment
from vifd.model.members import effective_members, groups_of
from vifd.model.sets import PROTOCOLS, AddressGroup, SecurityGroup, SetBody, SetKey, SetKind
from vifd.policy.groups import Packet, Passes, judge, missing, unseen
from vifd.policy.rule import Direction

#: Reads a set.
Get = Callable[[SetKey], SetBody | None]


class Passing(Struct, frozen=True, kw_only=True):
    """What the groups of a port say of the first packet of a connection.

    :param direction: as seen from the guest
    :param remote: the other side
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
