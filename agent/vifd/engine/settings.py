"""What the operator decides of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vifd.engine.worker import Limits
from vifd.negotiation.offering import Terms


@dataclass(frozen=True)
class Settings:
    """Times in seconds.

    :param repair: whether what another program changed is brought back; else it is only reported
    :param verify: how long a port may take from made to proven
    :param hang: how long a plugin may take for one call before its lane is quarantined
    :param patience: how long a start waits for its drivers
    :param retry_first: pause before the first retry; it doubles up to ``retry_longest``
    :param hostname: the name by which the network service knows this host
    :param alone: whether no network service is reported to
    :param prewire: how long a port that was made ahead waits for compute; 0: for ever
    :param terms: of offers
    :param intents: the directory that remembers what is being opened; ``None``: nothing is
    """

    verify: float = 10.0
    hang: float = 60.0
    patience: float = 3.0
    retry_first: float = 1.0
    retry_longest: float = 60.0
    repair: bool = True
    hostname: str = ""
    alone: bool = True
    prewire: float = 600.0
    terms: Terms = field(default_factory=Terms)
    intents: Path | None = None

    @property
    def limits(self) -> Limits:
        """The part that concerns the lanes."""
        return Limits(verify=self.verify, repair=self.repair)
