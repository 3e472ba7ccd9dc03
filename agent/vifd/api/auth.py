"""Who may call what. Pure.

The peer's credentials are those that the kernel noted when the connection was made, supplementary
groups included, so there is no window in which a process id could be reused by another process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

#: Methods that change nothing.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: Calls that change nothing and have a body all the same.
ASKING = frozenset({("POST", "/v1/offers")})
#: What compute may do besides reading, by the last part of a port's path.
COMPUTING = frozenset({("PUT", "instance"), ("DELETE", "instance"), ("POST", "check")})
#: What a network service may do besides, in the same way.
NETWORKING = frozenset({
    ("PUT", "network"), ("DELETE", "network"), ("POST", "activate"), ("POST", "deactivate"),
    ("POST", "check"),
})  # fmt: skip
_PORT = re.compile(r"/v1/ports/[0-9a-f-]{36}/([a-z]+)")
_SETS = ("/v1/security-groups/", "/v1/address-groups/", "/v1/networks/", "/v1/logs/",
         "/v1/sets:")  # fmt: skip


class Access(StrEnum):
    """What a peer may do."""

    NONE = "none"
    READ = "read-only"
    COMPUTE = "compute"
    NETWORK = "network"
    WRITE = "read-write"


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a connection.

    :param pid: its process id, for logs only; 0 where it is of another pid namespace
    :param groups: its supplementary groups; empty where the kernel does not tell
    """

    uid: int
    gid: int
    pid: int = 0
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Policy:
    """Who may do what, from the ``[api]`` options.

    :param own_uid: the daemon's own uid, which is always admitted, as is root
    """

    own_uid: int = 0
    admin_uids: frozenset[int] = frozenset()
    admin_gids: frozenset[int] = frozenset()
    compute_uids: frozenset[int] = frozenset()
    compute_gids: frozenset[int] = frozenset()
    network_uids: frozenset[int] = frozenset()
    network_gids: frozenset[int] = frozenset()
    reader_uids: frozenset[int] = frozenset()
    reader_gids: frozenset[int] = frozenset()

    def access(self, peer: Peer) -> Access:
        """What this peer may do; the role with more rights wins."""
        gids = peer.groups | {peer.gid}
        if peer.uid in (0, self.own_uid) or peer.uid in self.admin_uids or gids & self.admin_gids:
            return Access.WRITE
        if peer.uid in self.network_uids or gids & self.network_gids:
            return Access.NETWORK
        if peer.uid in self.compute_uids or gids & self.compute_gids:
            return Access.COMPUTE
        if peer.uid in self.reader_uids or gids & self.reader_gids:
            return Access.READ
        return Access.NONE


def permits(access: Access, method: str, path: str = "") -> bool:
    """Whether this access is enough for a call of this HTTP method."""
    if access is Access.COMPUTE and _computes(method, path):
        return True
    if access is Access.NETWORK and _networks(method, path):
        return True
    reads = method in READING or (method, path) in ASKING
    return access is Access.WRITE or (access is not Access.NONE and reads)


def _computes(method: str, path: str) -> bool:
    """Whether it is for compute to call: its own part of a port, a guest that is about to start,
    and having a port looked at."""
    if method == "POST" and path in ("/v1/guests:prepare", "/v1/compute:compare"):
        return True
    found = _PORT.fullmatch(path)
    return found is not None and (method, found.group(1)) in COMPUTING


def _networks(method: str, path: str) -> bool:
    """Whether it is for a network service to call: its own part of a port and its role, shared
    sets, and having a port looked at."""
    if path.startswith(_SETS) or (method == "POST" and path == "/v1/network:compare"):
        return True
    found = _PORT.fullmatch(path)
    return found is not None and (method, found.group(1)) in NETWORKING
