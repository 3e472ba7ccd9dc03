"""What was read back of a port."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

#: A fact of a port that was made ahead of compute: the instance for which another program has
#: plugged it, on the port as it stands. It is told while that holds, and is nothing to repair.
PLUGGED = "plugged.instance"


class Evidence(Struct, frozen=True):
    """A fact that was read back.

    :param fact: a dotted name, e.g. ``device.mtu`` or ``flows.port``
    :param wanted: what it should be; ``None`` where the fact is only recorded
    :param have: what was read
    :param ok: whether it is as wanted
    :param source: where it was read: ``netlink``, ``ovsdb``, ``openflow``, ``trace``…
    :param repairable: whether plugging the port again can mend it; false for what lies with the
        guest or with an operator
    """

    fact: str
    have: Any
    wanted: Any = None
    ok: bool = True
    source: str = ""
    repairable: bool = True


def fact(name: str, have: Any, wanted: Any, source: str) -> Evidence:
    """A fact that must be equal to what is wanted."""
    return Evidence(name, have=have, wanted=wanted, ok=have == wanted, source=source)


class Report(Struct, frozen=True):
    """What one check of one port read back.

    :param at: seconds since the epoch
    :param passing: whether the port was found open; ``None`` where the plugin cannot tell. A port
        that was found closed is proven again before it is opened.
    :param severed: the fact that keeps everything from passing; empty where nothing does
    :param mending: the port is about to be plugged anew, so that nobody is told of it in between
    """

    evidence: list[Evidence]
    at: float = 0.0
    passing: bool | None = None
    severed: str = ""
    mending: bool = False

    @property
    def cut(self) -> bool:
        """Whether nothing passes the port, and that stays so for now."""
        return bool(self.severed) and not self.mending

    @property
    def findings(self) -> list[Evidence]:
        """The facts that are not as wanted, in the order of the path a frame takes."""
        return [e for e in self.evidence if not e.ok]

    @property
    def clean(self) -> bool:
        # asked ten times in a plug, of thirty facts each
        for one in self.evidence:  # noqa: SIM110 - twice as fast as a generator
            if not one.ok:
                return False
        return True

    @property
    def plugged_for(self) -> str:
        """The instance for which another program has plugged the port; empty where none has."""
        return next((str(e.have) for e in self.evidence if e.fact == PLUGGED), "")

    @property
    def beyond_repair(self) -> bool:
        """Whether something is not as wanted, and plugging again mends nothing of it."""
        return not self.clean and not any(e.repairable for e in self.findings)

    @property
    def without_its_guest(self) -> bool:
        """Whether the guest that runs with the port holds a device that is no more: whatever passes
        the port, nothing reaches the guest, and no plug mends that."""
        return any(finding.fact == "guest.device" for finding in self.findings)

    @property
    def unread(self) -> bool:
        """Whether what lets a port's frames pass could not be read, so that nobody knows."""
        return any(finding.fact == "flows" for finding in self.findings)

    @property
    def unanswered(self) -> bool:
        """Whether nothing differs but that the switch's database gives no answer: what was read of
        the rest is as wanted."""
        return not self.clean and all(f.fact == "ovsdb.connected" for f in self.findings)
