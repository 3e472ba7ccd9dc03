"""Who is in a security group: whom its owner names, and the ports of this host. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.model.attachment import Attachment
from vifd.model.setreading import prefix
from vifd.model.sets import Member, SecurityGroup, SetKey, SetKind


def groups_of(attachment: Attachment) -> tuple[str, ...] | None:
    """The ids of the security groups that hold for a port; ``None`` where none are asked for: port
    security is off, or its document says nothing of groups."""
    port = attachment.port
    if not port.port_security_enabled or port.security_groups is None:
        return None
    ids = (one if isinstance(one, str) else one.id for one in port.security_groups)
    return tuple(dict.fromkeys(ids))


def refers_to(attachment: Attachment) -> tuple[SetKey, ...]:
    """The sets that a port refers to by itself."""
    groups = (SetKey(SetKind.SECURITY_GROUP, i) for i in groups_of(attachment) or ())
    return (*groups, SetKey(SetKind.FORWARDING, attachment.network.id))


def members_of(attachment: Attachment) -> tuple[Member, ...]:
    """A port as members of its groups: its addresses and its allowed pairs."""
    own = attachment.mac
    found = [Member(ip_address=prefix(ip.ip_address, "fixed_ips"), mac_address=own)
             for ip in attachment.fixed_ips]  # fmt: skip
    found += [
        Member(
            ip_address=prefix(pair.ip_address, "port.allowed_address_pairs"),
            mac_address=pair.mac_address.lower() if pair.mac_address else own,
        )
        for pair in attachment.port.allowed_address_pairs
    ]
    return tuple(dict.fromkeys(found))


def effective_members(
    group: SecurityGroup, attachments: Iterable[Attachment]
) -> tuple[Member, ...]:
    """Everybody who is in a group.

    :param attachments: of this host's ports; those that are not in it are left out
    """
    here = (a for a in attachments if group.id in (groups_of(a) or ()))
    local = (member for a in here for member in members_of(a))
    return tuple(dict.fromkeys([*group.members, *local]))
