"""Which versions of Neutron's objects are spoken: the newest that every server serves.

A server publishes an object in its own version and in each that some agent reports, and where it
cannot, **no** agent hears of the change: a version is reported only once it is sure that no older
server is left. One that it does not have a server refuses when an object is asked for in it, so an
object that is there is needed; before that the oldest versions are spoken, which every release
serves. With several servers each question goes to another one: all of several must be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vifd.network.neutron.abreast import answers
from vifd.network.neutron.bus import Refused
from vifd.network.neutron.objects import SERVED, VERSIONS, topic_of

#: How often the newest version is asked for: of two servers, one of them older, all are answered
#: by the new one once in 256 times.
ASKED = 8
#: How a server refuses a version that it does not have.
REFUSALS = ("InvalidTargetVersion", "IncompatibleObjectVersion")
#: Asks for an object of a type by id in a version; raises what the bus raises.
Ask = Callable[[str, str, str], Any]


class Versions:
    """What was agreed on so far. One thread agrees; any may read."""

    def __init__(self) -> None:
        self.chosen: Mapping[str, str] = dict(VERSIONS)
        #: types that servers were asked about
        self._asked: frozenset[str] = frozenset()

    @property
    def topics(self) -> list[str]:
        """Where changes are told: of a type that was not agreed on yet under every version, as a
        server knows for a minute nothing of what an agent reported to another, and tells of it in
        its own alone until then."""
        spoken = {kind: (version,) for kind, version in self.chosen.items()}
        heard = {**SERVED, **{kind: spoken[kind] for kind in self._asked & spoken.keys()}}
        return [topic_of(kind, version) for kind, many in heard.items() for version in many]

    def forget(self) -> None:
        """Speak the oldest, as if nothing had been agreed on."""
        self.chosen, self._asked = dict(VERSIONS), frozenset()

    def unsure(self, known: Mapping[str, str]) -> bool:
        """Whether there is an object by which more can be asked than was."""
        return any(len(SERVED[kind]) > 1 for kind in known.keys() - self._asked)

    def agree(self, ask: Ask, known: Mapping[str, str]) -> bool:
        """Ask what is served; whether that differs from before.

        :param known: by type, the id of an object that is there
        :raises Exception: the server could not be asked
        """
        chosen = dict(VERSIONS)
        for kind, object_id in known.items():
            if len(SERVED[kind]) > 1:
                chosen[kind] = newest(ask, kind, object_id)
        changed = chosen != self.chosen
        self.chosen, self._asked = chosen, frozenset(known)
        return changed


def refuses(error: Refused) -> bool:
    """Whether a server has answered that it does not have a version."""
    return error.kind in REFUSALS


def newest(ask: Ask, kind: str, object_id: str) -> str:
    """The newest version of a type that the servers serve; the oldest where that is not sure."""
    for version in SERVED[kind]:
        question = partial(ask, kind, object_id, version)
        try:
            # the first alone: a release that does not have it would refuse all of them
            if question() and all(answers([question] * (ASKED - 1))):
                return version
        except Refused as error:
            if not refuses(error):
                raise
            continue
        break
    return SERVED[kind][-1]
