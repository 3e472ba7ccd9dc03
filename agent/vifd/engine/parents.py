"""Parents of trunks that are being plugged: who waits for one of their sub-ports is not told that
no parent is here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from vifd import errors
from vifd.engine.ticket import Ticket
from vifd.model import Document, PortRecord


class Parents:
    """Requests for parents that have not ended, and what their sub-ports would be told otherwise.

    :param tell: ends the tickets of ports with an error
    """

    def __init__(self, tell: Callable[[Mapping[str, errors.VifError]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        #: by sub-port, the requests for its parent that are under way
        self._coming: dict[str, set[int]] = {}
        self._kept: dict[str, errors.VifError] = {}

    def expect(self, doc: Document | None, ticket: Ticket) -> None:
        """A request for a parent begins, or comes once more. It ends with its ticket; then its
        sub-ports are looked at anew where it came to anything, and told what was kept from them
        where not."""
        trunk = doc.attachment.port.trunk_details if doc is not None else None
        named = [sub_port.port_id for sub_port in trunk.sub_ports] if trunk is not None else []
        if not named:
            return
        with self._lock:
            for port_id in named:
                self._coming.setdefault(port_id, set()).add(id(ticket))
        ticket.done.add_done_callback(lambda done: self._over(named, id(ticket), came=_came(done)))

    def keep(self, port_id: str, error: errors.VifError | None) -> bool:
        """Whether an error is kept from those who plug a port, as its parent is on its way."""
        with self._lock:
            self._kept.pop(port_id, None)
            if not isinstance(error, errors.SubPortWaits) or port_id not in self._coming:
                return False
            self._kept[port_id] = error
            return True

    def _over(self, named: list[str], request: int, *, came: bool) -> None:
        told: dict[str, errors.VifError] = {}
        with self._lock:
            for port_id in named:
                coming = self._coming.get(port_id, set())
                coming.discard(request)
                if coming:
                    continue
                self._coming.pop(port_id, None)
                error = self._kept.pop(port_id, None)
                if error is not None and not came:
                    told[port_id] = error
        if told:
            self._tell(told)


def _came(done: Future[PortRecord]) -> bool:
    return not done.cancelled() and done.exception() is None
