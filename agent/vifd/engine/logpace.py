"""How many packets may be written down: a bucket for each port, and one for all. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Ports that are remembered at most; those that were quiet longest are forgotten.
_REMEMBERED = 4096


@dataclass
class Bucket:
    """Lets pass ``burst`` at once, and ``rate`` a second: in any ``t`` seconds at most
    ``burst + rate * t``."""

    rate: float
    burst: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Whether one more may pass."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = max(now, self.at)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Pace:
    """The limits of one port and of the host, both.

    :param total: a second, of all ports
    """

    rate: int
    burst: int
    total: int
    _ports: dict[str, Bucket] = field(default_factory=dict)
    _all: Bucket | None = None

    def take(self, port_id: str, now: float) -> bool:
        """Whether one more packet of a port may be written down."""
        own = self._ports.pop(port_id, None) or Bucket(self.rate, self.burst, self.burst, now)
        self._ports[port_id] = own
        if len(self._ports) > _REMEMBERED:
            del self._ports[next(iter(self._ports))]
        if self._all is None:
            self._all = Bucket(self.total, self.total, self.total, now)
        return own.take(now) and self._all.take(now)
