"""Whether what is wanted on this host is known to be complete: before that nothing may go."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from vifd import errors
from vifd.engine import Engine
from vifd.engine.garbage.undo_store import Notes

LOG = logging.getLogger(__name__)

#: The note that remembers, over restarts, since when the journal may lack ports; 0 for never.
INCOMPLETE = "garbage.incomplete"


@dataclass
class Completeness:
    """What stands against removing anything.

    A journal that was lost or damaged may have lost ports, and what those have on the host looks
    like garbage. That is remembered until a look finds nothing without a port, or somebody who was
    shown what there is removes it.
    """

    engine: Engine
    notes: Notes

    def lost(self) -> None:
        """The journal of this host was lost, or is new."""
        self._write(time.time())

    def proven(self) -> None:
        """Everything on the host belongs to a port."""
        self.approved()

    def approved(self) -> None:
        """Somebody looked."""
        if self._since():
            self._write(0.0)

    def starting(self) -> bool:
        """Whether not even a look makes sense yet."""
        return not self.engine.ready or bool(self.engine.recovery.waiting)

    def doubt(self) -> str:
        """Why nothing may be removed by itself, or the empty string."""
        return self._unfinished() or self._lost()

    def require(self, *, force: bool) -> None:
        """Refuse where what is wanted is not known.

        :param force: the caller takes responsibility for what a lost journal may have held
        :raises errors.GarbageIncomplete: it is not, and force does not help or was not used
        """
        reason = self._unfinished() or ("" if force else self._lost())
        if reason:
            raise errors.GarbageIncomplete(facts={"reason": reason}, stage="garbage")

    def _unfinished(self) -> str:
        if not self.engine.ready:
            return "not every port was looked at since the start"
        if self.engine.restrained:
            return "what would change after the upgrade is not approved (vifctl reconcile)"
        if self.engine.recovery.waiting:
            return f"ports are still to be taken back by {', '.join(self.engine.recovery.waiting)}"
        return ""

    def _lost(self) -> str:
        since = self._since()
        if not since:
            return ""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
        return f"the journal was lost, damaged or new at {at}, and may lack ports"

    def _since(self) -> float:
        return self.notes.note(INCOMPLETE, float) or 0.0

    def _write(self, value: float) -> None:
        try:
            self.notes.remember(INCOMPLETE, value)
        except errors.JournalError as error:
            LOG.warning("%s: %s", error.code, error.message)
