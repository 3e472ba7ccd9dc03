"""Shared sets as the random operation machine knows them: what was said, and what must be there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vifd.testing.daemon import Vifd

#: Rules that let every IP packet pass: what changes beside them must harm no port in the group.
ALL = [
    {"direction": way, "ethertype": family}
    for way in ("egress", "ingress")
    for family in ("IPv4", "IPv6")
]


def group_id(number: int) -> str:
    return f"5e75{number:04d}-0000-4000-8000-000000000000"


@dataclass
class SaidSets:
    """What callers said of groups, and the daemon took.

    :ivar members: by group, who is in it by its owner's word
    """

    vifd: Vifd
    members: dict[str, frozenset[str]] = field(default_factory=dict)

    def put(self, number: int) -> str:
        """Say a group anew, without members; returns what was said."""
        return self._ask("PUT", number, {"rules": ALL}, frozenset())

    def toggle(self, number: int, ip: str) -> str:
        """A member and a rule that names the group come, or go."""
        known = self.members.get(group_id(number))
        if known is None:
            return self.put(number)
        side = "remove" if ip in known else "add"
        return self._ask("PATCH", number, {side: {"members": [{"ip_address": ip}]}}, known ^ {ip})

    def delete(self, number: int) -> str:
        """Take a group away; one that is in use stays."""
        status, answer = self.vifd.call("DELETE", f"/v1/security-groups/{group_id(number)}")
        if status == 204:
            self.members.pop(group_id(number), None)
        assert status == 204 or answer["code"] in ("E_SET_IN_USE", "E_REC_STORE"), answer
        return f"DELETE group {number}: {status}"

    def _ask(self, method: str, number: int, body: Any, members: frozenset[str]) -> str:
        path = f"/v1/security-groups/{group_id(number)}"
        status, answer = self.vifd.call(method, path, body)
        assert status == 202 or answer["retryable"], answer
        if status == 202:
            self.members[group_id(number)] = members
        return f"{method} group {number}: {status}"

    def astray(self) -> list[str]:
        """What differs from what was said, or was not taken up yet."""
        sets = self.vifd.get("/v1/security-groups")["security_groups"]
        found = [f"group {s['id']} waits for {s['pending']}" for s in sets if s["pending"]]
        have = {s["id"]: s["counts"].get("members", 0) for s in sets}
        said = {i: len(members) for i, members in self.members.items()}
        return found if have == said else [*found, f"groups are {have}, said was {said}"]

    def clear(self) -> None:
        """None is left; no port may be in one."""
        for shown in self.vifd.get("/v1/security-groups")["security_groups"]:
            self.vifd.call("DELETE", f"/v1/security-groups/{shown['id']}?wait=applied&timeout=30")
        self.members.clear()
