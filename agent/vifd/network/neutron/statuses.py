"""What the service is told of ports, and whether it has to be. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd.model import Phase, PortRecord, Role, Status
from vifd.model.status import status_of
from vifd.network.neutron.translate import active_here
from vifd.store import Outgoing

#: A port that is made and proven, and closed because its binding is not the active one: with this
#: the service lets a migration go on, and sets no status.
_PREPARED = (Phase.READY, Phase.QUIESCED)


@dataclass
class Telling:
    """Statuses by what is to be said of them.

    :ivar up: ids of ports that work
    :ivar down: ids of ports that do not
    :ivar silent: those of which there is nothing to say
    """

    up: list[Outgoing] = field(default_factory=list)
    down: list[Outgoing] = field(default_factory=list)
    silent: list[Outgoing] = field(default_factory=list)


def sorted_out(
    statuses: Iterable[Outgoing],
    records: Mapping[str, PortRecord],
    ports: Mapping[str, Mapping[str, Any]],
    networks: Collection[str] = (),
) -> Telling:
    """What to say of each status.

    :param records: the ports of this host
    :param ports: the service's ports, with the status that they have there
    :param networks: say also what the service has already of their ports: it tells something in
        return
    """
    telling = Telling()
    for status in statuses:
        record = records.get(status.port_id)
        verdict = up(status, record)
        port = ports.get(status.port_id)
        if verdict is None or (status.network_id not in networks and _agreed(status, port)):
            telling.silent.append(status)
        else:
            (telling.up if verdict else telling.down).append(status)
    return telling


def up(status: Outgoing, record: PortRecord | None) -> bool | None:
    """Whether a status says that a port works, or that it does not; ``None``: neither, yet."""
    if record is not None and record.doc.attachment.prewired:
        # the service has it as down, and compute waits to hear that it came up
        return None
    if status.gone:
        return None if status.status == Status.ACTIVE.value else False
    if status.status == Status.ACTIVE.value:
        return True
    if status.status == Status.BUILD.value:
        return None
    if status.role == Role.INACTIVE.value:
        prepared = record is not None and record.phase in _PREPARED and not record.open
        return True if prepared else None
    return False


def _agreed(status: Outgoing, port: Mapping[str, Any] | None) -> bool:
    """Whether the service has a port as working already."""
    works = status.status == Status.ACTIVE.value
    return works and port is not None and port.get("status") == Status.ACTIVE.value


def differs(record: PortRecord | None, port: Mapping[str, Any], host: str) -> bool | None:
    """What the service must be told of a port that it has otherwise: that it works, or not;
    ``None`` where both agree, or it is not known yet."""
    if record is None or not active_here(port, host) or record.role is not Role.ACTIVE:
        return None
    status, there = status_of(record), port.get("status")
    if status is Status.ACTIVE and there != Status.ACTIVE.value:
        return True
    if status in (Status.DOWN, Status.ERROR) and there == Status.ACTIVE.value:
        return False
    return None
