"""Check: the guest's end, its memory, the socket, and the polling threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vifd.drivers import PortRow
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.checking import PortChecking
from vifd_vhostuser import dpdk, features, health, memory, sockets
from vifd_vhostuser.dpdk import Polling
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.health import Guest
from vifd_vhostuser.options import CLIENT, SERVER
from vifd_vhostuser.sockets import NOBODY, Access, Holding


class Checking(PortChecking):
    """One ``check`` call. Changes nothing.

    :ivar files: set by the plugin before :meth:`run`, as is ``access``
    """

    polled: ClassVar[bool] = True
    files: HostFiles
    access: Access
    _polling: Polling
    _root: Mapping[str, Any]
    _held: dict[str, Holding]
    _pids: dict[str, int]

    def prepare(self) -> None:
        """The kernel's table, the guests' processes and the polling threads, once for all."""
        self._polling = Polling() if self.silence.switch else dpdk.polling(self.drivers.tracer)
        self._held = self.files.table.held(w.names.socket for w in self.batch)
        self._root = self.drivers.ovsdb.facts()
        self._pids = {}
        for kind in (CLIENT, SERVER):
            paths = [w.names.socket for w in self.batch if w.names.interface_type == kind]
            present = {p: h for p in paths if _guest_at(h := self._held.get(p, NOBODY), kind)}
            self._pids |= self.files.processes.holders(present, made_by_guest=kind == CLIENT)

    def guest_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """Type and path of the port, the socket, the guest, and what the switch makes of it."""
        names, mtu = work.names, work.item.attachment.network.mtu
        facts = [] if row is None else [fact("vhost.type", row.type, names.interface_type, "ovsdb")]
        if row is not None and names.interface_type == CLIENT:
            path = row.options.get("vhost-server-path")
            facts.append(fact("vhost.socket", path, names.socket, "ovsdb"))
        facts += self._socket(work, health.connected(row))
        if self.silence.switch:
            return facts  # what is known of the guest's end is what the switch said last
        facts += health.evidence(work.device, row, self._polling, self._guest(work), mtu)
        return facts if row is None else [*facts, *features.evidence(row, self._root)]

    def _socket(self, work: Work, connected: bool) -> list[Evidence]:
        path = work.names.socket
        try:
            have = sockets.read(path)
        except VifError as error:
            return [fact("socket", error.message, "readable", "stat")]
        if have is None:
            return [self._missing(work, connected)]
        facts = [fact("socket", "socket" if have.is_socket else "no socket", "socket", "stat")]
        facts += [
            fact(f"socket.{name}", is_, wanted, "stat")
            for name, (is_, wanted) in sockets.differences(have, self.access).items()
        ]
        return facts

    def _missing(self, work: Work, connected: bool) -> Evidence:
        """No file is there: the guest makes it when it comes, and one that is connected goes on
        without. One that listens and is not can no more be found. That is said to who asks why,
        and is no reason to refuse the port a plug: the switch restarted, and the rest is well."""
        path, asked = work.names.socket, work.item.thorough
        if work.names.interface_type != CLIENT:
            return Evidence("socket", "missing", "a socket", ok=False, source="stat")
        if asked and not connected and self._listens(path) and self._listens(path, anew=True):
            return Evidence("socket", "missing", "the socket that its guest listens on", ok=False,
                            source="stat", repairable=False)  # fmt: skip
        return Evidence("socket", "missing", source="stat")

    def _listens(self, path: str, *, anew: bool = False) -> bool:
        """:param anew: the guest may just be leaving: its file goes first"""
        held = self.files.table.held([path]) if anew else self._held
        return held.get(path, NOBODY).listening

    def _guest(self, work: Work) -> Guest:
        path = work.names.socket
        if not _guest_at(self._held.get(path, NOBODY), work.names.interface_type):
            return Guest()
        pid = self._pids.get(path)
        if pid is None:
            return Guest(present=True)
        try:
            maps = self.files.processes.maps(pid)
        except OSError:
            return Guest(present=True, pid=pid)
        return Guest(True, pid, memory.judge(memory.parse(maps)))


def _guest_at(held: Holding, interface_type: str) -> bool:
    """Whether a guest's process is at the socket: it listens, or it has connected."""
    return held.listening if interface_type == CLIENT else held.connected
