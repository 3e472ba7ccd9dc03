"""What the API tells of an upgrade."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from vifd.model import PortRecord


class State(StrEnum):
    """Where the guard is."""

    NONE = "none"  #: nothing was upgraded, or nothing has to be asked
    MEASURING = "measuring"  #: ports are read back, nothing is changed
    HELD = "held"  #: it waits for approval
    FIRST = "first"  #: approved: one port is brought to the new version and proven


class Changed(Struct, frozen=True):
    """A fact of a port that the new version would change."""

    fact: str
    have: Any = None
    wanted: Any = None


class Affected(Struct, frozen=True):
    """A port that passes traffic and would be changed."""

    port: str
    plugin: str
    device: str
    network: str
    changes: list[Changed]


class UpgradeView(Struct, frozen=True):
    """The answer of ``GET /v1/reconcile``.

    :param upgraded: what is not as it was, in words
    :param total: ports of this host
    :param allowed: how many may change without asking
    :param affected: the ports that would be changed
    :param waiting: ports that would be made or updated, and wait
    :param unread: ports that could not be read back yet, so that it is not known
    :param first: the port that was brought to the new version first
    :param error: why that failed
    """

    state: str
    upgraded: list[str] = field(default_factory=list)
    total: int = 0
    allowed: int = 0
    affected: list[Affected] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    first: str | None = None
    error: dict[str, Any] | None = None


def affected(record: PortRecord) -> Affected | None:
    """What would be changed of a port that passes traffic; ``None`` for nothing."""
    report = record.report
    if record.removing or record.wiring is None or report is None or report.passing is False:
        return None
    findings = [f for f in report.findings if f.repairable]
    if not findings:
        return None
    return Affected(
        port=record.id,
        plugin=record.plugin,
        device=record.wiring.device,
        network=record.doc.attachment.network.id,
        changes=[Changed(f.fact, f.have, f.wanted) for f in findings],
    )
