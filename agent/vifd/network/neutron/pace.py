"""How many ports are told of in one call, so that the server answers in time.

The server sets the status of one port after the other, at some 0.2 s of its time for each, and at
several seconds where it has much else to do. A call that it does not finish in time is work done
for nothing: all of its ports are told once more, and the server does all of it again.
"""

from __future__ import annotations

#: The part of the time-out that a call may be expected to take.
SHARE = 0.25
#: Seconds that a port is expected to take before anything was measured.
GUESS = 0.5


class Pace:
    """Not shared between threads that tell at once; a lost update costs a wrong guess.

    :param most: ports in one call at most
    :param timeout: seconds that the server has for an answer
    """

    def __init__(self, most: int, timeout: float) -> None:
        self._most = most
        self._timeout = timeout
        self._each = GUESS

    @property
    def size(self) -> int:
        """How many ports go into the next call."""
        return max(1, min(self._most, int(self._timeout * SHARE / self._each)))

    def answered(self, ports: int, seconds: float) -> None:
        """A call with so many ports took so long. Slower is believed at once, quicker by half: of a
        port that the server has as it was told, it makes little."""
        each = max(seconds / max(ports, 1), 0.001)
        self._each = max(each, (self._each + each) / 2)

    def unanswered(self, ports: int) -> None:
        """A call with so many ports was not answered in time: the next has half of them."""
        self._each = max(self._each, self._timeout * SHARE * 2 / max(ports, 1))
