"""What a bridge carries of ours, and how it comes to what is wanted.

Everything is compared with what was sent or read before, and what differs goes in one bundle.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from vifd.errors import BackendUnavailable, VifError
from vifd.plugin import Host
from vifd_ovs.bridge import cookies, tenancy
from vifd_ovs.bridge.aiming import Aiming
from vifd_ovs.bridge.aims import Aim, groups_of
from vifd_ovs.bridge.entries import Entries, Step
from vifd_ovs.bridge.fragments import Fragments
from vifd_ovs.bridge.knownports import KnownPorts
from vifd_ovs.bridge.metering import Metering
from vifd_ovs.bridge.portrules import PortRules
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.readback import Readback
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.rulesets import NO_RULES, Made, Rulesets
from vifd_ovs.bridge.straying import Straying
from vifd_ovs.bridge.target import Target, by_cookie, touched
from vifd_ovs.bridge.wantedmeters import WantedMeters

LOG = logging.getLogger(__name__)

#: How often a change is tried anew when the switch restarts in the middle of it.
_ATTEMPTS = 3


class Installed:
    """The flows and meters of one bridge that bear our mark. Its switch holds its lock whenever it
    calls.

    :param known: the bridge's ports
    :param wanted: the meters that they shall have
    :param port_rules: told of which rules the flows of a port were made
    :ivar readback: what was sent, and read back of it
    """

    def __init__(
        self, host: Host, bridge: str, known: KnownPorts, rules: Rulesets, wanted: WantedMeters,
        port_rules: PortRules,
    ) -> None:  # fmt: skip
        openflow, ovsdb = host.drivers.openflow, host.drivers.ovsdb
        self.readback = Readback(openflow, bridge)
        self._openflow, self._ovsdb = openflow, ovsdb
        self._bridge = bridge
        self._careful = host.careful
        self._identity = host.identity
        self._known = known
        self._rules = rules
        self._wanted = wanted
        self._port_rules = port_rules
        self._meters = Metering(openflow, bridge)
        self._fragments = Fragments(openflow, bridge)
        self._strays = Straying(bridge, host)
        self._aiming = Aiming(ovsdb, bridge, host.sets, rules, host.announced is not None)
        #: the flows that are there, by cookie, as far as is known
        self._there: dict[int, Entries] = {}
        #: the connection since which everything was compared
        self._seen: int | None = None

    # --- what is wanted ---

    def look(self) -> None:
        """Look for strays before anything was compared, so that nothing is held against their
        networks; where the flows cannot be read, whoever compares next looks."""
        generation = self._openflow.generation(self._bridge)
        if self._strays.looked == generation:
            return
        try:
            dump = self._openflow.dump(self._bridge, *cookies.OURS)
        except VifError as error:
            LOG.debug("bridge %s: not looked for ports that nobody knows: %s", self._bridge, error)
            return
        self._strays.find(by_cookie(dump), self._known.now, generation)

    def target(self, ports: Roster) -> Target:
        """What the bridge shall carry for these ports, and for those that nobody knows."""
        return self._aiming.target(ports.changed(self._strays.beside(ports)))

    def met(self, changes: Mapping[str, SwitchPort | None]) -> list[SwitchPort]:
        """The strays that these ports are; they are none from now on."""
        return self._strays.known(changes)

    # --- changes ---

    def doubt(self) -> None:
        """What the switch has is not known: the next change compares everything."""
        self._seen = None

    def sweep(self, asked: set[int]) -> set[int]:
        """Remove all flows that bear these cookies of ours, in one bundle.

        :returns: those that were left alone, because a port of this bridge has them
        """
        strayed = self._strays.drop(asked)
        everyone = self._known.now.changed(self._strays.beside(self._known.now))
        alive, tags = touched(everyone.values())
        alive |= {self._rules.cookie(g) for g in groups_of(everyone.values())}
        alive |= self._strays.rules()
        gone = sorted(asked - (alive if tags else set()))
        if gone:
            self.readback.sent += 1
            deleted = [(cookie, cookies.EXACT) for cookie in gone]
            self._openflow.apply(self._bridge, delete_cookies=deleted)
        for cookie in gone:
            self._there.pop(cookie, None)
        alone = {cookies.port_number(cookie) for cookie in gone}
        self._meters.sweep(alone - {p.ofport for p in everyone.values()})
        if strayed:
            # what is left of its network
            self.doubt()
            self.converge((), set())
        return asked - set(gone)

    def converge(
        self, ports: Iterable[SwitchPort | None], reread: set[str], groups: Collection[str] = ()
    ) -> bool:
        """Compare and change; again from the start when the connection broke in between.

        :param groups: security groups whose rules changed, besides those of the ports
        """
        ports = list(ports)
        changed = False
        tenancy.claim(self._ovsdb, self._bridge, self._identity)
        for attempt in range(_ATTEMPTS):
            generation = self._openflow.generation(self._bridge)
            whole, careful = generation != self._seen, self._careful()
            try:
                if whole and careful:
                    changed |= self._change_with_care(ports, groups)
                else:
                    changed |= self._change(ports, reread, groups, whole=whole)
            except BackendUnavailable:
                self._seen = None
                if attempt == _ATTEMPTS - 1 or not self._ovsdb.connected():
                    raise
                continue
            if self._openflow.generation(self._bridge) == generation:
                # What was not compared now is compared once care is no longer needed.
                self._seen = None if careful else generation
                return changed
        raise BackendUnavailable(
            facts={"backend": f"bridge {self._bridge}", "problem": "it restarts again and again"}
        )

    def _change_with_care(self, ports: list[SwitchPort | None], groups: Collection[str]) -> bool:
        """Change the flows of these ports, of their networks and of the bridge, as they are on the
        switch; those of others stay, whatever they are."""
        present = [p for p in ports if p is not None]
        if not present and not groups:
            return False
        self.look()
        self._meters.forget()
        self._meters.doubt(present, self._wanted.of(present, self._rules), every=True)
        self._there = self._read({self._rules.cookie(g) for g in groups})
        return self._change(ports, {p.id for p in present}, groups, whole=False)

    def _change(
        self, ports: list[SwitchPort | None], reread: set[str], groups: Collection[str], *,
        whole: bool,
    ) -> bool:  # fmt: skip
        """One comparison and one bundle."""
        secured = any(p.secured for p in self._known.now.values())
        self._fragments.show(secured=secured, again=whole or bool(reread))
        aim = self._aim_of_all() if whole else self._aim_of(ports, reread, groups)
        todo = aim.missed(self._there)
        meters = self._wanted.of(aim.ports, self._rules)
        metered = self._meters.bring(meters)
        if todo:
            LOG.debug("bridge %s: %d flows to add, %d to delete", self._bridge, len(todo.add),
                      len(todo.delete))  # fmt: skip
            self.readback.send(todo)
        for cookie in aim.scope:
            if aim.wanted.get(cookie):
                self._there[cookie] = aim.wanted[cookie]
            else:
                self._there.pop(cookie, None)
        metered |= self._meters.drop(None if whole else ports, meters, aim.wanted)
        self.readback.sent += metered
        self._port_rules.note(aim.ports)
        return bool(todo) or metered

    def _aim_of_all(self) -> Aim:
        """All flows of ours, after all of them were read."""
        generation = self._openflow.generation(self._bridge)
        self._there = by_cookie(self._openflow.dump(self._bridge, *cookies.OURS))
        self._meters.look()
        self._strays.find(self._there, self._known.now, generation)
        target = self.target(self._known.now)
        wanted = by_cookie(target.all(self._known.now)) | target.groups()
        kept = self._strays.rules() & self._there.keys() - wanted.keys()
        wanted |= self._strays.flows() | {cookie: self._there[cookie] for cookie in kept}
        return Aim(wanted, self._there.keys() | wanted.keys(), {}, [*self._known.now.values()])

    def _aim_of(
        self, ports: list[SwitchPort | None], reread: set[str], groups: Collection[str]
    ) -> Aim:
        """The flows of these ports, their networks and groups, after those in doubt were read."""
        target = self.target(self._known.now)
        scope, tags = touched(ports)
        doubtful = self._doubtful(ports, reread)
        for cookie in doubtful:
            self._there.pop(cookie, None)
        self._there |= self._read(doubtful)
        again = [p for p in ports if p is not None and p.id in reread]
        self._meters.doubt(again, self._wanted.of(again, self._rules))
        known = {p.id for p in ports if p is not None and p.id in self._known.now}
        wanted = target.entries(known, tags) if ports else {}
        strays = self._strays.rules()
        deltas: dict[int, Step] = {
            cookie: made
            for cookie, made in self._deltas({*groups, *groups_of(ports)}).items()
            if made is not NO_RULES or cookie not in strays
        }
        wanted |= {cookie: made.entries for cookie, made in deltas.items()}
        scope = scope | deltas.keys() if ports else {*deltas}
        deltas |= {cookies.network(t): step for t in tags if (step := target.step(t)) is not None}
        return Aim(wanted, scope, deltas, [self._known.now[i] for i in known])

    def _read(self, cookies_: Collection[int]) -> dict[int, Entries]:
        return by_cookie(
            f for flows in self.readback.installed(cookies_).flows.values() for f in flows
        )

    def _deltas(self, groups: Collection[str]) -> dict[int, Made]:
        """The rules of groups as they shall be: nothing of one that no port has any more."""
        if not groups:
            return {}
        used = groups_of(p for p in self._known.now.values() if p.judged)
        return {
            self._rules.cookie(g): (self._rules.made(g) if g in used else None) or NO_RULES
            for g in groups
        }

    def _doubtful(self, ports: Iterable[SwitchPort | None], reread: set[str]) -> set[int]:
        doubtful = [p for p in ports if p is not None and p.id in reread]
        rules = {self._rules.cookie(g) for g in groups_of(doubtful)}
        return touched(doubtful)[0] | rules if doubtful else set()
