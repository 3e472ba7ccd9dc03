"""Logs of security groups as Neutron has them (its ``log`` resources), as shared sets.

The service tells every host of every log; here are those that may be about a port of this host.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from vifd import errors
from vifd.engine.setdesk import SetDesk
from vifd.model.setreading import read_set
from vifd.model.sets import GroupLog, SetKey, SetKind
from vifd.network.neutron.bus import Refused
from vifd.network.neutron.groups import groups_of
from vifd.network.neutron.objects import Plain, revision
from vifd.network.neutron.server import Server
from vifd.network.neutron.translate import OWNER

LOG = logging.getLogger(__name__)

#: The type of the objects, and the extension of an agent that has it.
KIND, EXTENSION = "Log", "log"
REQUEST = "neutron"
_FIELDS = ("resource_id", "target_id", "project_id", "event", "enabled", "resource_type")
#: So many deleted logs are remembered, so that a late message brings none back.
_REMEMBERED = 1000


def concerns(log: Mapping[str, Any], ports: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a log may be about one of these ports. Pure."""
    target, group, project = (log.get(name) for name in ("target_id", "resource_id", "project_id"))
    if target or group:
        return any((not target or target == port["id"]) and (not group or group in groups_of(port))
                   for port in ports)  # fmt: skip
    return any(port.get("project_id") in (None, project) for port in ports)


def body_of(log: Mapping[str, Any]) -> GroupLog:
    """A log as a shared set. Pure.

    :raises errors.BadDocument: it makes no sense
    """
    said = {name: log[name] for name in _FIELDS if log.get(name) is not None}
    said["name"] = str(log.get("name") or "")[:255]
    return cast(GroupLog, read_set(said, SetKey(SetKind.LOG, str(log["id"]))))


class Logs:
    """What is known of logs. Not shared between threads.

    :param ports: those that are bound to this host, as the service has them
    """

    def __init__(
        self, server: Server, desk: SetDesk, ports: Callable[[], Collection[Plain]]
    ) -> None:  # fmt: skip
        self._server = server
        self._desk = desk
        self._ports = ports
        self._logs: dict[str, Plain] = {}
        self._deleted: dict[str, None] = {}
        #: by log, what was said of it last
        self._said: dict[str, GroupLog] = {}
        #: by log, the request that changed it last
        self._requests: dict[str, str] = {}
        #: ports came, went or changed since
        self._moved = False

    def read(self) -> None:
        """Know all of them, and take away what is none any more.

        :raises Exception: the service could not be asked
        """
        try:
            found = self._server.where(KIND)
        except Refused as error:
            LOG.info("neutron: it has no logs of security groups (%s)", error.kind)
            found = []
        self._logs = {log["id"]: log for log in found}
        self._said.clear()
        self._settle()
        listed = list(self._said)
        self._desk.compare(SetKind.LOG, OWNER, listed, remove=True, request_id=REQUEST)

    def told(self, items: Sequence[Plain], request: str, *, gone: bool) -> None:
        """The service tells of logs as they are now, or that they are no more.

        :param request: by which they changed
        """
        for log in items:
            log_id = str(log["id"])
            if gone:
                self._logs.pop(log_id, None)
                self._deleted[log_id] = None
                if len(self._deleted) > _REMEMBERED:
                    del self._deleted[next(iter(self._deleted))]
            elif log_id not in self._deleted and self._is_news(log):
                self._logs[log_id] = log
                self._requests[log_id] = request or REQUEST
        self._settle()

    def _is_news(self, log: Plain) -> bool:
        held = self._logs.get(str(log["id"]))
        return held is None or revision(log) >= revision(held)

    def moved(self) -> None:
        """Other ports are here, or in other groups."""
        self._moved = True

    def flush(self) -> None:
        """Do what that makes of logs."""
        if self._moved:
            self._settle()

    def _settle(self) -> None:
        """Say the logs that concern ports that are here now, and take away the others."""
        self._moved = False
        ports = list(self._ports()) if self._logs else []
        wanted = {i: log for i, log in self._logs.items() if concerns(log, ports)}
        for log_id, log in wanted.items():
            self._say(log_id, log)
        for log_id in [i for i in self._said if i not in wanted]:
            del self._said[log_id]
            self._desk.delete(SetKey(SetKind.LOG, log_id), OWNER, request_id=REQUEST)
        self._requests = {i: r for i, r in self._requests.items() if i in self._logs}

    def _say(self, log_id: str, log: Plain) -> None:
        try:
            body = body_of(log)
        except errors.BadDocument as error:
            LOG.warning("neutron: log %s: %s. Next: nothing is logged by it", log_id, error.message)
            return
        if self._said.get(log_id) == body:
            return
        self._said[log_id] = body
        there = self._desk.get(SetKey(SetKind.LOG, log_id))
        if there is None or there.going or (there.owner, there.body) != (OWNER, body):
            # one that is there as it is keeps the request that it came by
            request = self._requests.get(log_id, REQUEST)
            self._desk.put(body, OWNER, request_id=request)
