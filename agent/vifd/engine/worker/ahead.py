"""Ports that are opened ahead of their record: bundle first, announced at once, proof and commit
after.

A guest that has just resumed on this host loses every frame until its port is open. What was read
back as closed and whole is opened without another reading, and the journal is written meanwhile, by
the request that asks for it. Until that is on disk nobody else serves the port.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vifd.engine.decision import Request
from vifd.engine.intents import Intents
from vifd.engine.job import Job, job_of
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Parts, Phase, PortRecord, Role, Side
from vifd.model.lifecycle import Step
from vifd.model.sides import Said
from vifd.model.status import wants_open
from vifd.model.trunks import is_sub_port
from vifd.plugin import VifPlugin

LOG = logging.getLogger(__name__)

#: Told of each step of an activation: the port, the step, the time in seconds since the epoch, and
#: the error where it failed.
Noted = Callable[[str, str, float, str], None]


def opens(request: Request, record: PortRecord | None, parts: Parts | None) -> bool:
    """Whether a request says in so many words that the binding of a closed port is active now.

    :param parts: what the sides of the port said before
    """
    if record is None or request.kind is not Kind.PLUG or record.removing or record.open:
        return False
    if record.role is Role.ACTIVE or record.doc.attachment.prewired:
        return False
    if request.said is not None:
        return _says_active(request.said, parts)
    if request.doc is not None:
        return request.doc.raw.get("role") == Role.ACTIVE.value
    return request.role is Role.ACTIVE


def _says_active(said: Said, parts: Parts | None) -> bool:
    """A word that is older than what is known opens nothing."""
    if said.side is not Side.NETWORK or said.part is None:
        return False
    known = parts.network.revision if parts is not None and parts.network is not None else None
    stale = None not in (known, said.revision) and (said.revision or 0) <= (known or 0)
    return said.part.body.get("role") == Role.ACTIVE.value and not stale


def openable(record: PortRecord) -> bool:
    """Whether a port can be opened as it stands: it was read back as wanted, and is closed for its
    role alone."""
    return (
        record.phase in (Phase.READY, Phase.QUIESCED)
        and record.applied
        and record.wiring is not None
        and not record.open
        and not record.removing
        and record.error is None
        and record.doc.attachment.port.admin_state_up
        and not record.doc.attachment.prewired
    )


@dataclass
class Ahead:
    """What was opened on one lane and is not on record yet; of the lane's thread alone, but for
    :meth:`holds`.

    :param late: ports that were to be opened before they were ready: announced once they are open
    """

    intents: Intents = field(default_factory=Intents)
    late: set[str] = field(default_factory=set)
    _jobs: dict[str, tuple[Job, Ticket]] = field(default_factory=dict)
    #: those that are open, or about to be
    _held: set[str] = field(default_factory=set)

    def holds(self, port_id: str) -> bool:
        """Whether the port may be open although its record says that it is closed."""
        return port_id in self._held

    def hold(self, records: Sequence[PortRecord]) -> None:
        """These ports are about to be opened."""
        self._held.update(record.id for record in records)

    def release(self, jobs: Iterable[Job | PortRecord]) -> None:
        """The records of these ports say what is true, or are about to."""
        self._held.difference_update(job.id for job in jobs)

    def put(self, job: Job, ticket: Ticket) -> None:
        """This port is open."""
        self._jobs[job.id] = job, ticket

    def step(self, record: PortRecord, step: Step) -> Step | None:
        """What is done for the port of this record where ``step`` would be next; ``None``: the
        journal is being written, and then it is served again."""
        kept = self._jobs.get(record.id)
        if kept is None:
            return step
        accepted = kept[1].accepted
        if not accepted.done():
            return None if not record.removing else step
        if wants_open(record) or record.removing:
            return step
        return Step.DEACTIVATE

    def resumed(self, record: PortRecord) -> Job | None:
        """The job of a port that was opened, now by this record."""
        kept = self._jobs.pop(record.id, None)
        if kept is None:
            return None
        job = kept[0]
        job.record, job.item.attachment = record, record.doc.attachment
        return job

    def drop(self, records: Sequence[PortRecord]) -> None:
        """These ports were closed, or go."""
        for record in records:
            self._jobs.pop(record.id, None)
            self._held.discard(record.id)
            self.late.discard(record.id)
            self.intents.done(record.id)

    def begin(self, record: PortRecord, ticket: Ticket) -> Job | None:
        """The job of a port that can be opened now, noted for the next start; ``None``: it takes
        the usual path, and is announced at its end."""
        if record.id in self._jobs or record.open:
            return None
        if not openable(record):
            self.late.add(record.id)
            return None
        # Before the ticket is looked at: who takes the word back later must see that it is held.
        self._held.add(record.id)
        overtaken = ticket.accepted.done() and record.role is Role.INACTIVE
        if overtaken or not self.intents.write(record.id, ticket.request_id):
            self._held.discard(record.id)
            return None
        return job_of(record)

    def undo(self, port_id: str) -> None:
        """It could not be opened; the usual path tries it."""
        self._held.discard(port_id)
        self.intents.done(port_id)
        self.late.add(port_id)

    def announce(self, plugin: VifPlugin, jobs: Sequence[Job]) -> list[Job]:
        """Have the networks told where these ports are; what fails is learned from the guests.

        :returns: those that were told
        """
        moved = [job for job in jobs if job.id in self.late or _may_have_moved(job)]
        if moved:
            self.late -= {job.id for job in moved}
            try:
                plugin.announce([job.item for job in moved])
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                LOG.warning("plugin %s: %d ports could not be announced: %s", plugin.plugin_name,
                            len(moved), error)  # fmt: skip
        return moved


def _may_have_moved(job: Job) -> bool:
    """Whether a port that was opened may have been elsewhere a moment ago. One that was to be
    closed when its plug began was to be opened since; a sub-port is where its parent is, whatever
    its own role says."""
    record = job.record
    return (
        job.step is Step.ACTIVATE or record.role is Role.INACTIVE or record.origin is not None
        or is_sub_port(job.item.attachment)
    )  # fmt: skip
