"""What the verbs take and answer: the ports of a batch, their needs, and what was found of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vifd.errors import VifError
from vifd.model import Attachment, Wiring
from vifd.plugin.undo import Undo


@dataclass(frozen=True)
class Requirement:
    """Something an attachment needs for this plugin, and whether it is there.

    :param error: what to answer when it is not met
    :param note: what is to be said although it is met: that it could not be found out, say
    """

    name: str
    met: bool
    error: VifError | None = None
    note: str = ""


def _nothing() -> None:
    """Nobody waits."""


@dataclass
class Item:
    """One port of a batch.

    :param attachment: what is wanted
    :param names: what ``name`` answered, as persisted before the effects
    :param wiring: what an earlier ``plug`` made; ``None`` for a port that was never plugged
    :param open: whether traffic shall pass, for ``check``
    :param undo: where ``plug`` registers the way back of each effect
    :param deep: ``check`` shall also run the costly proofs (packet traces)
    :param interim: this ``check`` follows a ``plug`` and another one follows it, once the port is
        open: what the plug itself read back may stand, where nothing was changed since
    :param thorough: this ``check`` is for somebody who asks why, or this ``plug`` follows one that
        was in vain: no reading is too costly for it
    :param settled: this ``check`` is of a port at rest, not on the way of a plug: what others did
        beside the port, and no plug mends, is read as well
    :param detached: ``unplug`` may call it once no frame of the port passes any more, and its
        device and its place on the bridge are gone, where something is left to be cleared away
        after that: who only waits for that much is told
    """

    attachment: Attachment
    names: Wiring
    wiring: Wiring | None = None
    open: bool = False
    undo: Undo = field(default_factory=Undo)
    deep: bool = True
    interim: bool = False
    thorough: bool = False
    settled: bool = False
    detached: Callable[[], None] = _nothing

    @property
    def id(self) -> str:
        return self.attachment.port.id

    @property
    def made(self) -> Wiring:
        """The wiring if there is one, else the planned names: what ``unplug`` works from."""
        return self.wiring or self.names


#: Per port id: the wiring, or why there is none.
Outcomes = dict[str, Wiring | VifError]


@dataclass(frozen=True)
class Recalled:
    """A port that stands on this host with its marks, and that the journal does not know.

    :param wiring: the names by which ``plug`` takes it over in place
    :param open: whether traffic passes; it then goes on
    """

    wiring: Wiring
    open: bool = False


@dataclass(frozen=True)
class Observed:
    """One port's worth of marked objects found on the host, journal or not.

    :param port_id: the id in the mark
    :param wiring: names rebuilt from what was found; enough for ``unplug``
    :param document: the attachment document as the marks still tell it, or ``None``; with it the
        daemon can take the port back after its journal was lost
    :param objects: readable names of what was found, for reports
    """

    port_id: str
    wiring: Wiring
    document: dict[str, Any] | None = None
    objects: tuple[str, ...] = ()
