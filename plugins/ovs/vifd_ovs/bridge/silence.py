"""What of Open vSwitch gives no answer, and what a report says of a port then.

What cannot be read is neither missing nor right: it is a finding that no plug mends, and whoever
waits for the switch or its database is not kept waiting by every port.

* A database that hangs changes nothing: rows are as they were last, flows are read, repaired and
  proven as ever.
* Without a connection to its database the switch answers no questions about flows and lets nobody
  change them. The kernel's datapath and polling threads go on; ports that the switch's main thread
  serves, all taps of the userspace datapath, pass nothing.
* A switch that hangs moves nothing that is new to it, and nothing at all where the datapath is in
  its process. Nor does one that does not run: what it owes is made with one bundle when it is
  back, and until then there is nothing to mend anything with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from vifd.drivers import Drivers, absent, hangs, stopped
from vifd.errors import BackendUnavailable
from vifd.model import Evidence
from vifd.model.evidence import fact

#: Seconds that the switch has for a word before a port at rest is read; it may be busy.
PATIENCE = 3.0
#: Seconds that a database has for one, whose connection was lost.
PULSE = 0.3
#: Seconds that a switch which gave no answer has for one, before a port is worked on: others wait.
AGAIN = 1.0
_AFTERWARDS = (
    "see the log of ovs-vswitchd, and continue (SIGCONT) or restart it: vifd waits for it, and "
    "goes on by itself once it answers"
)
#: Said of what passes nothing: :mod:`vifd_ovs.bridge.meanings` reads it.
NOTHING_FORWARDED = "nothing is forwarded"
_NEVER = "not known: the database was never read since vifd was started"
_WITHOUT_DATABASE = (
    "not read: without its database the switch answers no questions about them, and lets nobody "
    "change them"
)
#: Read elsewhere, but held against what the database says.
_HELD_AGAINST = frozenset({"device.unheard"})


@dataclass(frozen=True)
class Silence:
    """Who gives no answer at the beginning of a reading.

    :param at_rest: the ports are not on the way of a plug
    :param database: the database cannot be reached
    :param gone: nobody is at its socket, so that the switch is without it as well
    :param never: nothing of it was read in this life of the daemon
    :param switch: why the switch says nothing; else empty
    """

    at_rest: bool = False
    database: bool = False
    gone: bool = False
    never: bool = False
    switch: str = ""

    @property
    def unread(self) -> bool:
        """Whether flows are not asked for."""
        return bool(self.switch) or self.never or self.gone

    def connected(self, drivers: Drivers) -> Evidence:
        """Of the database. A plug wrote what it had to, and read what came of it: what it made can
        be proven without."""
        have = drivers.ovsdb.connected()
        if not self.at_rest:
            return Evidence("ovsdb.connected", have, source="ovsdb")
        return replace(fact("ovsdb.connected", have, True, "ovsdb"), repairable=False)

    def flows(self, drivers: Drivers, bridge: str, *, polled: bool = False) -> Evidence:
        """Instead of the flows of a port.

        :param polled: a thread of its own moves the port's frames
        """
        there = drivers.ovsdb.bridge(bridge)
        inside = there is not None and there.datapath_type == "netdev"
        if self.switch:
            still = inside and (stopped(self.switch) or absent(self.switch))
            have = f"ovs-vswitchd: {self.switch}"
            if still:
                have += f"; {NOTHING_FORWARDED}: the datapath is in that process"
        elif self.never:
            have = _NEVER
        elif inside and not polled:
            have = f"{NOTHING_FORWARDED}: the switch serves this port only with its database"
        else:
            # as they were, because nobody can change them: no finding
            return Evidence("flows", _WITHOUT_DATABASE, source="openflow")
        return Evidence("flows", have, "readable", False, "pulse", repairable=False)

    def judged(self, facts: Iterable[Evidence]) -> list[Evidence]:
        """Facts of a port, those left out of which nothing is known; a plug that waits for an
        answer in vain mends nothing."""
        if not (self.never or self.switch or self.database):
            return list(facts)
        if self.never:
            facts = [f for f in facts if f.fact not in _HELD_AGAINST]
        return [replace(f, repairable=False) if self._in_vain(f) else f for f in facts]

    def _in_vain(self, found: Evidence) -> bool:
        told = found.source == "ovsdb" or found.fact in _HELD_AGAINST
        return not found.ok and (bool(self.switch) or (self.database and told))


def listen(drivers: Drivers, *, at_rest: bool, patience: float = PATIENCE) -> Silence:
    """Find out who gives no answer.

    :param at_rest: else nobody is asked: a plug waits within its deadline
    :param patience: seconds that the switch has
    """
    if not at_rest:
        return Silence()
    problem = drivers.tracer.ping(patience)
    switch = problem if hangs(problem) or absent(problem) else ""
    if drivers.ovsdb.connected():
        return Silence(at_rest, switch=switch)
    why = drivers.ovsdb.ping(PULSE)
    never = not drivers.ovsdb.facts()
    return Silence(at_rest, True, bool(why) and not hangs(why), never, switch)


class Answering:
    """What was last heard of the switch, so that no port waits for a switch that is known to hang:
    each of its steps would wait on its own, and all others on the lane behind it.

    Used by several threads; a word that is lost costs one question.
    """

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers
        self._hangs = False

    def pulse(self, timeout: float) -> list[Evidence]:
        """Who gives no answer within so many seconds, as findings."""
        found = pulse(self._drivers, timeout)
        self._hangs = any(e.fact == "flows" and hangs(str(e.have)) for e in found)
        return found

    def require(self) -> None:
        """Ask a switch that gave no answer once more; one that did is not asked.

        :raises BackendUnavailable: it still gives none
        """
        if not self._hangs:
            return
        problem = self._drivers.tracer.ping(AGAIN)
        self._hangs = hangs(problem)
        if self._hangs:
            facts = {"backend": "ovs-vswitchd", "problem": problem}
            raise BackendUnavailable(facts=facts, hint=_AFTERWARDS, stage="switch")

    @property
    def patience(self) -> float:
        """Seconds that the switch has for a word before ports at rest are read."""
        return AGAIN if self._hangs else PATIENCE


def pulse(drivers: Drivers, timeout: float) -> list[Evidence]:
    """Who gives no answer within so many seconds, as findings."""
    found = []
    if problem := drivers.ovsdb.ping(timeout):
        found.append(Evidence("ovsdb.connected", problem, True, False, "pulse"))
    if problem := drivers.tracer.ping(timeout):
        found.append(Evidence("flows", problem, "readable", False, "pulse"))
    return found
