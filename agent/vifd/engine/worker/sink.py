"""Where a worker hands in its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from vifd import errors
from vifd.model import Document, Evidence, PortRecord
from vifd.plugin import Probe
from vifd.store import Change


class ResultSink(Protocol):
    """Where a worker hands in its results."""

    def record(
        self,
        changes: Mapping[str, Change],
        errors_by_port: Mapping[str, errors.VifError] | None,
        tried: Mapping[str, Document] | None = None,
    ) -> Mapping[str, PortRecord | None]:
        """Commit, tell the callers, the event stream and the network service.

        :param tried: the documents that the errors are about; whoever has replaced one since is not
            answered with its error, for the next attempt is about theirs
        """

    def probed(self, plugin: str, probe: Probe) -> None:
        """The plugin's health was read."""

    def detached(self, port_id: str) -> None:
        """A port that is being removed is closed, and its device is gone; the rest follows."""

    def again(self, port_ids: Iterable[str]) -> None:
        """These ports need another step right away."""

    def extra_evidence(self, record: PortRecord) -> list[Evidence]:
        """What is known of a port besides what its plugin reads back."""
