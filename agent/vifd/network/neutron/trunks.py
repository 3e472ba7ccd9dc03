"""Trunks whose parents are bound to this host, as Neutron has them.

A message about a trunk says too little: of a sub-port that came or went it has no name of its own,
and it may come twice, late, or never. So each makes the trunk be asked for, and what is answered is
what counts. Sub-ports have bindings of their own, which the service moves to the parent's host once
that asks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from vifd.model import PortRecord, Status
from vifd.model.status import status_of
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.network.neutron.objects import Plain, entries, plain
from vifd.network.neutron.server import Server
from vifd.network.neutron.translate import active_here, mine

LOG = logging.getLogger(__name__)

#: The types of objects that trunks are told by.
KINDS = ("Trunk", "SubPort")
#: What the service is told of a trunk: all of it works, or some of it.
WORKS, IN_PART = Status.ACTIVE.value, "DEGRADED"
#: Seconds after which it is looked whether the service has what it was told.
STANDING = 3.0


def sub_ports(trunk: Mapping[str, Any]) -> list[str]:
    """The ids of a trunk's sub-ports."""
    return [str(s["port_id"]) for s in entries(trunk, "sub_ports") if s.get("port_id")]


def details(trunk: Mapping[str, Any]) -> Plain:
    """A trunk as it stands in its parent's document."""
    names = ("port_id", "segmentation_id", "segmentation_type")
    found = [{n: s[n] for n in names if s.get(n) is not None} for s in entries(trunk, "sub_ports")]
    return {"trunk_id": trunk["id"], "sub_ports": found}


def is_sub_port(port: Mapping[str, Any]) -> bool:
    """Whether the service has a port as one that is reached over another one's device."""
    return port.get("device_owner") == SUB_PORT_OWNER


class Trunks:
    """Not shared between threads.

    :ivar parents: by the id of the parent, the trunk
    """

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self.parents: dict[str, Plain] = {}
        #: the sub-ports of all of them; ``None``: to be found out
        self._named: set[str] | None = None
        #: ports that were asked about, whether they are parents or not
        self._asked: set[str] = set()
        #: ports that are yet to be asked about
        self._met: set[str] = set()
        #: by trunk, its sub-ports that the service was asked to bind here, in its state then
        self._bound: dict[str, tuple[Any, frozenset[str]]] = {}
        #: by trunk, the status that was told last
        self._told: dict[str, str] = {}
        #: by parent, when it is looked whether that is what the service has
        self._due: dict[str, float] = {}

    # --- what the service has ---

    def read(self, ports: Iterable[Mapping[str, Any]]) -> None:
        """Know the trunks of these ports, all that are here.

        :raises Exception: the service could not be asked
        """
        asked = {str(p["id"]) for p in ports if not is_sub_port(p)}
        found = self._found(asked)
        self.parents, self._asked, self._named = found, asked, None
        self._met.clear()
        self._bound.clear()
        self._told.clear()
        self._due.clear()

    def meet(self, ports: Iterable[Mapping[str, Any]]) -> None:
        """Have it asked whether these ports have trunks, with others that are met meanwhile: few
        are parents, and of each alone the service would be asked as often as there are ports."""
        self._met |= {str(p["id"]) for p in ports if not is_sub_port(p)} - self._asked

    def ensure(self) -> set[str]:
        """Know the trunks of all ports that were met; those that are other ports by that.

        :raises Exception: the service could not be asked; it will be, of the same ports
        """
        return self._ask(set(self._met)) if self._met else set()

    def told(self, kind: str, primitives: Any, here: Collection[str]) -> set[str]:
        """Something of trunks changed: the ports that may be other ones by it.

        :param here: ids of the ports that are bound to this host
        :raises Exception: the service could not be asked
        """
        items = [o for o in plain(primitives) or () if isinstance(o, dict)]
        if kind == "Trunk":
            parents = {str(o.get("port_id")) for o in items}
        else:
            trunks = {str(o.get("trunk_id")) for o in items}
            parents = {i for i, t in self.parents.items() if t["id"] in trunks}
        concerned = parents & set(here)
        return self._ask(concerned) if concerned else set()

    def forget(self, port_id: str) -> set[str]:
        """A port is bound here no more; the sub-ports that it leaves."""
        self._asked.discard(port_id)
        self._met.discard(port_id)
        self._due.pop(port_id, None)
        trunk = self.parents.pop(port_id, None)
        if trunk is None:
            return set()
        self._named = None
        self._bound.pop(trunk["id"], None)
        self._told.pop(trunk["id"], None)
        return {*sub_ports(trunk)}

    def _ask(self, parents: set[str]) -> set[str]:
        """Those that had a trunk or have one, with their sub-ports before and after."""
        had = parents & self.parents.keys()
        found = self._found(parents)
        left = {s for i in parents for s in self.forget(i)}
        self._asked |= parents
        self.parents |= found
        self._named = None
        return had | found.keys() | left.union(*map(sub_ports, found.values()))

    def _found(self, parents: set[str]) -> dict[str, Plain]:
        trunks = self._server.by("Trunk", "port_id", parents)
        return {str(t["port_id"]): t for t in trunks if t.get("port_id") in parents}

    # --- what this host says ---

    def wanted(self, port: Mapping[str, Any]) -> bool:
        """Whether a port is to be here: a sub-port as long as a trunk of this host has it. The
        service leaves the binding of one that was taken out of its trunk as it was."""
        if not is_sub_port(port):
            return True
        if self._named is None:
            self._named = {s for trunk in self.parents.values() for s in sub_ports(trunk)}
        return port["id"] in self._named

    def bind(self, ports: Mapping[str, Mapping[str, Any]], host: str) -> None:
        """Have the sub-ports bound here whose parent is in force here: it alone says by that where
        they are. Before that they are the other host's, whose guest uses them.

        :param ports: those that are bound here
        :raises Exception: the service could not be asked
        """
        for parent, trunk in self.parents.items():
            away = frozenset(i for i in sub_ports(trunk) if not _bound(ports.get(i), host))
            state = (trunk.get("revision_number"), away)
            port = ports.get(parent)
            if not away or port is None or not active_here(port, host):
                continue
            if self._bound.get(trunk["id"]) != state:
                self._server.bind_sub_ports(trunk["id"], sorted(away))
                self._bound[trunk["id"]] = state
                # so the service has it from then on
                self._told[trunk["id"]] = Status.BUILD.value
                LOG.info("neutron: trunk %s: %d sub-ports are to be bound to this host. port=%s",
                         trunk["id"], len(away), parent)  # fmt: skip

    def tell(
        self, records: Mapping[str, PortRecord], ports: Mapping[str, Mapping[str, Any]], host: str
    ) -> None:  # fmt: skip
        """Say of each trunk whether it works, where that is news: of those whose parent is in force
        here, as of the others another host has the word.

        :param ports: those that are bound here
        :raises Exception: the service could not be told
        """
        here = {i for i in self.parents if i in ports and active_here(ports[i], host)}
        for parent, trunk_id, status in self._news(records, here):
            self._server.trunk_status(trunk_id, status)
            self._told[trunk_id] = status
            self._due[parent] = self._clock() + STANDING

    def _news(
        self, records: Mapping[str, PortRecord], here: Collection[str]
    ) -> Iterator[tuple[str, str, str]]:  # fmt: skip
        for parent, trunk in list(self.parents.items()):
            if parent not in here:
                continue
            status = trunk_status(trunk, parent, records)
            if status and self._told.get(trunk["id"], trunk.get("status")) != status:
                yield parent, trunk["id"], status

    def doubt(self) -> set[str]:
        """Ask for trunks that were told of a while ago: while it binds sub-ports the service says
        that a trunk is being built, also where it does so later than it was told otherwise.

        :returns: the ports that may be other ones by what it answers
        :raises Exception: the service could not be asked
        """
        now = self._clock()
        due = {parent for parent, at in self._due.items() if at <= now}
        for parent in due:
            del self._due[parent]
        return self._ask(due) if due else set()


def _bound(port: Mapping[str, Any] | None, host: str) -> bool:
    return port is not None and mine(port, host)


def trunk_status(
    trunk: Mapping[str, Any], parent: str, records: Mapping[str, PortRecord]
) -> str:  # fmt: skip
    """What is to be said of a trunk; empty while it is not known, and while its parent does not
    work: the service knows that by the parent's status. Pure."""
    record = records.get(parent)
    if record is None or status_of(record) is not Status.ACTIVE:
        return ""
    there = [records.get(i) for i in sub_ports(trunk)]
    known = [r for r in there if r is not None and status_of(r) is not Status.BUILD]
    if len(known) < len(there):
        return ""
    return WORKS if all(map(_well, known)) else IN_PART


def _well(record: PortRecord) -> bool:
    """One that is closed because it shall be is as it was wanted."""
    closed = not record.doc.attachment.port.admin_state_up
    return status_of(record) is Status.ACTIVE or (closed and record.error is None)
