"""How many orphans go at once.

A portion costs the switch twice: once for the portion, as it looks at all of its ports after each
change, and once for each port in it. A port that is asked for meanwhile waits for the portion, so
portions are small; but where the first part is the larger one, on a switch with many ports, smaller
portions would only be more of them, and the switch would spend most of its time on looking.
"""

from __future__ import annotations

#: Orphans in the smallest portion, in the first, and in the largest.
LEAST, FIRST, LARGEST = 2, 4, 64
#: Seconds that a portion should take, where a portion alone does not cost half of that. A switch
#: may be busy for 15 ms with one port, or for none with one that has no device.
TARGET = 0.04
#: Seconds beyond which a portion is not made larger for that: a switch in user space forwards
#: nothing meanwhile, and the kernel keeps about 90 frames for it.
LONG = 0.3
#: Of what was measured, so much still counts after one portion more.
_MEMORY = 0.8
#: What one orphan is taken to cost as long as all portions were of one size, in seconds, and how
#: many measurements that is worth.
_GUESS, _TRUST = 0.015, 0.5
#: A portion that took so many times what was expected begins a new line: these are other orphans.
_SURPRISE = 2.0


class Throttle:
    """The size of the next portion, by what those before it took: a straight line through them.

    :ivar size: how many orphans it has
    """

    def __init__(self) -> None:
        self.size = FIRST
        self._weight = self._sizes = self._times = self._squares = self._products = 0.0

    def took(self, size: int, seconds: float) -> None:
        """A portion was removed."""
        if self._weight and seconds > TARGET and seconds > _SURPRISE * self._expected(size):
            self._weight = self._sizes = self._times = self._squares = self._products = 0.0
        self._weight = self._weight * _MEMORY + 1
        self._sizes = self._sizes * _MEMORY + size
        self._times = self._times * _MEMORY + seconds
        self._squares = self._squares * _MEMORY + size * size
        self._products = self._products * _MEMORY + size * seconds
        fixed, each = self._costs()
        allowed = max(TARGET, min(2 * fixed, max(LONG, 1.25 * fixed)))
        wanted = int((allowed - fixed) / each)
        self.size = max(LEAST, min(LARGEST, 2 * self.size, wanted))

    def _expected(self, size: int) -> float:
        fixed, each = self._costs()
        return fixed + each * size

    def _costs(self) -> tuple[float, float]:
        """Seconds for a portion, and for each orphan in it."""
        size, time = self._sizes / self._weight, self._times / self._weight
        spread = max(0.0, self._squares / self._weight - size * size)
        common = self._products / self._weight - size * time
        guess = min(_GUESS, time / size)
        each = (common + _TRUST * guess) / (spread + _TRUST)
        each = min(max(each, 1e-6), max(time / size, 1e-6))
        return max(0.0, time - each * size), each
