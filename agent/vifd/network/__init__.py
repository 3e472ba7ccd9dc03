"""What the daemon reports to, and who may want ports: the network service.

Entry-point group ``vifd.network``. The core calls :meth:`NetworkService.report` from one native
thread until every status was taken; a service that wants ports (one that is told of them by a
message bus, say) hands them to the :class:`Inbox` from any native thread.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from oslo_config import cfg

from vifd.engine.setdesk import SetDesk
from vifd.engine.ticket import Ticket
from vifd.model import Document, Parts, PortRecord, Role, Side
from vifd.model.comparison import Compared
from vifd.model.plugger import Plugger
from vifd.model.sides import Said
from vifd.store import Outgoing

#: The entry-point group in which drivers of network services are found.
GROUP = "vifd.network"


class Inbox(Protocol):
    """What a network service may ask of the daemon; no call blocks."""

    def plug(self, docs: Sequence[Document], request_id: str) -> list[Ticket]:
        """Want ports, or want them changed."""

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        """Want ports gone."""

    def say(self, said: Said, request_id: str, *, taking: bool = False) -> Ticket:
        """Say the network's part of a port, or take it away; compute's part comes from compute.

        :param taking: what another program plugged is taken over in place, where there is one
        """

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        """The binding of this host became active or inactive."""

    def ports(self) -> list[PortRecord]:
        """All ports of this host."""

    def compare(
        self, side: Side, owner: str | None, ids: Sequence[str], request_id: str, *, remove: bool,
        force: bool, made: float | None = None,
    ) -> Compared:  # fmt: skip
        """Hold the whole list of ports of a side, or of an owner, against what it said here.

        :param remove: take the part of what is not listed away
        :param force: beyond the limits of garbage
        :param made: when the list was begun, in seconds since the epoch, where that is known: what
            was said later is not held against it
        :raises vifd.errors.GarbageLimit: that is too much at once; nothing was changed
        """

    @property
    def sets(self) -> SetDesk:
        """Security groups, address groups and forwarding: the same for them."""

    def parts(self, port_id: str) -> Parts | None:
        """What the sides of a port say; ``None`` where nobody says anything."""

    def waiting(self) -> Mapping[str, Parts]:
        """Ports that cannot be made yet, by id."""

    @property
    def plugger(self) -> Plugger | None:
        """Who plugged a port of an instance on this host last, as far as that is known."""

    @property
    def hostname(self) -> str:
        """The name by which the network service knows this host."""

    def plugins(self) -> list[dict[str, Any]]:
        """All plugins as the API shows them, with what they found on this host."""

    def notify(self) -> None:
        """The service may take now what waits in the outbox."""

    def untold(self) -> set[str]:
        """The ports of which a status waits in the outbox, or is just being told."""


class NetworkService(abc.ABC):
    """A driver of one network service.

    :cvar name: equal to its entry point's
    :cvar told: whether it wants to be told of statuses; where not, none waits for it
    :param conf: its option group, ``[network_<name>]``
    """

    name: ClassVar[str]
    told: ClassVar[bool] = True

    def __init__(self, conf: Any) -> None:
        self.conf = conf

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        """The options of its group."""
        return ()

    def start(self, inbox: Inbox) -> None:  # noqa: B027 - not every service wants it
        """Begin; must not wait for the service: it may be away for days."""

    @abc.abstractmethod
    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Tell the service; returns those that it took.

        Blocks for as long as one attempt takes. What is not returned, and everything when it
        raises, is sent again later with a growing pause. Statuses may repeat (re-assertion).
        """

    def awaited(self) -> None:  # noqa: B027 - not every service can be asked
        """Somebody here uses a port of which the service has said nothing: :meth:`Inbox.waiting`.
        Must not block."""

    def problem(self) -> str:
        """Why the service cannot be told or heard just now, and what next; empty while it can. Must
        not block."""
        return ""

    def ahead(self) -> str:
        """Whether ports of instances are made ahead of compute here, and why, as a sentence; empty
        where the service has none made. Must not block."""
        return ""

    def reload(self) -> None:  # noqa: B027 - not every service reads something
        """The configuration was read again; its options have their new values."""

    def stop(self) -> None:  # noqa: B027 - not every service holds something
        """End; called once."""
