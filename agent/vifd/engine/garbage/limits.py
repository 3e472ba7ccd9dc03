"""How much may go at once without asking. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: So few may always go: a share of a handful says nothing.
FEW = 3


@dataclass(frozen=True)
class Limits:
    """The options about how much.

    :param count: orphans at once
    :param percent: of all ports and orphans of the host
    """

    count: int = 16
    percent: float = 20.0

    def exceeded(self, orphans: int, ports: int) -> str:
        """Why so many orphans may not go without asking, or the empty string.

        :param orphans: how many would go
        :param ports: how many ports the journal has
        """
        if orphans <= FEW and orphans <= self.count:
            return ""
        share = 100.0 * orphans / (orphans + ports)
        if orphans > self.count:
            return f"at most {self.count} go at once without asking"
        if share > self.percent:
            return f"they are {share:.0f} % of what vifd has here, at most {self.percent:g} % go"
        return ""
