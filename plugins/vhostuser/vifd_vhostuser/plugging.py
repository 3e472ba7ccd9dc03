"""Plug: directory and stale sockets, between the flows and the switch ports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Ovsdb, PortRow, PortSpec
from vifd.errors import SocketError, VifError
from vifd.plugin import Host, Item
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.ownership import Ends
from vifd_ovs.bridge.plugging import End, Ground, Rows
from vifd_ovs.bridge.switch import Switch
from vifd_vhostuser import sockets
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.options import CLIENT, Settings
from vifd_vhostuser.sockets import NOBODY, Holding

#: Seconds for the switch to let go of the sockets of ports that it removed. DPDK's thread keeps one
#: open while it sleeps on it, for 1 s at most, also once the file is gone.
_RELEASE = 2.0


class Plugging:
    """One ``plug`` call."""

    def __init__(
        self, plugin: str, host: Host, settings: Settings, bridges: Bridges, files: HostFiles,
        items: Sequence[Item],
    ) -> None:  # fmt: skip
        self.plugin = plugin
        self.drivers = host.drivers
        self.settings = settings
        self.files = files
        self.batch = Batch.of(items)
        self._ground = Ground(host, bridges, self.batch, settings.ofports)
        end = End(self._spec, self._stale, partial(ends, self.drivers.ovsdb))
        self._rows = Rows(self.drivers, self.batch, end, bridges.timeout)

    def run(self, switches: dict[str, Switch]) -> Batch:
        """Take all steps."""
        self._ground.lay(switches)
        self._rows.bring_home()
        self._sockets()
        self._rows.ensure()
        self._rows.numbers(switches)
        self._settle()
        return self.batch

    def _sockets(self) -> None:
        """Have the directory there, and no dead socket in the way."""
        self.batch.together("socket", self._directory)
        held = self.files.table.held(w.names.socket for w in self.batch)
        deadline = time.monotonic() + _RELEASE
        for work in self.batch:
            try:
                self._clear(work, held.get(work.names.socket, NOBODY), deadline)
            except VifError as error:
                self.batch.fail(work, error, "socket")

    def _directory(self, works: Sequence[Work]) -> None:
        made_here = self.settings.make_socket_dir and self.settings.port_type == CLIENT
        for directory in {work.names.socket.rpartition("/")[0] for work in works}:
            make = made_here and directory == self.settings.socket_dir
            problem = sockets.directory_problem(directory, make=make)
            if problem is not None:
                raise SocketError(facts={"path": directory, "problem": problem})
            if make:
                sockets.make_directory(directory, self.settings.access)

    def _clear(self, work: Work, held: Holding, deadline: float) -> None:
        """Remove a socket that nobody holds; refuse what vifd did not make."""
        path = work.names.socket
        problem = sockets.path_problem(path)
        have = sockets.read(path)
        if problem is None and have is not None and not have.is_socket:
            problem = "something that is no socket is there, and vifd did not make it"
        if problem is not None:
            raise SocketError(facts={"path": path, "problem": problem})
        if work.names.interface_type != CLIENT and held:
            held = self._released(work, deadline)
        sockets.remove_stale(path, held)

    def _released(self, work: Work, deadline: float) -> Holding:
        """Who holds a socket that the switch shall make, once the switch has let go of it itself.

        A socket in use keeps the switch from making its own; and where it tries, DPDK closes a
        descriptor too many, which was seen to cut off the bridge. What is open without a file is
        not in its way.

        :raises SocketError: another process has it
        """
        path = work.names.socket
        while held := self.files.table.held([path]).get(path, NOBODY):
            if self.drivers.ovsdb.port(work.device) is not None or sockets.read(path) is None:
                break
            if time.monotonic() > deadline:
                problem = "another process holds it, so the switch cannot make it"
                raise SocketError(facts={"path": path, "problem": problem})
            time.sleep(0.01)
        return held

    def _spec(self, work: Work) -> PortSpec:
        names = work.names
        client = names.interface_type == CLIENT
        return PortSpec(
            work.device,
            ofport=names.ofport,
            tag=names.row_tag(opened=work.item.open),
            type=names.interface_type,
            mtu=work.item.attachment.network.mtu,
            options={"vhost-server-path": names.socket} if client else {},
            external_ids=marks.row_ids(work.item.attachment, names, self.plugin),
        )

    def _stale(self, work: Work, row: PortRow) -> bool:
        """A port of another type is made anew, and one that the switch has left half-made."""
        return row.type != work.names.interface_type or (work.item.thorough and half_made(row))

    def _settle(self) -> None:
        """Give the sockets that are there already to whom they shall belong."""
        for work in self.batch:
            try:
                sockets.grant(work.names.socket, self.settings.access)
            except VifError as error:
                self.batch.fail(work, error, "socket")
                continue
            work.names = replace(work.names, plugged=True, adopted=False)


def ends(ovsdb: Ovsdb, works: Iterable[Work]) -> Ends:
    """Which ports' rows have the type and the socket of the port."""
    rows = [(work, ovsdb.port(work.device)) for work in works]
    return Ends({work.id for work, row in rows if row is not None and _same(row, work)})


def _same(row: PortRow, work: Work) -> bool:
    path = row.options.get("vhost-server-path", "")
    client = work.names.interface_type == CLIENT
    return row.type == work.names.interface_type and path == (work.names.socket if client else "")


# Seen with Open vSwitch 3.1: status "connected", queues enabled, link_state down, MTU 0.
def half_made(row: PortRow) -> bool:
    """Whether the guest is connected and the switch does not run the port all the same.

    Where a guest connects again while a switch that restarted still adds the port, Open vSwitch can
    miss that the port has to be reconfigured: no frame passes until it is added once more.
    """
    return row.status.get("status") == "connected" and row.link_state == "down"


def remove_sockets(files: HostFiles, works: Iterable[Work]) -> None:
    """Remove what a guest or a switch that was killed left behind; a socket in use stays."""
    paths = {work.names.socket for work in works if _named_for(work)}
    held = files.table.held(paths)
    for path in paths:
        sockets.remove_stale(path, held.get(path, NOBODY))


def _named_for(work: Work) -> bool:
    """Whether the socket in the stored names is the one that this port would be given."""
    return work.names.socket.rpartition("/")[2] == work.device
