"""Ports that the service has otherwise than they are: when it is told once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vifd.model import PortRecord
from vifd.network.neutron import statuses
from vifd.network.neutron.objects import Plain, revision

#: Seconds for which the service must have a port otherwise before it is told once more.
STANDING = 3.0


@dataclass
class Doubt:
    """A port that the service has otherwise than it is.

    :param state: the port's count of changes there, its status there, and whether it works
    """

    state: tuple[int, Any, bool]
    since: float
    answered: bool = False


class Doubts:
    """Not shared between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: by port, the state of the service's in which it was told otherwise
        self._kept: dict[str, Doubt] = {}

    def clear(self) -> None:
        """All was read anew."""
        self._kept.clear()

    def differing(
        self, records: Mapping[str, PortRecord], ports: Mapping[str, Plain], host: str
    ) -> dict[str, bool]:
        """By port, whether it works, where the service must be told. Each state of a port there is
        answered once, when it has stood for a while: what it was told just now it may be about to
        note."""
        now, doubts, found = self._clock(), {}, {}
        for port_id, port in ports.items():
            verdict = statuses.differs(records.get(port_id), port, host)
            if verdict is None:
                continue
            doubt = Doubt((revision(port), port.get("status"), verdict), now)
            held = self._kept.get(port_id)
            doubts[port_id] = held if held is not None and held.state == doubt.state else doubt
        for port_id, doubt in doubts.items():
            if not doubt.answered and now - doubt.since >= STANDING:
                doubt.answered = True
                found[port_id] = doubt.state[2]
        self._kept = doubts
        return found

    def again(self, ports: Iterable[str]) -> None:
        """Whether these were told is not known: they are again, if they stand for a while more."""
        for port_id in ports:
            if (doubt := self._kept.get(port_id)) is not None:
                doubt.since, doubt.answered = self._clock(), False
