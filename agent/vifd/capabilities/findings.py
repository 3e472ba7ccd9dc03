"""What one probe found: capabilities with their evidence, and what could not be found out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from vifd.capabilities.inventory import Capability
from vifd.capabilities.tree import Unreadable
from vifd.errors import VifError

LOG = logging.getLogger(__name__)


class Source(Protocol):
    """One place where capabilities are read. It reads only, blocks as long as it must, and is
    called on a thread of its own, never twice at once.

    :ivar name: how it is called in answers
    :ivar interval: seconds after which it is read again without an event
    """

    @property
    def name(self) -> str: ...

    @property
    def interval(self) -> float: ...

    def probe(self, found: Findings) -> None:
        """Put everything that it can say into ``found``."""


@runtime_checkable
class Stoppable(Protocol):
    """A source that leaves something behind when it is not told that the end has come."""

    def stop(self) -> None:
        """End what runs, from another thread. The probe that waits for it may fail."""


@dataclass
class Findings:
    """The result of one source.

    :param source: its name
    :param at: when it began to read, seconds since the epoch
    """

    source: str
    at: float
    capabilities: dict[str, Capability] = field(default_factory=dict)
    complete: dict[str, Capability] = field(default_factory=dict)

    def has(self, name: str, evidence: str, value: Any = None) -> None:
        """The host has it."""
        self._put(Capability(name, True, value, evidence))

    def lacks(self, name: str, evidence: str, missing: str, value: Any = None) -> None:
        """The host does not have it.

        :param missing: what lacks and how to get it
        """
        self._put(Capability(name, False, value, evidence, missing=missing))

    def unknown(self, name: str, evidence: str) -> None:
        """It cannot be found out."""
        self._put(Capability(name, None, None, evidence))

    def judge(
        self, name: str, present: bool | None, evidence: str, missing: str, value: Any = None
    ) -> None:
        """The one of the three that is true."""
        if present is None:
            self.unknown(name, evidence)
        elif present:
            self.has(name, evidence, value)
        else:
            self.lacks(name, evidence, missing, value)

    def whole(self, prefix: str, evidence: str, missing: str) -> None:
        """Names below this prefix are all there: others are absent."""
        absent = Capability(prefix, False, None, evidence, self.at, missing, self.source)
        self.complete[prefix] = absent

    @contextmanager
    def asking(self, *names: str) -> Iterator[None]:
        """Where the block fails, those of ``names`` that it has not answered are unknown."""
        try:
            yield
        except (Unreadable, OSError, ValueError, KeyError, TypeError, VifError) as error:
            text = error.message if isinstance(error, VifError) else str(error) or repr(error)
            LOG.debug("%s: %s", self.source, text)
            for name in names:
                if name not in self.capabilities:
                    self.unknown(name, text)

    def _put(self, capability: Capability) -> None:
        found = Capability(
            capability.name, capability.present, capability.value, capability.evidence, self.at,
            capability.missing, self.source,
        )  # fmt: skip
        self.capabilities[capability.name] = found


#: What is answered by sources, by their names.
Results = Mapping[str, Findings]
