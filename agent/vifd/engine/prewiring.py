"""Ports that were made ahead of compute: how long they wait for it, and what becomes of them.

One that another program plugs, on the port as it stands, is that program's from then on: vifd gives
it up in place, finds it again as a port of others, and opens it as such. So it is unplugged, and
plugged again, by whoever has done it before.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vifd.engine.decision import Request
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Parts, PortRecord, Side
from vifd.model.plugger import Plugger, latest, newer, spoken
from vifd.model.sides import Said
from vifd.store import Journal, Records

LOG = logging.getLogger(__name__)

REQUEST = "prewire-lapsed"
LEFT = "prewire-left"
#: So many are looked at in one turn: who has a device open is asked of every process.
AT_ONCE = 8


@dataclass
class Prewiring:
    """Since when each of them waits; a restart of the daemon begins anew.

    :param limit: seconds that a port waits for compute; 0: for ever
    :param holder: who uses the port's device though no instance is known to; empty for nobody
    :param leaves: whether the port's plugin can give it up in place
    :param submit: takes a request
    :ivar plugger: who plugged a port of an instance here last, as far as that is known
    """

    journal: Journal
    limit: Callable[[], float]
    holder: Callable[[PortRecord], str]
    leaves: Callable[[PortRecord], bool]
    submit: Callable[[Request], None]
    clock: Callable[[], float] = time.monotonic
    plugger: Plugger | None = None
    #: those that are about to be given up
    _left: set[str] = field(default_factory=set)
    _since: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, records: Records) -> None:
        """These records are so now; those of ports that are gone are ``None``."""
        for port_id, record in records.items():
            if record is not None and record.doc.attachment.prewired and not record.removing:
                with self._lock:
                    self._since.setdefault(port_id, self.clock())
                if record.report is not None and (instance := record.report.plugged_for):
                    self._leave(record, instance)
            elif port_id in self._since:
                with self._lock:
                    self._since.pop(port_id, None)
                    self._left.discard(port_id)

    def said(self, parts: Mapping[str, Parts | None]) -> None:
        """The parts of these ports are so now."""
        with self._lock:
            self.plugger = latest(self.plugger, parts)

    def asked(self, request: Request) -> None:
        """This is about to be decided."""
        said = request.said
        if said is not None and said.side is Side.COMPUTE:
            with self._lock:
                self.plugger = newer(self.plugger, spoken(said.port, said.part))

    def _leave(self, record: PortRecord, instance: str) -> None:
        """Give a port up to the program that has plugged it."""
        if not self.leaves(record):
            return
        with self._lock:
            known = record.id in self._left
            self._left.add(record.id)
        if not known:
            made = record.wiring or record.names
            LOG.warning(
                "%s was made ahead for vifd-nova, and another program (stock os-vif, say) plugged "
                "it for instance %s: it is that program's from now on, and is opened as such. "
                "Where prewire is auto, no port is made ahead here until vifd-nova calls. Next: "
                "[os_vif_vifd] take_over in nova.conf, and a restart of nova-compute; or "
                "[network_neutron] prewire = false. port=%s",
                made.device if made else "-", instance, record.id,
            )  # fmt: skip
        said = Said(record.id, Side.NETWORK, unused=True, left=True)
        self.submit(Request(Kind.PLUG, Ticket(record.id, LEFT), said=said))

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
