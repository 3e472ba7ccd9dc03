"""What the API asks of the daemon, room by room: who does the work implements it, and nobody passes
it on. The daemon's :class:`vifd.daemon.agent.Agent` is a backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from vifd.capabilities.enforcement import Enforcement
from vifd.engine.garbage.view import CollectedView, GarbageView, RestoredView
from vifd.engine.setdesk import SetDesk
from vifd.engine.ticket import Ticket
from vifd.engine.upgrade.view import UpgradeView
from vifd.explain import Explanation
from vifd.guests import Prepared, Repaired
from vifd.hypervisor import GuestInterface
from vifd.migration.moved import Moved
from vifd.migration.timeline import Migration
from vifd.model import Attachment, Document, Parts, PortRecord, Role, Side
from vifd.model.comparison import Compared
from vifd.model.counted import Counters
from vifd.model.event import Event
from vifd.model.sides import Said
from vifd.negotiation import Acceptable, Offer
from vifd.negotiation.token import Claims
from vifd.plugin import Advert
from vifd.plugin.inspection import Inspection


class HostFacts(Protocol):
    """What is known of the host."""

    def show(self) -> dict[str, Any]:
        """What is known of the host: kernel, switch, bridges, mappings, per-plugin probes."""

    def refresh(self) -> Future[dict[str, Any]]:
        """Read the host anew; the answer of :meth:`show` as it is then."""


class Offers(Protocol):
    """What this host can give."""

    def host_info(self) -> dict[str, Any]:
        """The plugins that can work on this host now, as os-vif serialises its ``HostInfo``."""

    def advert(self, plugin: str) -> Advert | None:
        """What a plugin can do in principle; ``None`` where there is none of that name."""

    def submit(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Future[Offer]:
        """What this host can give an attachment; nothing is changed.

        :param acceptable: what the network side takes, in its order; ``None`` for everything
        :param contract: the version of the contract to answer in
        :raises vifd.errors.NoCommonVif: in the future: nothing can serve it
        """


class Migrations(Protocol):
    """Arrivals of guests at ports of this host."""

    def all(self) -> list[Migration]:
        """Those that are remembered, the oldest first."""

    def get(self, number: int) -> Migration | None:
        """One of them."""


class Explainer(Protocol):
    """Why a port works or does not."""

    def explain(self, port_id: str) -> Future[Explanation]:
        """Read the port back, change and record nothing, and say what is broken first.

        :raises vifd.errors.PortNotFound:
        """

    def recall(self, port_id: str, unasked: str) -> Explanation:
        """The same from the last report.

        :param unasked: why the host is not read
        :raises vifd.errors.PortNotFound:
        """


class Counting(Protocol):
    """What was counted of ports."""

    def ask(self, port_id: str) -> Future[Counters]:
        """The counters of a port, read now.

        :raises vifd.errors.PortNotFound:
        """

    def everybody(self) -> dict[str, Future[Counters]]:
        """Those of all ports, by port."""

    def recall(self, port_id: str, note: str) -> Counters:
        """The same from the last reading.

        :param note: why there is no new one
        :raises vifd.errors.PortNotFound:
        """


class Guests(Protocol):
    """The guests behind the ports."""

    def prepare(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        """Make sure that the devices of a guest that is about to start are there."""

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        """Give the running guest of a port back the device that it lost.

        :raises vifd.errors.PortNotFound:
        """


class Garbage(Protocol):
    """What bears our mark and belongs to no port."""

    def dry_run(self) -> Future[GarbageView]:
        """Compare everything on the host that bears our mark with the journal; remove nothing."""

    def collect(self, ids: Sequence[str] | None, *, force: bool) -> Future[CollectedView]:
        """Remove orphans, all that are ripe by default.

        :param force: beyond the limits, and although a journal was lost
        """

    def undo(self, ids: Sequence[str] | None) -> Future[RestoredView]:
        """Put removed orphans back; the last one by default."""


class Upgrades(Protocol):
    """What an upgrade would change."""

    def view(self) -> UpgradeView:
        """What an upgrade would change of ports that pass traffic; from memory."""

    def approve(self) -> UpgradeView:
        """Let that begin, with one port; where nothing waits for it, nothing happens."""


class Adoption(Protocol):
    """Ports that become ours."""

    def take_over(self, doc: Document, request_id: str) -> Ticket:
        """Take over, in place, what somebody else plugged for this port."""


class Release(Protocol):
    """Ports that are ours no longer."""

    def give_back(self, port_id: str, request_id: str, *, force: bool = False) -> Ticket:
        """Give a port back, in place; its record goes and its traffic goes on.

        :param force: although vifd made it, or nobody else would pass its frames
        """


class Moves(Protocol):
    """Ports that change their back end."""

    def move(
        self, port_id: str, target: str, request_id: str, *, dry_run: bool = False,
        doc: Document | None = None,
    ) -> Future[Moved]:  # fmt: skip
        """Have another plugin serve a port, its tap as it stands.

        :param dry_run: only say whether it can be done
        :param doc: of a port that another program plugged, with its tap behind a bridge of its own
        """


class Backend(Protocol):
    """The daemon behind the API. No call blocks; what takes time comes back as a future."""

    # --- rooms of the daemon that the API asks itself ---

    @property
    def host(self) -> HostFacts: ...

    @property
    def migrations(self) -> Migrations: ...

    @property
    def offers(self) -> Offers: ...

    @property
    def explainer(self) -> Explainer: ...

    @property
    def counting(self) -> Counting: ...

    @property
    def guests(self) -> Guests: ...

    @property
    def garbage(self) -> Garbage: ...

    @property
    def upgrades(self) -> Upgrades: ...

    @property
    def adoption(self) -> Adoption: ...

    @property
    def releases(self) -> Release: ...

    @property
    def moves(self) -> Moves: ...

    @property
    def sets(self) -> SetDesk: ...

    # --- ports and the daemon itself ---

    def status(self) -> dict[str, Any]:
        """``live``, ``ready``, ``version``, ``plugins`` and counts of ports by phase."""

    def plugins(self) -> list[dict[str, Any]]:
        """Every plugin found, admitted or refused: name, distribution, version, state, reasons."""

    def verify_plugin(self, name: str) -> Future[Inspection]:
        """Hold a plugin against its contract, without touching a port.

        :raises vifd.errors.PluginRefused: it was not admitted
        :raises vifd.errors.PluginMissing: there is none of that name
        :raises vifd.errors.PluginUnhealthy: it hangs
        """

    def ports(self) -> list[PortRecord]:
        """A snapshot of all ports, by id."""

    def port(self, port_id: str) -> PortRecord:
        """:raises vifd.errors.PortNotFound:"""

    def enforcement(self, record: PortRecord) -> list[Enforcement]:
        """Each feature that a port's document asks for, and what enforces it."""

    def plug(
        self,
        docs: Sequence[Document],
        request_id: str,
        claims: Mapping[str, Claims] | None = None,
        *,
        taking: bool = False,
    ) -> list[Ticket]:
        """Want these ports; one ticket each, in order.

        :param taking: what another program plugged is taken over in place, where there is one
        :param claims: by port, what the token of an offer says, for those that have one
        """

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        """Want these ports gone; an unknown port is done at once."""

    def say(self, said: Said, request_id: str, *, taking: bool = False) -> Ticket:
        """Take what one side says of its part of a port; ``kept`` of the ticket is done once that
        is on disk, and ``done`` once the port is where its parts want it.

        :param taking: what another program plugged is taken over in place, where there is one
        """

    def parts(self, port_id: str) -> Parts | None:
        """What the sides of a port say; ``None`` where there is no such port."""

    def waiting(self) -> Mapping[str, Parts]:
        """Ports that cannot be made yet, by id."""

    def compare(
        self, side: Side, owner: str | None, ids: Sequence[str], request_id: str, *, remove: bool,
        force: bool,
    ) -> Compared:  # fmt: skip
        """Hold a side's list of ports against what it said of each.

        :param owner: only parts of this owner are looked at; ``None`` for all of the side
        :param remove: take the part of what is not listed away
        :param force: beyond the limits of garbage
        :raises vifd.errors.GarbageLimit: that is too much at once; nothing was changed
        """

    def awaited(self, port_id: str, request_id: str) -> Ticket:
        """A ticket for a port to be where it is wanted already; it changes nothing.

        :raises vifd.errors.PortNotFound:
        """

    @property
    def hostname(self) -> str:
        """The name by which the network service knows this host."""

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        """Change the role of a port (activate, deactivate)."""

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        """Read the port back now; the record then holds fresh evidence."""

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        """Events with a larger id, oldest first."""

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have ``callback`` called on a native thread for every new event; returns the way to stop
        it."""

    def metrics(self) -> bytes:
        """The Prometheus text exposition."""
