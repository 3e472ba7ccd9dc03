"""What a caller wants of a shared set, and what it holds while that is done."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from vifd.model.setpatch import SetPatch
from vifd.model.setrecord import SetRecord
from vifd.model.sets import SetBody, SetKey


@dataclass
class SetTicket:
    """One request for one set.

    :param accepted: done once the change is on disk, with the set as it is then; ``None``: it is
        gone
    :param done: done once every plugin has brought what is on this host to it; fails with the error
        of one that could not, and will try again
    :param created: whether the set is new, known once accepted
    """

    key: SetKey
    request_id: str = ""
    created: bool = False
    accepted: Future[SetRecord | None] = field(default_factory=Future)
    done: Future[SetRecord | None] = field(default_factory=Future)

    def accept(self, record: SetRecord | None) -> None:
        """The change is on disk."""
        _resolve(self.accepted, record)

    def finish(self, record: SetRecord | None) -> None:
        """It is in force."""
        _resolve(self.accepted, record)
        _resolve(self.done, record)

    def fail(self, error: BaseException) -> None:
        """End the request with an error, where it has not ended yet."""
        for future in (self.accepted, self.done):
            try:
                future.set_exception(error)
            except InvalidStateError:
                continue


def _resolve(future: Future[SetRecord | None], record: SetRecord | None) -> None:
    try:
        future.set_result(record)
    except InvalidStateError:
        return


@dataclass(frozen=True)
class SetRequest:
    """What a caller wants of one set: a whole body, a patch, or that it goes.

    :param owner: who says it
    :param revision: the owner's own count of changes, where it has one
    :param match: revisions of this host, one of which the set must have; ``None``: any, or none
    :param later: a set that is to go and that something refers to goes once nothing does
    """

    ticket: SetTicket
    owner: str
    body: SetBody | None = None
    patch: SetPatch | None = None
    revision: int | None = None
    match: frozenset[int] | None = None
    later: bool = False

    @property
    def removes(self) -> bool:
        """Whether the set is to go."""
        return self.body is None and self.patch is None
