"""A trunk as the records of a host have it: which ports belong together, by which tags, and what
stands between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from vifd.model.record import PortRecord
from vifd.model.status import status_of, wants_open, why_closed
from vifd.model.trunks import Claim, claims, is_sub_port, own_vlan
from vifd.model.values import Phase

NO_DOCUMENT = "no document of it is on this host; frames with its tag are dropped"


class Relative(Struct, frozen=True, kw_only=True):
    """A port that another one belongs to by a trunk.

    :param vlan: the tag of the sub-port's frames on the parent's device; ``null`` where the
        sub-port inherits it from a network that has none, or that is not known here
    :param status: empty where the port has no document on this host
    :param problem: why it is not as wanted, in a sentence; empty where it is
    """

    port: str
    name: str
    vlan: int | None
    status: str
    problem: str


class Family(Struct, frozen=True, kw_only=True):
    """Of a trunk's parent its sub-ports, of a sub-port the ports that have it as one.

    :param trunk_id: of a parent; empty for a sub-port
    :param parents: of a sub-port: one where all is well
    """

    trunk_id: str = ""
    parents: list[Relative] = []
    sub_ports: list[Relative] = []


class Families:
    """Looks them up in the records of a host, which are read when the first port needs it."""

    def __init__(self, records: Callable[[], Iterable[PortRecord]]) -> None:
        self._read = records

    @cached_property
    def _records(self) -> dict[str, PortRecord]:
        return {record.id: record for record in self._read()}

    @cached_property
    def _claims(self) -> dict[str, list[Claim]]:
        found: dict[str, list[Claim]] = {}
        everybody = {i: record.doc.attachment for i, record in self._records.items()}
        for port_id, claim in claims(everybody):
            found.setdefault(port_id, []).append(claim)
        return found

    def of(self, record: PortRecord) -> Family | None:
        """The trunk that a port belongs to; ``None`` for an ordinary port."""
        attachment = record.doc.attachment
        trunk = attachment.port.trunk_details
        if trunk is not None:
            return Family(trunk_id=trunk.trunk_id, sub_ports=[
                self._relative(s.port_id, s.segmentation_id, self._records.get(s.port_id))
                for s in trunk.sub_ports
            ])  # fmt: skip
        return Family(parents=[*self._parents(record)]) if is_sub_port(attachment) else None

    def _parents(self, record: PortRecord) -> Iterator[Relative]:
        for claim in self._claims.get(record.id, []):
            vlan = claim.sub_port.segmentation_id or own_vlan(record.doc.attachment)
            yield self._relative(claim.parent, vlan, self._records.get(claim.parent))

    @staticmethod
    def _relative(port_id: str, vlan: int | None, record: PortRecord | None) -> Relative:
        if record is None:
            return Relative(port=port_id, name="", vlan=vlan, status="", problem=NO_DOCUMENT)
        attachment = record.doc.attachment
        if vlan is None and is_sub_port(attachment):
            vlan = own_vlan(attachment)
        return Relative(
            port=port_id, name=attachment.port.name, vlan=vlan, status=status_of(record).value,
            problem=_problem(record),
        )  # fmt: skip


def _problem(record: PortRecord) -> str:
    """Why a port is not as wanted, or not open."""
    if record.removing:
        return "it is being removed"
    error, report = record.error, record.report
    if error is not None and record.phase is not Phase.DEGRADED:
        return f"{error.get('code')}: {error.get('message')}"
    if report is not None and report.findings:
        found = report.findings[0]
        more = len(report.findings) - 1
        return f"{found.fact} is {found.have}" + (f", and {more} more" if more else "")
    if not wants_open(record):
        return f"closed: {why_closed(record)}"
    return "" if record.open else f"vifd is at work on it ({record.phase})"
