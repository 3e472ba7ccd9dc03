"""Which logs of security groups are about a port, and about a packet of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from vifd.model.attachment import Attachment
from vifd.model.members import groups_of
from vifd.model.sets import GroupLog, LogEvent

#: The name in the enforcement report, and in ``required.features``.
FEATURE = "security_group_log"


class Logged(NamedTuple):
    """What is looked at for the logs of a port: packets that pass, and such that do not."""

    accepted: bool = False
    dropped: bool = False


NOTHING = Logged()


def about(
    logs: Iterable[GroupLog], port_id: str, groups: Collection[str] | None, project: str
) -> tuple[GroupLog, ...]:
    """The logs that a port is in; none where no groups hold for it.

    As the Networking API has it: a log is about one port, or about the ports of one group, or
    both; where it names neither, about those of its project (Neutron 29,
    ``neutron.services.logapi.common.db_api._get_ports_being_logged``).

    :param groups: of the port; ``None``: none are asked for
    :param project: of the port's instance
    """
    return tuple(log for log in logs if groups is not None and _is(log, port_id, groups, project))


def _is(log: GroupLog, port_id: str, groups: Collection[str], project: str) -> bool:
    if not log.enabled or log.target_id not in (None, port_id):
        return False
    if log.resource_id is not None:
        return log.resource_id in groups
    return log.target_id is not None or log.project_id in ("", project)


def logged(logs: Sequence[GroupLog]) -> Logged:
    """What has to be looked at for these logs."""
    events = {log.event for log in logs}
    everything = LogEvent.ALL in events
    return Logged(everything or LogEvent.ACCEPT in events, everything or LogEvent.DROP in events)


def named(logs: Iterable[GroupLog], attachment: Attachment) -> tuple[GroupLog, ...]:
    """The logs that are about a port, those among them that say nothing because no groups hold for
    it."""
    project = attachment.instance.project_id if attachment.instance else ""
    groups = groups_of(attachment)
    held = about(logs, attachment.id, groups or (), project)
    return tuple(log for log in held if groups is not None or log.target_id == attachment.id)


def wants(log: GroupLog, group: str | None, *, accepted: bool) -> bool:
    """Whether a log that a port is in has a packet of it.

    :param group: whose rule let it pass; ``None``: none is known
    """
    event = LogEvent.ACCEPT if accepted else LogEvent.DROP
    if log.event not in (LogEvent.ALL, event):
        return False
    return not accepted or log.resource_id in (None, group)
