"""What bears the plugin's mark: vhost-user ports of the switch, and the flows on its bridges.

A socket bears no mark. The one that a port of ours names goes with the port, if nobody holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vifd.drivers import PortRow
from vifd.errors import VifError
from vifd.plugin import Entry, Host
from vifd.plugin.marked import Desired, Key, Marked
from vifd_ovs.bridge import discarding
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.inventory import Inventory
from vifd_ovs.bridge.kinds import Kind
from vifd_vhostuser import sockets
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.sockets import NOBODY

_TYPE = "dpdkvhostuser"
CONNECTED = "a guest is connected to it"


class Garbage:
    """The optional verbs about single objects."""

    def __init__(self, host: Host, bridges: Bridges, files: HostFiles) -> None:
        self._files = files
        self._inventory = Inventory(host, bridges, lambda row: row.type.startswith(_TYPE))

    def inventory(self) -> list[Marked]:
        """Vhost-user ports, and what all plugins on the switch share."""
        return list(self._inventory.inventory(self._inventory.rows(), held))

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return self._inventory.expected(entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return discarding.discard(self._inventory, objects, held, self._sockets)

    def _sockets(self, objects: Iterable[Marked]) -> dict[Key, VifError]:
        """Remove the sockets that a guest or a switch left behind; one in use stays."""
        paths = {
            o.backup.get("options", {}).get("vhost-server-path", ""): o
            for o in objects
            if o.kind == Kind.SWITCH_PORT
        }
        mine = {path: o for path, o in paths.items() if path.rpartition("/")[2] == o.name}
        table = self._files.table.held(mine)
        failed: dict[Key, VifError] = {}
        for path, marked in mine.items():
            try:
                sockets.remove_stale(path, table.get(path, NOBODY))
            except VifError as error:
                failed[marked.key] = error
        return failed

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return discarding.restore(self._inventory, objects)


def held(row: PortRow) -> str:
    """Whether a guest is connected, as the switch says."""
    connected = row.link_state == "up" or row.status.get("status") == "connected"
    return CONNECTED if connected else ""
