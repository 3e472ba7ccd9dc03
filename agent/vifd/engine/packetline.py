"""A packet that a log of security groups is about, as one line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vifd.model import PortRecord
from vifd.model.sets import GroupLog
from vifd.plugin.logged import Seen
from vifd.policy import headers
from vifd.policy.groups import Passes

#: What stands between fields, and in them.
_APART = frozenset(' ="')


def line(
    record: PortRecord, seen: Seen, found: headers.Headers, by: Passes | None,
    logs: Collection[GroupLog], request: Callable[[str], str],
) -> str:  # fmt: skip
    """A packet as one line of fields. Pure.

    :param by: what lets it pass, where a rule does
    :param request: the id of the request that a log came by
    """
    said = {
        "action": "ACCEPT" if seen.accepted else "DROP", "direction": str(seen.direction),
        "port": record.id, "instance": record.doc.attachment.instance_id,
        "rule": by.rule.id if by is not None and by.rule is not None else "",
        "group": by.group.id if by is not None and by.group is not None else "",
        "protocol": found.name, **_ends(found), "length": str(seen.length),
        "log": ",".join(log.id for log in logs),
        "request": ",".join(dict.fromkeys(filter(None, (request(log.id) for log in logs)))),
    }  # fmt: skip
    return " ".join(f"{name}={_word(value)}" for name, value in said.items())


def _ends(found: headers.Headers) -> dict[str, str]:
    ends = {"src": found.source or found.src_mac, "dst": found.target or found.dst_mac}
    if found.ports is None:
        return ends | ({"fragment": "later"} if found.fragment else {})
    first, second = map(str, found.ports)
    if found.name in ("icmp", "icmpv6"):
        return ends | {"type": first, "code": second}
    flags = {"flags": found.flags} if found.flags else {}
    return ends | {"sport": first, "dport": second, **flags}


def _word(text: str) -> str:
    """A value without what would make two of it: request ids come from callers."""
    return "".join("_" if c in _APART or not c.isprintable() else c for c in text) or "-"
