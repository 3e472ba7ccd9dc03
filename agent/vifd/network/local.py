"""No network service: the journal and the event stream are all there is to tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from oslo_config import cfg

from vifd.errors import BadDocument
from vifd.model.sets import SetKey, SetKind
from vifd.network import Inbox, NetworkService, forwardingfile
from vifd.store import Outgoing

LOG = logging.getLogger(__name__)

#: Who the forwarding of the file belongs to.
OWNER = "local-file"


class LocalNetworkService(NetworkService):
    """Wants no status, and takes what was left for another service; callers read them from the API.
    Who is behind the tunnels of a network may stand in a file, which is read at the start and upon
    every reload."""

    name = "local"
    told = False

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return (
            cfg.StrOpt(
                "forwarding",
                default="",
                help="A JSON file with the tunnel endpoints of networks and the ports behind each: "
                '{"networks": [{"id": ..., "endpoints": [{"address": ..., "ports": '
                '[{"mac_address": ..., "ip_addresses": [...]}]}]}]}. A reload (SIGHUP) reads it '
                "again; one that cannot be used changes nothing.",
                mutable=True,
            ),
        )

    def start(self, inbox: Inbox) -> None:
        self._inbox, self._lock = inbox, threading.Lock()
        self._read()

    def reload(self) -> None:
        """Not on the caller's thread, which is the API's: a file may be large."""
        threading.Thread(target=self._read, name="forwarding-file", daemon=True).start()

    def _read(self) -> None:
        with self._lock:
            self._take()

    def _take(self) -> None:
        path = self.conf.forwarding
        wanted = []
        if path:
            try:
                wanted = forwardingfile.read(path)
            except BadDocument as error:
                LOG.error("%s cannot be used, the forwarding known so far stays: %s. Next: correct "
                          "it and reload (systemctl reload vifd)", path, error.message)  # fmt: skip
                return
        desk, names = self._inbox.sets, {one.id for one in wanted}
        gone = [r.key.id for r in desk.all(SetKind.FORWARDING, OWNER) if r.key.id not in names]
        for network in gone:
            desk.delete(SetKey(SetKind.FORWARDING, network), OWNER)
        if wanted:
            desk.put_all(wanted, OWNER)
        if wanted or gone:
            LOG.info("forwarding of %d networks read from %s; %d are not in it any more",
                     len(wanted), path or "no file", len(gone))  # fmt: skip

    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        return statuses
