"""Follows what Neutron says of this host's ports, and hands it to the daemon as parts of documents.

Everything here runs on one thread. A pull and a push are the same thing: an object with a count of
changes, of which the newest counts; so messages may come late, twice or never.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vifd import errors
from vifd.model import Part, Side
from vifd.model.partreading import network_said
from vifd.model.sides import Said
from vifd.network import Inbox
from vifd.network.neutron import translate
from vifd.network.neutron.cache import Cache
from vifd.network.neutron.doubts import Doubts
from vifd.network.neutron.groups import Groups
from vifd.network.neutron.logs import KIND as LOG_KIND
from vifd.network.neutron.logs import Logs
from vifd.network.neutron.objects import Plain, objects, revision
from vifd.network.neutron.seldom import Seldom
from vifd.network.neutron.server import Server
from vifd.network.neutron.surroundings import Surroundings
from vifd.network.neutron.translate import OWNER, Known
from vifd.network.neutron.trunks import KINDS, Trunks, details
from vifd.network.neutron.tunnels import Tunnels
from vifd.network.neutron.unfinished import Unfinished

LOG = logging.getLogger(__name__)

#: Seconds after which a port that somebody here uses, and that is not bound here, is asked for once
#: more.
AGAIN = 5.0
#: The event by which the service tells that objects are gone.
DELETED = "deleted"
REQUEST = "neutron"
#: The types of objects that make up groups.
GROUPS = ("SecurityGroup", "SecurityGroupRule", "AddressGroup")


class Following:
    """The ports of this host as the service has them.

    :param prewire: whether ports of instances are made as soon as they are bound here, and opened
        once nova plugs them: read anew for every port
    :param groups: whether security groups are in force here
    """

    def __init__(
        self, server: Server, inbox: Inbox, tunnels: Tunnels, *,
        prewire: Callable[[], bool | None] = lambda: None,
        groups: bool = True, gather: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.cache = Cache()
        self._server = server
        self._inbox = inbox
        self._prewire = prewire
        self._groups = Groups(server, inbox.sets, gather) if groups else None
        self._logs = Logs(server, inbox.sets, self.cache.all("Port").values) if groups else None
        self.tunnels = tunnels
        self.trunks = Trunks(server)
        self._clock = clock
        #: by port, the part that was said last
        self._said: dict[str, Plain] = {}
        #: by port that waits here for its network's part, when it was asked for
        self._asked: dict[str, float] = {}
        self._idle = Seldom(AGAIN)
        self._around = Surroundings(server, self.cache)
        self._doubts = Doubts(clock)
        self._unfinished = Unfinished(clock)
        #: trunks may have to be seen to since that was done last
        self._stirred = False
        self.known = Known(
            self.cache.all("Network"), self.cache.all("Subnet"), self.cache.all("QosPolicy"),
            groups, self._trunk,
        )  # fmt: skip

    @property
    def _host(self) -> str:
        return self._server.host

    # --- all of it ---

    def synchronise(self) -> None:
        """Read everything that concerns this host, and say what differs from what is here.

        :raises Exception: the service could not be asked; what was said holds
        """
        began = time.time()
        known = self._owned() | self._waiting() | set(self.cache.all("Port"))
        found = {o["id"]: o for o in self._server.ports(known)}
        for item in found.values():
            self._met(item)
        ports = self.cache.all("Port")
        self.cache.forget("Port", ports.keys() - found.keys())
        self._around.read(list(ports.values()), anew=True)
        if self._groups is not None:
            self._groups.read(list(ports.values()))
        if self._logs is not None:
            self._logs.read()
        self.trunks.read(list(ports.values()))
        self.tunnels.read(self.networks(), self._around.busy(self._host))
        self.tunnels.flush()
        self._said.clear()
        self._doubts.clear()
        self._tell(ports.values())
        self._unfinished.see(ports.values(), self._host)
        self._compare([i for i, p in ports.items() if self.trunks.wanted(p)], began)

    def _owned(self) -> set[str]:
        """The ports of which the service said its part here."""
        known = {*(r.id for r in self._inbox.ports()), *self._inbox.waiting()}
        return {i for i in known if self._own(i) is not None}

    def _own(self, port_id: str) -> Part | None:
        """The part of a port that the service said, in this life of the daemon or another."""
        parts = self._inbox.parts(port_id)
        part = parts.network if parts is not None else None
        return part if part is not None and part.owner == OWNER else None

    def _compare(self, here: Sequence[str], began: float) -> None:
        """Take away what the service does not list; too much at once is left to an operator."""
        try:
            self._inbox.compare(
                Side.NETWORK, OWNER, here, REQUEST, remove=True, force=False, made=began
            )
        except errors.VifError as error:
            LOG.error("%s: %s. Next: %s", error.code, error.message, error.hint)

    # --- one change ---

    def push(self, kind: str, event: str, primitives: Any, request: str = "") -> None:
        """Take what the service told of objects of one type.

        :param request: by which they changed
        :raises Exception: something else had to be asked for, and could not be
        """
        if kind in KINDS:
            self._stirred = True
            self._retell(self.trunks.told(kind, primitives, self.cache.all("Port")))
            return
        told = objects(primitives)
        if kind == LOG_KIND:
            if self._logs is not None:
                self._logs.told(told, request, gone=event == DELETED)
            return
        if kind == "Port" and event != DELETED:
            self._ports(told)
            return
        for item in told:
            if event == DELETED:
                self._deleted(kind, item["id"])
            elif kind in GROUPS:
                if self._groups is not None:
                    self._groups.changed(kind, item)
            else:
                self._tell(self._around.changed(kind, item))

    def _deleted(self, kind: str, object_id: str) -> None:
        if self._groups is not None and kind in GROUPS:
            self._groups.deleted(kind, object_id)
        elif self._groups is not None and kind == "Port":
            self._groups.port_gone(object_id)
        held = self.cache.get(kind, object_id) is not None
        self.cache.delete(kind, object_id)
        if self._logs is not None:
            self._logs.moved()
        if kind == "Port" and (held or self._inbox.parts(object_id) is not None):
            self._take_away(object_id)

    def _ports(self, items: Sequence[Plain]) -> None:
        if self._groups is not None:
            for item in items:
                if not self.cache.is_deleted("Port", item["id"]):
                    self._groups.port(item)
        here = [item for item in items if self._met(item)]
        if not here:
            return
        self._around.read(here)
        if self._groups is not None:
            self._groups.ensure(here)
        self.tunnels.present(self.networks())
        self.tunnels.flush()
        self._tell(here)
        self.trunks.meet(here)
        self._stirred |= bool(self.trunks.parents)
        self._unfinished.see(here, self._host)

    def _met(self, item: Plain) -> bool:
        """Keep a port that is bound here; whether it is."""
        if self._logs is not None:
            self._logs.moved()
        if translate.mine(item, self._host):
            return self.cache.put("Port", item)
        if self.cache.leave("Port", item) or self._has_part(item):
            self._take_away(item["id"])
        return False

    def _has_part(self, item: Plain) -> bool:
        """Whether the service said its part of a port that is elsewhere now, in another life of
        this daemon."""
        part = self._own(item["id"])
        return part is not None and revision(item) >= (part.revision or 0)

    def _is_said(self, port_id: str) -> bool:
        """Whether the service's part of a port is here."""
        return port_id in self._said or self._own(port_id) is not None

    def networks(self) -> dict[str, str]:
        """The networks that have ports here, with the types of their segments."""
        return self._around.segments(self._host)

    def flush(self) -> None:
        """Say what was gathered of sets, and ask what was gathered of trunks.

        :raises Exception: the service could not be asked
        """
        self.tunnels.flush()
        if self._groups is not None:
            self._groups.flush()
        if self._logs is not None:
            self._logs.flush()
        # few ports are parents, and the others are not to wait for that
        if others := self.trunks.ensure():
            self._retell(others)
            self._stirred = True
        if self._stirred:
            self._stirred = False
            self.settle()

    # --- those that wait here ---

    def waiting(self) -> None:
        """Ask for ports that somebody here uses and that the service did not say to be here: a
        message may have been lost."""
        now = self._clock()
        here = self._waiting()
        self._asked = {i: at for i, at in self._asked.items() if i in here}
        due = [i for i in here if now - self._asked.get(i, -AGAIN) >= AGAIN]
        for part in self._server.parts("Port", due):
            self._ports(part)
        self._asked |= dict.fromkeys(due, now)

    def finish(self) -> None:
        """Have the service choose a type and a segment where it does not by itself.

        :raises Exception: the service could not be asked
        """
        due = self._unfinished.due(self.cache.all("Port"), self._host)
        if due:
            self._server.details(due)

    def left_alone(self) -> None:
        """Ask for ports whose binding is not in force here and that nobody here uses: when a
        binding is deleted, as after a migration or instead of one, the service tells nobody.

        :raises Exception: the service could not be asked
        """
        ports = self.cache.all("Port").items()
        idle = {i for i, p in ports if not translate.active_here(p, self._host)}
        due = self._idle.due({i for i in idle if not self._used(i)}, self._clock())
        for item in self._server.pull("Port", due):
            self._met(item)

    def _used(self, port_id: str) -> bool:
        """Whether compute, or another program, uses a port here."""
        parts = self._inbox.parts(port_id)
        return parts is not None and (parts.compute is not None or parts.hosted is not None)

    def _waiting(self) -> set[str]:
        return {i for i, parts in self._inbox.waiting().items() if parts.network is None}

    # --- what is to be said again ---

    def disagreements(self) -> dict[str, bool]:
        """Ports that the service has as working and that do not, and the other way round. Each
        state of a port there is answered once, when it has stood for a while: what it was told
        just now it may be about to note."""
        records = {r.id: r for r in self._inbox.ports()}
        return self._doubts.differing(records, self.cache.all("Port"), self._host)

    def doubted(self, ports: Iterable[str]) -> None:
        """Whether these were told is not known: they are again, if they stand for a while more."""
        self._doubts.again(ports)

    # --- what is said ---

    def _trunk(self, port_id: str) -> Plain | None:
        """The trunk of a parent."""
        trunk = self.trunks.parents.get(port_id)
        return None if trunk is None else details(trunk)

    def _retell(self, port_ids: Iterable[str]) -> None:
        """Say ports that are here once more, as what they belong to has changed."""
        known = (self.cache.get("Port", i) for i in sorted(port_ids))
        self._tell([port for port in known if port is not None])

    def settle(self) -> None:
        """See to trunks: have their sub-ports bound here, and say what works.

        :raises Exception: the service could not be asked
        """
        if self.trunks.parents:
            self._retell(self.trunks.doubt())
            self.trunks.bind(self.cache.all("Port"), self._host)
            records = {record.id: record for record in self._inbox.ports()}
            self.trunks.tell(records, self.cache.all("Port"), self._host)

    def _tell(self, ports: Iterable[Mapping[str, Any]]) -> None:
        for port in ports:
            if not self.trunks.wanted(port):
                if self._is_said(port["id"]):
                    self._take_away(port["id"])
                continue
            try:
                body = self._part(port)
            except errors.VifError as error:
                LOG.warning("neutron: %s. Next: the port stays as it is here. port=%s",
                            error.message, port["id"])  # fmt: skip
                continue
            if body is None:
                self._in_role(port)
                continue
            if self._said.get(port["id"]) == body:
                continue
            self._said[port["id"]] = body
            part = Part(OWNER, body, revision=revision(port), at=time.time())
            ahead, held = self._ahead(port)
            said = Said(port["id"], Side.NETWORK, part, revision(port), ahead=ahead, held=held)
            self._inbox.say(said, REQUEST)

    def _ahead(self, port: Mapping[str, Any]) -> tuple[bool, bool]:
        """Whether a port is one to be made ahead, and whether it is not for now."""
        wanted = self._prewire()
        if wanted is None or not translate.nova_plugs(port, self._host):
            return False, False
        return True, not wanted

    def _part(self, port: Mapping[str, Any]) -> Plain | None:
        """The network's part of a port; ``None`` where it has none here.

        :raises errors.VifError: what the service says of it makes no sense
        """
        try:
            body = translate.part(port, self.known, self._host)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise errors.BadDocument.at_field("(port)", f"cannot be read: {error!r}") from error
        return None if body is None else network_said(body, port["id"])

    def _in_role(self, port: Mapping[str, Any]) -> None:
        """Of a port whose binding lost what it was, say whether it is in force: one that went to
        another host must not stay open here, and one that came back must not wait."""
        known = self._own(port["id"]) if translate.given_up(port, self._host) else None
        role = translate.role(port, self._host)
        if known is not None and known.body.get("role") != role:
            self._said.pop(port["id"], None)
            self._inbox.set_role(port["id"], role, REQUEST)

    def _take_away(self, port_id: str) -> None:
        self._said.pop(port_id, None)
        self.tunnels.present(self.networks())
        self._retell(self.trunks.forget(port_id))
        self._inbox.say(Said(port_id, Side.NETWORK, final=True), REQUEST)
