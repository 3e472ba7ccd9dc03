"""Plug and unplug by asking vifd."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from os_vif import exception

from vifd_nova import request, telling
from vifd_nova.client import Away, Client, Refused
from vifd_nova.options import Settings
from vifd_nova.translate import part_of

LOG = logging.getLogger(__name__)

#: Seconds for questions whose answer is worth having, and not worth waiting for.
_ASIDE = 3.0
#: What an unplug waits for: what stock os-vif's does, or all that there was of the port.
_DETACHED, _GONE = "detached", "gone"


@dataclass
class Vifd:
    """The daemon on this host, as one who plugs sees it."""

    client: Client
    settings: Settings
    #: ports whose unplug vifd did not hear of, and the requests that wanted it
    _owed: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _until: str = _DETACHED

    def plug(self, vif: Any, instance: Any) -> None:
        """Say compute's part, and return once the port is proven. May be repeated.

        :raises os_vif.exception.ExceptionBase: why it is not
        """
        path = _path(vif.id)
        with self._lock:
            self._owed.pop(vif.id, None)
        try:
            self.client.call(
                "PUT", f"{path}?owner=nova&take_over=true", part_of(vif, instance),
                timeout=self.settings.plug, away=self.settings.away, wait="active",
                request=request.current(),
            )  # fmt: skip
        except Away as error:
            raise exception.PlugException(f"vifd: port {vif.id}: {error}") from error
        except Refused as error:
            failure = telling.told(error, self._explained(vif.id), exception.PlugException)
            self._give_up(vif.id)
            raise failure from error
        self._pay()

    def unplug(self, vif: Any) -> None:
        """Take compute's part away, and return once the port is closed and its device gone. May be
        repeated.

        A daemon that is away is told later: nova shall not wait for it, port by port.

        :raises os_vif.exception.ExceptionBase: why it is not gone
        """
        try:
            self._forget(vif.id, self.settings.unplug, request.current())
        except Away as error:
            with self._lock:
                self._owed[vif.id] = request.current()
            LOG.error("port %s is not unplugged: %s. It is unplugged with the next port, or by "
                      "`vifctl port unplug`", vif.id, error)  # fmt: skip
            return
        except Refused as error:
            raise telling.told(error, "", exception.UnplugException) from error
        self._pay()

    def _forget(self, port_id: str, timeout: float, wanted_by: str) -> None:
        try:
            self._leave(port_id, timeout, wanted_by, self._until)
        except Refused as error:
            if not (self._until == _DETACHED and telling.unread(error, "query.wait")):
                raise
            # an older vifd knows no more than this
            self._until = _GONE
            self._leave(port_id, timeout, wanted_by, self._until)

    def _leave(self, port_id: str, timeout: float, wanted_by: str, until: str) -> None:
        self.client.call(
            "DELETE", _path(port_id), timeout=timeout, away=self.settings.away_unplug, wait=until,
            request=wanted_by,
        )  # fmt: skip

    def _pay(self) -> None:
        """vifd answers: what it did not hear of is said now."""
        with self._lock:
            owed, self._owed = self._owed, {}
        for port_id, wanted_by in owed.items():
            try:
                self._forget(port_id, _ASIDE, wanted_by)
            except (Away, Refused) as error:
                LOG.warning("port %s is not unplugged yet: %s", port_id, error)
                with self._lock:
                    self._owed[port_id] = wanted_by

    def _explained(self, port_id: str) -> str:
        """The first broken step, where the port is known."""
        try:
            found = self.client.call(
                "GET", f"/v1/ports/{port_id}/explain?timeout=2", timeout=_ASIDE, away=0
            )
        except (Away, Refused):
            return ""
        return str(found.get("sentence", "")) if found.get("broken") else ""

    def _give_up(self, port_id: str) -> None:
        """What nova gives up on must not come alive later, and hold an address for ever.

        A port that was made may be a running guest's: nova unplugs it by itself."""
        try:
            port = self.client.call("GET", f"/v1/ports/{port_id}", timeout=_ASIDE, away=0)
            if port.get("wiring") is None:
                self._forget(port_id, _ASIDE, request.current())
        except (Away, Refused) as error:
            LOG.debug("port %s: %s", port_id, error)


def _path(port_id: str) -> str:
    return f"/v1/ports/{port_id}/instance"
