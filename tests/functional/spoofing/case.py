"""A frame with its right verdict, and the ports that frames of the table come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vifd.model import Attachment
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac

VRRP = "00:00:5e:00:01:01"
#: Allowed for the port's own MAC and for that of the pair.
SHARED4, SHARED6 = "10.7.0.1", "fd07::1"
#: Allowed for the MAC of the pair alone.
VIRTUAL4, VIRTUAL6 = "10.8.0.1", "fd08::1"


@dataclass(frozen=True)
class Station:
    """Who has which addresses."""

    mac: str
    ip4: str
    ip6: str

    @classmethod
    def of(cls, number: int) -> Station:
        """Of a port by its number."""
        return cls(mac(number), ipv4(number), ipv6(number))

    @property
    def local(self) -> str:
        """The link-local address."""
        return f.link_local(self.mac)

    def ip(self, version: int) -> str:
        return self.ip4 if version == 4 else self.ip6


PLAIN, PAIRS, ANY, BARE, FREE = map(Station.of, (1, 3, 4, 5, 6))
PEER, STRANGER = Station.of(2), Station.of(9)
FABRIC = Station("02:00:00:00:00:fa", "10.0.0.250", "fd00::fa")

_PAIRS: list[dict[str, Any]] = [
    {"ip_address": "10.9.0.0/24"}, {"ip_address": "fd09::/64"},
    {"ip_address": VIRTUAL4, "mac_address": VRRP}, {"ip_address": VIRTUAL6, "mac_address": VRRP},
    {"ip_address": SHARED4}, {"ip_address": SHARED6},
    {"ip_address": "10.7.0.0/24", "mac_address": VRRP},
    {"ip_address": SHARED6, "mac_address": VRRP},
]  # fmt: skip
_EVERY: list[dict[str, Any]] = [{"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"}]


def attachments(**fields: Any) -> dict[str, Attachment]:
    """The ports by MAC; the peer is secured like the plain one."""
    kinds: list[tuple[Station, int, dict[str, Any]]] = [
        (PLAIN, 1, {}),
        (PEER, 2, {}),
        (PAIRS, 3, {"allowed_address_pairs": _PAIRS}),
        (ANY, 4, {"allowed_address_pairs": _EVERY}),
        (BARE, 5, {"ips": []}),
        (FREE, 6, {"port_security_enabled": False}),
    ]
    return {station.mac: attachment(n, **fields, **more) for station, n, more in kinds}


@dataclass(frozen=True)
class Case:
    """One frame.

    :param what: what it is
    :param sender: the port that it comes from
    :param passes: the right verdict
    :param source: of the rule
    :param stripped: it has a priority tag, which may be gone on arrival
    """

    what: str
    sender: Station
    frame: bytes
    passes: bool
    source: str
    stripped: bool = False

    def __str__(self) -> str:
        verdict = "passes" if self.passes else "is refused"
        return f"{self.what}, from {self.sender.ip4}: {verdict} ({self.source})"

    def is_it(self, arrived: bytes) -> bool:
        """Whether a frame that arrived is this one."""
        wanted = f.untagged(self.frame) if self.stripped else self.frame
        have = f.untagged(arrived) if self.stripped else arrived
        size = min(len(wanted), 60 if len(wanted) <= 64 else len(wanted))
        return have[:size] == wanted[:size]


class Table:
    """Collects cases of one section."""

    def __init__(self, to: Station) -> None:
        self.to = to
        self.cases: list[Case] = []

    def add(
        self, what: str, sender: Station, frame: bytes, source: str, *, passes: bool,
        stripped: bool = False,
    ) -> None:  # fmt: skip
        self.cases.append(Case(what, sender, frame, passes, source, stripped))
