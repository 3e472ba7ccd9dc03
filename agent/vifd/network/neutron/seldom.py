"""When something is looked at again that nobody tells of: soon at first, then more and more
seldom."""

from __future__ import annotations

from collections.abc import Collection

#: Seconds between two looks at most.
LONGEST = 600.0


class Seldom:
    """Not shared between threads.

    :param first: seconds before the first look, and between that and the second
    """

    def __init__(self, first: float) -> None:
        self._first = first
        #: by what is looked at: when it is, and the pause after that
        self._due: dict[str, tuple[float, float]] = {}

    def due(self, present: Collection[str], now: float) -> set[str]:
        """What is to be looked at now.

        :param present: all that there is; what is not among it any more begins anew
        """
        known = {i: self._due.get(i, (now + self._first, self._first)) for i in present}
        found = {i for i, (at, _) in known.items() if at <= now}
        for i in found:
            pause = known[i][1]
            known[i] = now + pause, min(2 * pause, LONGEST)
        self._due = known
        return found
