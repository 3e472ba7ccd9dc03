"""Who gets a connection while there are many. Pure.

A peer is judged before it takes a place, so that one that may do nothing costs nothing, and one
that may only read cannot keep out those who administer the host.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vifd.api.auth import Access, Peer


@dataclass(frozen=True)
class Shares:
    """How many connections there are for whom.

    :param total: for everybody together
    :param root: kept free for root and the daemon's own user
    :param admins: kept free for those who may write, besides
    :param per_uid: of one user who may write, and of one who may only read
    :param strangers: of all users together who may do nothing; each is told so and let go
    """

    total: int
    root: int
    admins: int
    per_admin: int
    per_reader: int
    strangers: int
    per_stranger: int

    @classmethod
    def of(cls, total: int) -> Shares:
        """The shares of so many connections."""
        return cls(
            total=total, root=max(1, total // 16), admins=max(1, total // 8),
            per_admin=max(1, total // 2), per_reader=max(1, total // 4),
            strangers=max(1, total // 32), per_stranger=max(1, total // 128),
        )  # fmt: skip


@dataclass
class Admission:
    """The places that are taken.

    :param own_uid: the daemon's user, which counts as root does
    """

    shares: Shares
    own_uid: int
    taken: int = 0
    strangers: int = 0
    by_uid: Counter[int] = field(default_factory=Counter)

    def admit(self, peer: Peer, access: Access) -> str:
        """Take a place.

        :returns: empty, or of what there are too many already
        """
        refusal = self._refusal(peer, access)
        if not refusal:
            self.taken += 1
            self.by_uid[peer.uid] += 1
            self.strangers += access is Access.NONE
        return refusal

    def leave(self, peer: Peer, access: Access) -> None:
        """Give the place back. ``access`` is that with which it was taken."""
        self.taken -= 1
        self.strangers -= access is Access.NONE
        self.by_uid[peer.uid] -= 1
        if not self.by_uid[peer.uid]:
            del self.by_uid[peer.uid]

    def _refusal(self, peer: Peer, access: Access) -> str:
        shares = self.shares
        if peer.uid in (0, self.own_uid):
            return "" if self.taken < shares.total else "connections"
        left = shares.total - self.taken - shares.root
        if access is Access.WRITE:
            share = shares.per_admin
        else:
            left -= shares.admins
            share = shares.per_reader if access is Access.READ else shares.per_stranger
        if self.by_uid[peer.uid] >= share:
            return f"connections of uid {peer.uid}"
        if left <= 0 or (access is Access.NONE and self.strangers >= shares.strangers):
            return "connections"
        return ""
