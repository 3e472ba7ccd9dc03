"""Ports that were made ahead of compute: how long they wait for it, and what becomes of them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vifd.engine.decision import Request
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import PortRecord, Side
from vifd.model.sides import Said
from vifd.store import Journal, Records

LOG = logging.getLogger(__name__)

REQUEST = "prewire-lapsed"
#: So many are looked at in one turn: who has a device open is asked of every process.
AT_ONCE = 8


@dataclass
class Prewiring:
    """Since when each of them waits; a restart of the daemon begins anew.

    :param limit: seconds that a port waits for compute; 0: for ever
    :param holder: who uses the port's device though no instance is known to; empty for nobody
    :param submit: takes a request
    """

    journal: Journal
    limit: Callable[[], float]
    holder: Callable[[PortRecord], str]
    submit: Callable[[Request], None]
    clock: Callable[[], float] = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, records: Records) -> None:
        """These records are so now; those of ports that are gone are ``None``."""
        for port_id, record in records.items():
            if record is not None and record.doc.attachment.prewired and not record.removing:
                with self._lock:
                    self._since.setdefault(port_id, self.clock())
            elif port_id in self._since:
                with self._lock:
                    self._since.pop(port_id, None)

    def due(self) -> float:
        """Take down what waited for too long; the seconds until something may be due again."""
        limit = self.limit()
        if not self._since or not limit:
            return math.inf
        with self._lock:
            waiting = dict(self._since)
        now = self.clock()
        late = [port_id for port_id, since in waiting.items() if now - since >= limit]
        for port_id in late[:AT_ONCE]:
            self._lapse(port_id, now, limit)
        if len(late) > AT_ONCE:
            return 0.0
        left = [limit - (now - since) for since in waiting.values() if now - since < limit]
        return min(left, default=limit)

    def _lapse(self, port_id: str, now: float, limit: float) -> None:
        record = self.journal.get(port_id)
        with self._lock:
            if port_id in self._since:
                # asked again where nothing comes of it
                self._since[port_id] = now
        if record is None:
            return
        made = record.wiring or record.names
        device = made.device if made else "-"
        if holder := self.holder(record):
            LOG.error(
                "%s was made ahead for an instance that nobody named in %g s, and %s uses it: it "
                "stays, closed. Next: have compute plug by vifd (vifd-nova), or turn prewire off. "
                "port=%s", device, limit, holder, port_id,
            )  # fmt: skip
            return
        LOG.info(
            "%s was made ahead, and no instance has used it in %g s: it is taken down, and made "
            "again once compute plugs it. port=%s", device, limit, port_id,
        )  # fmt: skip
        said = Said(port_id, Side.NETWORK, unused=True)
        self.submit(Request(Kind.PLUG, Ticket(port_id, REQUEST), said=said))
