"""What is told of a change: to streams, and for a while to who comes late."""

from __future__ import annotations

from msgspec import Struct

from vifd.model.evidence import Evidence


class Event(Struct, frozen=True, omit_defaults=True):
    """Something that happened to a port or a plugin, as kept in the journal and streamed.

    :param id: grows by one per event of this host and never goes back, also over a restart
    :param event: ``bound``, ``plugging``, ``ready``, ``live``, ``quiesced``, ``unplugged``,
        ``released``, ``degraded``, ``failed``, ``plugin-status-changed``…
    :param at: seconds since the epoch
    :param detail: of an event about no port: what it is about, e.g. the id of an orphan
    :param findings: of a port that is degraded: the first facts that are not as wanted
    """

    id: int
    event: str
    at: float
    port: str = ""
    instance: str = ""
    plugin: str = ""
    phase: str = ""
    role: str = ""
    status: str = ""
    revision: int = 0
    request_id: str = ""
    error: dict[str, object] | None = None
    findings: list[Evidence] | None = None
    detail: str = ""
