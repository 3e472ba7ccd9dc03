"""Whether a switch port of another program can be taken over as it stands. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vifd.drivers import Link, PortRow
from vifd.errors import AdoptionUnfit
from vifd.model import Attachment
from vifd.plugin import Entry, tap
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.wiring import Before


def only(rows: Sequence[PortRow], port_id: str) -> PortRow | None:
    """The one row that has the port's id.

    :raises AdoptionUnfit: there are several
    """
    if len(rows) > 1:
        names = ", ".join(row.name for row in rows)
        raise unfit(names, "several ports have its iface-id", port_id)
    return rows[0] if rows else None


def fit(
    row: PortRow, link: Link | None, attachment: Attachment, taken: Mapping[str, Entry],
    problem: str = "",
) -> Link:  # fmt: skip
    """The device of a port that can be taken over.

    :param problem: what else is in the way
    :raises AdoptionUnfit: it cannot be, without cutting its traffic
    """
    problem = problem or row_problem(row, attachment) or tap.problem(link, attachment)
    if problem or link is None:
        raise unfit(row.name, problem, attachment.id)
    holder = next((i for i, e in taken.items() if e.wiring.device == row.name), attachment.id)
    if holder != attachment.id:
        raise unfit(row.name, f"it is the device of port {holder}", attachment.id)
    return link


def row_problem(row: PortRow, attachment: Attachment) -> str:
    """Why a row cannot be taken over."""
    mac = row.external_ids.get("attached-mac", "").lower()
    if row.external_ids.get(marks.PORT, attachment.id) != attachment.id:
        return f"it bears the mark of port {row.external_ids[marks.PORT]}"
    if row.type:
        return f"it is a port of type {row.type}, only taps can be adopted"
    if row.error or (row.ofport or 0) <= 0:
        return f"the switch does not have it: {row.error or 'no port number'}"
    if mac and mac != attachment.mac:
        return f"its attached-mac is {mac}, the document says {attachment.mac}"
    return ""


def before(row: PortRow, link: Link, kept: Callable[[str], bool]) -> Before | None:
    """What the port is in the other hand; what bears our mark already is in no other hand, and was
    perhaps in one.

    :param kept: whether a key of its external ids is a setting to go back to
    """
    if marks.PORT in row.external_ids:
        return marks.before_of(row.external_ids)
    return Before(
        tag=row.tag,
        ofport_request=row.ofport_request,
        mtu_request=row.mtu_request,
        external_ids={k: v for k, v in row.external_ids.items() if kept(k)},
        alias="" if link.alias.startswith(marks.ALIAS) else link.alias,
        mac=link.mac,
    )


def unfit(device: str, problem: str, port_id: str) -> AdoptionUnfit:
    """The error of a port that cannot be taken over."""
    facts = {"device": device, "problem": problem}
    return AdoptionUnfit(facts=facts, stage="adopt", port=port_id)
