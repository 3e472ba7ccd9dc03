"""Ports that were made for a guest that never came: they go where nobody else sees to it.

A compute service unplugs in its rollback, and may be dead; a tap that nobody knows of would stay
for ever. What is said of the port meanwhile, or a guest that uses it, keeps it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from vifd.model import PortRecord, Role

LOG = logging.getLogger(__name__)

#: The id of the request by which they go.
REQUEST = "migration-failed"


@dataclass
class Abandoned:
    """Of one thread.

    :param after: seconds until such a port goes; 0 for never
    :param unplug: takes a port away: its id and the request's
    """

    after: Callable[[], float] = lambda: 0.0
    unplug: Callable[[str, str], object] = lambda _port, _request: None
    clock: Callable[[], float] = time.monotonic
    #: by port: when it goes, and its document as it was
    _due: dict[str, tuple[float, object]] = field(default_factory=dict)

    def note(self, record: PortRecord) -> float:
        """An incoming migration failed; the seconds until its port goes, 0 for never."""
        wait = self.after()
        if wait:
            self._due[record.id] = self.clock() + wait, wanted(record)
        return wait

    def pause(self) -> float | None:
        """Seconds until there may be something to do."""
        if not self._due:
            return None
        return max(0.0, min(at for at, _ in self._due.values()) - self.clock())

    def sweep(self, records: Mapping[str, PortRecord], used: AbstractSet[str]) -> None:
        """Take away what is due and still stands as it was.

        :param used: devices and sockets of guests, running or not
        """
        now = self.clock()
        for port_id in [p for p, (at, _) in self._due.items() if at <= now]:
            _, before = self._due.pop(port_id)
            record = records.get(port_id)
            if record is None or record.removing or record.role is not Role.INACTIVE:
                continue
            device = record.wiring.device if record.wiring is not None else ""
            path = record.vif.socket_path if record.vif is not None else ""
            if wanted(record) != before or {device, path} & used - {""}:
                continue
            LOG.warning("the guest did not come and nobody unplugged its port: it goes. port=%s",
                        port_id)  # fmt: skip
            self.unplug(port_id, REQUEST)


def wanted(record: PortRecord) -> object:
    """What somebody says of a port, but for its role."""
    return {k: v for k, v in record.doc.raw.items() if k != "role"}
