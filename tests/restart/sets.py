"""Shared sets as the random operation machine knows them: what was said, and what must be there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs

#: Rules that let every IP packet pass: what changes beside them must harm no port in the group.
ALL = [
    {"direction": way, "ethertype": family}
    for way in ("egress", "ingress")
    for family in ("IPv4", "IPv6")
]
#: The network whose ports reach others by tunnels.
TUNNELLED = 2
ADDRESSES = "/v1/address-groups/add7e550-0000-4000-8000-000000000000"
_LISTS = {
    "security_groups": "/v1/security-groups/{}", "address_groups": "/v1/address-groups/{}",
    "networks": "/v1/networks/{}/forwarding", "logs": "/v1/logs/{}",
}  # fmt: skip
#: What of a set comes and goes by itself.
_PIECES = ("members", "rules", "addresses", "endpoints")


def group_id(number: int) -> str:
    return f"5e75{number:04d}-0000-4000-8000-000000000000"


def group(number: int) -> str:
    return f"/v1/security-groups/{group_id(number)}"


def network_id(number: int) -> str:
    """Bridges of the kernel are named by how it begins."""
    return f"0d1e{number:04x}-0000-4000-8000-{number:012x}"


def log(number: int) -> str:
    return f"/v1/logs/1060{number:04d}-0000-4000-8000-000000000000"


FORWARDING = f"/v1/networks/{network_id(TUNNELLED)}/forwarding"
Pieces = dict[str, frozenset[str]]


@dataclass
class SaidSets:
    """What callers said of sets, and the daemon took.

    :ivar said: by the path of a set, what of it comes and goes
    :ivar logs: by the id of a log, what was said of it
    """

    vifd: Vifd
    said: dict[str, Pieces] = field(default_factory=dict)
    logs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, path: str) -> str:
        """Say a set anew, with nothing in it; returns what was said."""
        body = {"rules": ALL} if path.startswith("/v1/security") else {}
        return self._ask("PUT", path, body, {})

    def toggle(self, path: str, name: str, what: str) -> str:
        """A member, a rule, an address or an endpoint comes, or goes."""
        known = self.said.get(path)
        if known is None:
            return self.put(path)
        there = known.get(name, frozenset())
        if name == "rules" and what not in there and ADDRESSES not in self.said:
            return self.put(ADDRESSES)
        if what in there:
            body: Any = {"remove": {name: [what if name == "endpoints" else _piece(name, what)]}}
            body = {"remove": {"rules": [_rule(what)["id"]]}} if name == "rules" else body
        else:
            body = {"add": {name: [_piece(name, what)]}}
        return self._ask("PATCH", path, body, {**known, name: there ^ {what}})

    def log(self, path: str, said: dict[str, Any]) -> str:
        """Say a log, or the same one otherwise."""
        told = self._ask("PUT", path, said, {})
        if told.endswith(" 202"):
            self.logs[path.rsplit("/", 1)[1]] = said
        return f"{told} {said}"

    def delete(self, path: str) -> str:
        """Take a set away; one that is in use stays."""
        status, answer = self.vifd.call("DELETE", path)
        if status == 204:
            self.said.pop(path, None)
            self.logs.pop(path.rsplit("/", 1)[1], None)
        allowed = ("E_SET_IN_USE", "E_REC_STORE", "E_SET_NOT_FOUND")
        assert status == 204 or answer["code"] in allowed, answer
        return f"DELETE {path}: {status}"

    def _ask(self, method: str, path: str, body: Any, pieces: Pieces) -> str:
        status, answer = self.vifd.call(method, path, body)
        assert status == 202 or answer["retryable"], answer
        if status == 202:
            self.said[path] = pieces
        return f"{method} {path} {body if method == 'PATCH' else ''}: {status}"

    def astray(self) -> list[str]:
        """What differs from what was said, or was not taken up yet."""
        found, have = [], {}
        for name, path in _LISTS.items():
            for one in self.vifd.get(path.split("/{")[0])[name]:
                if one["pending"]:
                    found.append(f"{path.format(one['id'])} waits for {one['pending']}")
                have[path.format(one["id"])] = {n: one["counts"].get(n, 0) for n in _PIECES}
        said = {path: {n: len(pieces.get(n, ())) for n in _PIECES}
                for path, pieces in self.said.items()}  # fmt: skip
        for path in (p for p in said if p.startswith("/v1/security")):
            said[path]["rules"] += len(ALL)
        return found if have == said else [*found, f"sets are {have}, said was {said}"]

    def not_on(self, ovs: PrivateOvs, groups: Iterable[str], *, tunnelled: bool) -> list[str]:
        """What the switch's own tool says otherwise of rules and endpoints.

        :param groups: those of open ports
        :param tunnelled: whether an open port is on the network with tunnels
        """
        rules = ovs.ofctl("dump-flows", "br-int", "table=182")
        wanted = {port for g in groups for port in self.of_group(g)}
        lacks = wanted - set(re.findall(r"ct_tp_dst=(\d+)", rules))
        found = [f"no flow of a rule for port {port}" for port in sorted(lacks)]
        ends = set(re.findall(r"set_field:([0-9.]+)->tun_dst", ovs.ofctl("dump-flows", "br-int")))
        said = self.endpoints() if tunnelled else set()
        return found if ends == said else [*found, f"floods go to {ends}, said was {said}"]

    def of_group(self, group: str) -> frozenset[str]:
        """The ports that rules of a group name."""
        return self.said[f"/v1/security-groups/{group}"].get("rules", frozenset())

    def endpoints(self) -> frozenset[str]:
        """Who is behind tunnels."""
        return self.said.get(FORWARDING, {}).get("endpoints", frozenset())

    def clear(self) -> None:
        """None is left; no port may be in one."""
        for _ in range(2):  # a set goes when no other names it
            for name, path in _LISTS.items():
                for shown in self.vifd.get(path.split("/{")[0])[name]:
                    self.vifd.call("DELETE", f"{path.format(shown['id'])}?wait=applied&timeout=30")
        self.said.clear()
        self.logs.clear()


def _rule(port: str) -> dict[str, Any]:
    """One that names the address group."""
    return {
        "id": f"2222{int(port):04d}-0000-4000-8000-000000000000", "direction": "ingress",
        "ethertype": "IPv4", "protocol": "tcp", "port_range_min": int(port),
        "port_range_max": int(port), "remote_address_group_id": ADDRESSES.rsplit("/", 1)[1],
    }  # fmt: skip


def _piece(name: str, what: str) -> Any:
    if name == "members":
        return {"ip_address": what}
    if name == "rules":
        return _rule(what)
    return {"address": what, "ports": []} if name == "endpoints" else what
