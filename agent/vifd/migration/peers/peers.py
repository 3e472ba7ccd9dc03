"""The agents of other hosts: who is told that a guest left, and what is done when one tells."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from vifd.hypervisor import GuestInterface
from vifd.migration.peers.caller import Caller
from vifd.migration.peers.server import Server
from vifd.migration.peers.tls import Files, Place
from vifd.migration.peers.wire import Kind, Refused, Word
from vifd.migration.timeline import Time
from vifd.model import Phase, PortRecord, Role

LOG = logging.getLogger(__name__)

#: The beginning of the ids of requests that are made on a peer's word.
REQUEST = "peer"


@dataclass(frozen=True)
class Settings:
    """Of ``[migration]``; without peers nothing is listened for and nobody is told.

    :raises ValueError: a place is none, or a file is missing that is needed
    """

    peers: tuple[Place, ...] = ()
    listen: Place | None = None
    files: Files = field(default_factory=lambda: Files("", "", ""))

    @classmethod
    def of(cls, options: Any) -> Settings:
        """As the configuration says."""
        peers = tuple(Place.of(text) for text in options.peers)
        listen = Place.of(options.peer_listen) if options.peer_listen else None
        files = Files(options.peer_certificate, options.peer_key, options.peer_authority)
        if peers and not all((files.certificate, files.key, files.authority)):
            raise ValueError(
                "[migration] peers needs peer_certificate, peer_key and peer_authority"
            )
        if listen is not None and not peers:
            raise ValueError("[migration] peer_listen without peers: nobody may call")
        return cls(peers, listen, files)


@dataclass(frozen=True)
class Here:
    """What is asked of this host.

    :param record: a port of this host
    :param interfaces: of the guests here; ``None`` where the hypervisor cannot be asked
    :param activate: opens a port: its id and the request's
    :param deactivate: closes it
    :param left: told when a port's guest last sent on its old host
    """

    record: Callable[[str], PortRecord | None]
    interfaces: Callable[[], Iterable[GuestInterface] | None]
    activate: Callable[[str, str], object]
    deactivate: Callable[[str, str], object]
    left: Callable[[str, Time], object] = lambda _port, _time: None


class Peers:
    """All of them."""

    def __init__(self, settings: Settings, here: Here) -> None:
        self._here = here
        self._callers = [Caller(p, settings.files, self._told) for p in settings.peers]
        self._server = None
        if settings.listen is not None:
            self._server = Server(settings.listen, settings.files, settings.peers, self.take)

    def start(self) -> None:
        if self._server is not None:
            self._server.start()
        for caller in self._callers:
            caller.start()

    def stop(self, timeout: float) -> None:
        for caller in self._callers:
            caller.stop(timeout / max(1, len(self._callers)))
        if self._server is not None:
            self._server.stop(timeout)

    def problems(self) -> dict[str, str]:
        """By peer, why it cannot be told; the empty text where it can. For the status."""
        return {str(caller.place): caller.problem for caller in self._callers}

    def say(self, record: PortRecord, kind: Kind, quiet: Time | None = None) -> None:
        """Tell every peer what became of the guest of a port here; never blocks.

        :param quiet: since how many seconds it has not sent, where that is known
        """
        word = Word(kind, record.id, 1, "", record.revision)
        if quiet is not None:
            word = replace(word, quiet=min(quiet.at, 3600.0), within=min(quiet.within, 3600.0))
        for caller in self._callers:
            caller.say(word)

    def _told(self, peer: str, word: Word, refusal: str) -> None:
        if not refusal:
            LOG.info("peer %s took it that the guest %s here. port=%s", peer, word.kind, word.port)
            return
        # all but one of the peers do not have the port: that is no news
        level = logging.DEBUG if refusal.startswith("unknown port") else logging.WARNING
        LOG.log(level, "peer %s did not take it that the guest %s here: %s. port=%s", peer,
                word.kind, refusal, word.port)  # fmt: skip

    # --- what peers say, on their connections' threads ---

    def take(self, peer: str, word: Word) -> None:
        """Act on a peer's word.

        :raises Refused: nothing is done, and why
        """
        record = self._here.record(word.port)
        if record is None or record.removing:
            raise Refused("unknown port")
        request = f"{REQUEST}-{peer}"
        if word.kind == "resumed":
            self._back(record, request)
            return
        if record.role is Role.ACTIVE:
            raise Refused("the port is active here already")
        if record.phase not in (Phase.READY, Phase.QUIESCED):
            raise Refused(f"the port is {record.phase.value}, and not READY")
        if not self._awaited(record):
            raise Refused("no guest comes here that has this port's device")
        if word.quiet is not None:
            self._here.left(record.id, Time(time.time() - word.quiet, word.within))
        LOG.info("peer %s says that the guest stopped there: its port is opened. port=%s", peer,
                 record.id)  # fmt: skip
        self._here.activate(record.id, request)

    def _awaited(self, record: PortRecord) -> bool:
        """Whether a guest with the port's device is here, paused; a hypervisor that cannot be asked
        is no reason against it."""
        interfaces = self._here.interfaces()
        if interfaces is None:
            return True
        device = record.wiring.device if record.wiring is not None else ""
        path = record.vif.socket_path if record.vif is not None else ""
        return any(i.device in (device, path) and i.device for i in interfaces)

    def _back(self, record: PortRecord, request: str) -> None:
        """The guest runs on where it was: what was opened on that peer's word is closed."""
        if record.role is Role.ACTIVE and record.request_id == request:
            LOG.warning("%s: the guest runs on there: its port is closed here again. port=%s",
                        request, record.id)  # fmt: skip
            self._here.deactivate(record.id, request)
