"""What the API shows of a port. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from vifd.capabilities.enforcement import Enforcement
from vifd.model import (
    Evidence,
    Parts,
    Phase,
    PortRecord,
    Role,
    Selection,
    Side,
    Status,
    Vif,
    Wiring,
    notes,
    unread_remarks,
)
from vifd.model.assembling import missing, unsaid
from vifd.model.family import Family
from vifd.model.status import status_of


class SideView(Struct, frozen=True):
    """Who said one part of a port's document, and when.

    :param revision: the owner's own count of changes, where it has one
    :param at: seconds since the epoch; 0 where it came with a whole document
    """

    owner: str
    revision: int | None
    at: float


class PortView(Struct, frozen=True):
    """A port on this host: what is wanted, what is true, and why.

    :param device: the name of the guest-facing device, planned or made
    :param wiring: what the plugin made; ``null`` until it did
    :param evidence: every fact that the last check read back
    :param findings: the facts of the last check that are not as wanted
    :param error: why the last attempt failed, as an error object
    :param revision: grows with every change of this port's record
    :param updated_at: seconds since the epoch
    :param vif: what compute needs to write the guest's XML
    :param document: the attachment document as it was sent, unknown fields included
    :param checked_at: when the evidence was read, seconds since the epoch
    :param selection: how the plugin was chosen, what else would do, and why the others lost;
        ``null`` for a port that was taken over
    :param enforcement: each feature that the document asks for, and what enforces it
    :param unread: each field of the document that nothing here reads, with what may have been meant
    :param notes: what is asked for and is without effect, could not be found out, or is probably
        not meant
    :param parts: who says what of the port: ``network``, ``compute``
    :param waits: what the port waits for from another side, in sentences
    :param trunk: of a trunk's parent its sub-ports, of a sub-port its parent; ``null`` for others
    """

    id: str
    plugin: str
    vif_type: str
    role: Role
    phase: Phase
    status: Status
    device: str
    wiring: Wiring | None
    evidence: list[Evidence]
    findings: list[Evidence]
    error: dict[str, Any] | None
    revision: int
    updated_at: float
    vif: Vif | None
    document: dict[str, Any]
    checked_at: float | None
    enforcement: list[Enforcement]
    selection: Selection | None
    unread: list[str]
    notes: list[str]
    parts: dict[str, SideView]
    waits: list[str]
    trunk: Family | None


#: What may be asked for with ``?fields=``.
FIELDS = PortView.__struct_fields__


def view(
    record: PortRecord,
    enforcement: Sequence[Enforcement],
    parts: Parts | None = None,
    here: str = "",
    trunk: Family | None = None,
) -> PortView:
    """The answer for one port.

    :param parts: what its sides say
    :param here: the name by which the network service knows this host
    :param enforcement: what becomes of the features that it asks for
    """
    made = record.wiring or record.names
    report = record.report
    return PortView(
        id=record.id,
        plugin=record.plugin,
        vif_type=record.vif_type,
        role=record.role,
        phase=record.phase,
        status=status_of(record),
        device=made.device if made else "",
        wiring=record.wiring,
        evidence=report.evidence if report else [],
        findings=report.findings if report else [],
        error=record.error,
        revision=record.revision,
        updated_at=record.updated_at,
        vif=record.vif,
        document=record.doc.raw,
        checked_at=report.at if report else None,
        selection=record.selection,
        enforcement=list(enforcement),
        unread=unread_remarks(record.doc.raw) if record.doc.unread else [],
        notes=[*(record.selection.notes if record.selection else ()),
               *notes(record.doc.attachment)],
        parts=_sides(parts),
        waits=_waits(parts, here),
        trunk=trunk,
    )  # fmt: skip


def waiting(port_id: str, parts: Parts) -> PortView:
    """The answer for a port that cannot be made yet, or whose parts were refused."""
    network = parts.network.body if parts.network else {"port": {"id": port_id}}
    compute = {"instance": parts.compute.body["instance"]} if parts.compute else {}
    return PortView(
        id=port_id, plugin="", vif_type="", role=Role.INACTIVE,
        phase=Phase.FAILED if parts.error else Phase.WAITING,
        status=Status.ERROR if parts.error else Status.DOWN,
        device="", wiring=None, evidence=[], findings=[], error=parts.error, revision=0,
        updated_at=max((p.at for p in (parts.network, parts.compute) if p), default=0.0),
        vif=None, document={**network, **compute}, checked_at=None, selection=None,
        enforcement=[], unread=[], notes=[], parts=_sides(parts), waits=missing(parts),
        trunk=None,
    )  # fmt: skip


def _sides(parts: Parts | None) -> dict[str, SideView]:
    known = {side.value: parts.of(side) for side in Side} if parts else {}
    return {name: SideView(p.owner, p.revision, p.at) for name, p in known.items() if p}


def _waits(parts: Parts | None, here: str) -> list[str]:
    if parts is None:
        return []
    closed = unsaid(parts, here)
    return [*missing(parts), *([closed] if closed else [])]


def only(port: PortView, fields: Iterable[str]) -> dict[str, Any]:
    """These fields of the answer, and nothing else."""
    return {name: getattr(port, name) for name in fields}


def matches(record: PortRecord, wanted: dict[str, str]) -> bool:
    """Whether a port passes the filters ``phase, status, plugin, network, instance``."""
    attachment = record.doc.attachment
    for name, value in wanted.items():
        match name:
            case "phase":
                have: str = record.phase
            case "status":
                have = status_of(record)
            case "plugin":
                have = record.plugin
            case "network":
                have = attachment.network.id
            case _:
                have = attachment.instance_id
        if have != value:
            return False
    return True


def also_matches(port: PortView, wanted: dict[str, str]) -> bool:
    """The same of a port that is not made yet."""
    document = port.document
    have = {
        "phase": port.phase, "status": port.status, "plugin": "",
        "network": (document.get("network") or {}).get("id", ""),
        "instance": (document.get("instance") or {}).get("id", ""),
    }  # fmt: skip
    return all(have[name] == value for name, value in wanted.items())
