"""How it stands with the service: what an operator is told of the way there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

#: Seconds of silence that are no problem yet: the bus is just being connected to.
GRACE = 5.0
#: What to look at, and what besides where it was never reached.
LOOK = "look at transport_url, the message bus and the server"
FIRST = ", and whether the unit lets vifd speak with other hosts (its drop-in other-hosts.conf)"


class Standing:
    """What is wrong. Written by the threads of the driver, read by any.

    :param plugin: whose switch is reported
    :ivar unusable: why this host is not reported
    :ivar unread: why what the service has cannot be read
    """

    def __init__(self, plugin: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.unusable = self.unread = ""
        self._plugin = plugin
        self._clock = clock
        #: since when no report was answered; ``None`` while they are
        self._silent: float | None = clock()
        self._said = ""
        self._met = False

    @property
    def next(self) -> str:
        """What to look at where the service does not answer."""
        return LOOK if self._met else LOOK + FIRST

    def lost(self, error: BaseException) -> str:
        """The service did not answer; the error in words."""
        self._said = clean(f"{type(error).__name__}: {error}")
        if self._silent is None:
            self._silent = self._clock()
        return self._said

    def answered(self) -> None:
        """It did."""
        self._silent, self._said, self._met = None, "", True

    def problem(self, *, stranger: bool) -> str:
        """Why nothing can be told or heard just now, and what next; empty while it can.

        :param stranger: somebody else is spoken to by this host's name
        """
        silent = self._silent
        if self.unusable:
            return (f"this host is not reported, so that nothing is bound here: {self.unusable}. "
                    f"Next: look at plugin {self._plugin} in vifctl plugin list")  # fmt: skip
        quiet = self._clock() - silent if silent is not None else 0.0
        if silent is not None and (quiet > GRACE or self._said):
            why = self._said or "the message bus is not reached yet"
            return (f"no answer for {quiet:.0f} s ({why}). Next: {self.next}; ports go on as they "
                    "are")  # fmt: skip
        if self.unread:
            return f"what it has cannot be read ({clean(self.unread)}). Next: look at its log"
        if stranger:
            return ("another agent is on the bus as this host; each undoes what the other says. "
                    "Next: give one of the two another [DEFAULT] host, or stop it")  # fmt: skip
        return ""


def clean(text: str) -> str:
    """Without what stands before a host in a URL: that may be a password."""
    return re.sub(r"//[^\s/]*@", "//***@", text)
