"""Whether ports of instances are made ahead of nova's plug on this host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from vifd.model.plugger import Plugger

LOG = logging.getLogger(__name__)

#: What the option may say.
AUTO, YES, NO = "auto", "true", "false"


@dataclass(frozen=True)
class Verdict:
    """Whether they are.

    :param ahead: ``None``: nobody wants that to be found out
    :param why: as the end of a sentence
    """

    ahead: bool | None
    why: str


def verdict(option: str, plugger: Plugger | None) -> Verdict:
    """What follows from the option, and from who plugged a port of an instance here last. Pure.

    A port that is made ahead is opened by vifd-nova's word alone, so there must be somebody to say
    it.
    """
    if option != AUTO:
        return Verdict(True if option == YES else None, f"[network_neutron] prewire is {option}")
    if plugger is None:
        return Verdict(False, "vifd-nova has plugged nothing here yet")
    if not plugger.asks:
        return Verdict(
            False, f"another program than vifd-nova plugged {plugger.device or 'a port'} here last "
            f"(port {plugger.port}): they are again once vifd-nova calls",
        )  # fmt: skip
    return Verdict(True, f"nova plugs by vifd-nova here (port {plugger.port} was the last)")


@dataclass
class Prewiring:
    """What holds now, told when it changes.

    :param option: what it says
    :param plugger: who plugged last
    """

    option: Callable[[], str]
    plugger: Callable[[], Plugger | None]
    _told: bool | None = None
    _ever: bool = False

    def look(self) -> Verdict:
        """What holds now."""
        found = verdict(self.option(), self.plugger())
        if not self._ever or found.ahead is not self._told:
            self._ever, self._told = True, found.ahead
            LOG.info("neutron: %s", _sentence(found))
        return found

    def ahead(self) -> bool | None:
        """Whether ports are made ahead now; ``None``: and never."""
        return self.look().ahead

    @property
    def said(self) -> str:
        """The same, as a sentence."""
        return _sentence(verdict(self.option(), self.plugger()))


def _sentence(found: Verdict) -> str:
    are = "are made ahead" if found.ahead else "are not made ahead"
    return f"ports of instances {are} of nova's plug: {found.why}"
