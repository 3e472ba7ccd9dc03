"""One bridge and the flows that are ours on it.

The plugins that share a bridge share one :class:`Switch`, whatever lanes they run on. It knows
every port that passed through it, takes the others from the ledger, and changes only what differs:
after vswitchd lost its flows everything comes back in one bundle, and after a restart of the daemon
with nothing changed nothing is sent at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from weakref import WeakValueDictionary

from vifd.drivers import Drivers, PortSpec
from vifd.errors import BackendError, BackendUnavailable, VifError
from vifd.model.sets import SetKey, SetKind
from vifd.openflow.meters import Meter
from vifd.plugin import Host, SetChange
from vifd.policy.groups import Packet, Passes
from vifd.policy.logged import Logged
from vifd.policy.rule import Direction
from vifd_ovs.bridge import cookies, shaping, tenancy, wiring
from vifd_ovs.bridge.admission import Policy
from vifd_ovs.bridge.aiming import Aiming
from vifd_ovs.bridge.aims import Aim, groups_of, not_as_sent, not_as_set
from vifd_ovs.bridge.entries import Entries, Step
from vifd_ovs.bridge.fragments import Fragments
from vifd_ovs.bridge.metering import Metering
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.readback import Readback
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.ruleproofs import Probe
from vifd_ovs.bridge.rulesets import NO_RULES, Made, Rulesets
from vifd_ovs.bridge.straying import Straying
from vifd_ovs.bridge.target import (
    Difference,
    Target,
    by_cookie,
    difference,
    port_flows,
    touched,
)
from vifd_ovs.bridge.wantedmeters import WantedMeters

LOG = logging.getLogger(__name__)

#: How often a change is tried anew when the switch restarts in the middle of it.
_ATTEMPTS = 3
#: How many removed ports are remembered before the ledger is asked whether it forgot them too.
_REMEMBERED = 256


class Switch:
    """The flows of one bridge that bear our mark.

    :param host: drivers, and the ledger with the ports of all plugins
    :ivar readback: what was sent, and read back of it
    """

    def __init__(self, host: Host, bridge: str) -> None:
        self.bridge = bridge
        self._ledger = host.ledger
        self._drivers: Drivers = host.drivers
        self._careful = host.careful
        self._identity = host.identity
        self._listening = host.announced is not None
        self._sets = host.sets
        self._lock = threading.RLock()
        self._ports = Roster()
        self._removed: set[str] = set()
        self._installed: dict[int, Entries] = {}
        self._wanted = WantedMeters(host, bridge)
        self._rules = Rulesets(host, self._wanted.can)
        #: by port: what was logged of it when its flows were made
        self._logged: dict[str, Logged] = {}
        #: ports by their cookies, and the roster that they are of
        self._by_cookie: tuple[Roster, dict[int, SwitchPort]] = (self._ports, {})
        self._meters = Metering(host.drivers.openflow, bridge)
        self._fragments = Fragments(host.drivers.openflow, bridge)
        #: by port: what its groups came to when its flows were made
        self._policies: dict[str, Policy | None] = {}
        #: by cookie: the rules that were read back as they shall be, and when
        self._proven: dict[int, tuple[int, Entries]] = {}
        #: by port: which of its rules are tried at the next look
        self._turns: dict[str, int] = {}
        self._strays = Straying(bridge, host)
        self._aiming = Aiming(host.drivers.ovsdb, bridge, host.sets, self._rules, self._listening)
        self._seen: int | None = None
        self._loaded = False
        self.readback = Readback(host.drivers.openflow, bridge)
        #: ports as they were, ports that are to change, and all of them then
        self._foreseen: tuple[Roster, Mapping[str, SwitchPort], Roster] | None = None

    # --- changes ---

    def apply(
        self,
        changes: Mapping[str, SwitchPort | None],
        *,
        reread: Iterable[str] = (),
        whole: bool = False,
        proven: bool = False,
    ) -> None:
        """Bring the flows of these ports and of their networks to what is wanted, in one bundle.

        :param changes: per port id what it shall be; ``None`` removes it
        :param reread: ports whose flows another program may have changed: read before they are
            compared
        :param whole: compare everything that bears our mark, whoever it belongs to
        :param proven: :meth:`prove` follows: what it reads is read in the exchange that commits
        :raises BackendError: nothing was changed
        """
        with self._lock:
            self._load()
            self.readback.begin(touched(changes.values())[0] if proven else ())
            if whole:
                self._seen = None
            before = {port_id: self._ports.asked(port_id) for port_id in changes}
            beside = self._ports.concerned(changes)
            former = self._strays.known(changes)
            self._remember(changes)
            self._rules.members.update(changes)
            try:
                others = [self._ports.get(i) for i in beside]
                touched_ = [*before.values(), *former, *changes.values(), *others]
                self._converge(touched_, set(reread))
            except Exception:
                # What the switch has now is unknown, so the next call compares everything. It shall
                # remove and close what this one could not, but open nothing.
                self._seen = None
                self._remember({i: b for i, b in before.items() if not _less(changes[i], b)})
                raise
            finally:
                self.readback.end()

    def foresee(self, ports: Mapping[str, SwitchPort]) -> None:
        """Make the flows of a change that is to come, while others work: they are kept where they
        are made, and sent by nobody."""
        with self._lock:
            self._load()
            coming = self._ports.changed(ports)
            self._foreseen = self._ports, ports, coming
            try:
                self._target(coming).entries(ports, touched(ports.values())[1])
            except VifError as error:
                # it is met, and told, when it comes to it
                LOG.debug("bridge %s: %s", self.bridge, error)

    def refresh(self, changes: Collection[SetChange]) -> set[str]:
        """Bring what shared sets made here to what they are now, in one bundle, at a cost in
        proportion to the change.

        :returns: the ports of the bridge that are concerned
        :raises BackendError: nothing was changed
        """
        with self._lock:
            self._load()
            keys = {change.key for change in changes}
            networks = {key.id for key in keys if key.kind is SetKind.FORWARDING}
            port_ids = {port_id for change in changes for port_id in change.local}
            self._rules.members.told(changes)
            changed = {*keys, *self._rules.members.update(port_ids)}
            present = self._ports.values()
            groups = self._rules.naming(changed, groups_of(p for p in present if p.judged))
            beyond = [p for p in present if p.network in networks]
            judged = [p for p in present if p.judged and not groups.isdisjoint(p.groups or ())]
            anew = [p for p in judged if self._rules.policy(p) != self._policies.get(p.id)]
            if any(key.kind is SetKind.LOG for key in keys):
                # of a port that nothing was made for since the start it is not known
                mine = [p for p in present if p.judged]
                told = [p for p in mine if self._rules.logged(p) != self._logged.get(p.id)]
                judged, anew = [*judged, *told], [*anew, *told]
            if not (beyond or judged):
                return set()
            sent = self._converge([*beyond, *anew], set(), groups)
            # the rules may have been brought here by another plugin's call, for its ports as well
            return {p.id for p in (*judged, *(beyond if sent else ()))}

    def retag(self, tags: Mapping[str, int | None]) -> None:
        """Bring ports of this bridge to another VLAN; one that is gone is no error."""
        ovsdb = self._drivers.ovsdb
        rows = [row for name in tags if (row := ovsdb.port(name)) and row.tag != tags[name]]
        specs = [PortSpec(row.name, tag=tags[row.name], type=row.type) for row in rows]
        if specs:
            ovsdb.ensure_ports(self.bridge, specs)

    def settle(self) -> None:
        """Wait until packets go by the flows that were sent; a switch that cannot tell is not
        waited for."""
        try:
            self._drivers.tracer.settle()
        except VifError as error:
            LOG.debug("bridge %s: not known when its flows are in force: %s", self.bridge, error)

    def sync(self) -> bool:
        """Bring everything to what the ledger wants if the switch may have lost flows, or if it was
        never compared.

        :returns: whether anything had to be changed
        """
        with self._lock:
            self._load()
            return self._converge((), set())

    def sweep(self, cookies_: Iterable[int]) -> set[int]:
        """Remove all flows that bear these cookies of ours, in one bundle; and those of ports that
        are remembered here, and that the ledger does not know any more.

        :returns: those that were left alone, because a port of this bridge has them
        """
        with self._lock:
            self._load()
            asked = {c for c in cookies_ if cookies.ours(c)}
            known = self._ledger()
            lost = [i for i, p in self._ports.items() if p.cookie in asked and i not in known]
            if lost:
                self.apply(dict.fromkeys(lost))
            strayed = self._strays.drop(asked)
            everyone = self._ports.changed(self._strays.beside(self._ports))
            alive, tags = touched(everyone.values())
            alive |= {self._rules.cookie(g) for g in groups_of(everyone.values())}
            alive |= self._strays.rules()
            gone = sorted(asked - (alive if tags else set()))
            if gone:
                self.readback.sent += 1
                self._drivers.openflow.apply(
                    self.bridge, delete_cookies=[(cookie, cookies.EXACT) for cookie in gone]
                )
            for cookie in gone:
                self._installed.pop(cookie, None)
            alone = {cookies.port_number(cookie) for cookie in gone}
            self._meters.sweep(alone - {p.ofport for p in everyone.values()})
            if strayed:
                # what is left of its network
                self._seen = None
                self._converge((), set())
            return asked - set(gone)

    def forget(self, port_ids: Iterable[str]) -> None:
        """Drop ports of a bridge that is gone, and its flows with it."""
        with self._lock:
            self._load()
            self._remember(dict.fromkeys(port_ids))
            self._seen = None

    def get(self, port_id: str) -> SwitchPort | None:
        """What a port is at present, or shall be once its parent is there."""
        with self._lock:
            self._load()
            return self._ports.asked(port_id)

    def effective(self, ports: Mapping[str, SwitchPort]) -> Mapping[str, SwitchPort]:
        """These ports, each sub-port as it is with the parents that are there."""
        if not any(port.sub for port in ports.values()):
            return ports
        with self._lock:
            self._load()
            seen = self._ports.changed(ports)
            return {i: seen.get(i, port) for i, port in ports.items()}

    def neighbour(self, port: SwitchPort) -> SwitchPort | None:
        """Another open port of the same network, if there is one."""
        with self._lock:
            self._load()
            others = (p for p in self._ports.members(port.tag) if p.is_open)
            return next((p for p in others if p.id != port.id), None)

    # --- security groups ---

    def unlike(self, groups: Iterable[str], *, anew: bool) -> dict[str, tuple[int, Difference]]:
        """Read the rules of security groups back: how many flows there are of each, and where they
        are not as they shall be.

        :param anew: also those that were read back as they shall be, and not touched since
        """
        with self._lock:
            generation = self._drivers.openflow.generation(self.bridge)
            wanted = {self._rules.cookie(g): self._rules.entries(g) for g in groups}
            names = {self._rules.cookie(g): g for g in groups}
        found: dict[str, tuple[int, Difference]] = {}
        for cookie, entries in wanted.items():
            if not anew and self._stands(cookie, generation, entries):
                found[names[cookie]] = (len(entries), Difference([], []))
        stale = [cookie for cookie in wanted if names[cookie] not in found]
        for cookie, flows in self.readback.installed(stale).flows.items():
            have = by_cookie(flows).get(cookie, {})
            todo = difference({cookie: have}, {cookie: wanted[cookie]}, [cookie])
            found[names[cookie]] = (len(flows), todo)
            if todo:
                self._proven.pop(cookie, None)
            else:
                self._proven[cookie] = (generation, wanted[cookie])
        return found

    def _stands(self, cookie: int, generation: int, entries: Entries) -> bool:
        proven = self._proven.get(cookie)
        return proven is not None and proven[0] == generation and proven[1] is entries

    def judge(
        self, port: SwitchPort, packet: Packet, groups: Collection[str] | None = None
    ) -> Passes | None:
        """Which rule lets the first packet of a connection of a port pass, if any does.

        :param groups: a rule of which; of all by default
        """
        with self._lock:
            return self._rules.judge(port, packet, groups)

    def port_of(self, cookie: int) -> SwitchPort | None:
        """Whose cookie this is; without the lock, as a change may hold it for long."""
        ports, (known, index) = self._ports, self._by_cookie
        if known is not ports:
            index = {port.cookie: port for port in ports.values()}
            self._by_cookie = (ports, index)
        return index.get(cookie)

    def logging_meters(self, numbers: Collection[int]) -> set[int]:
        """Those of these meters that limit what is logged of a port now."""
        with self._lock:
            return set(numbers) & self._wanted.of(self._ports.values(), self._rules).keys()

    def logging(self, port: SwitchPort) -> Meter | None:
        """The meter of what is logged of a port, if anything is."""
        with self._lock:
            number = shaping.number(shaping.Kind.LOGGED, port.ofport)
            return self._wanted.of([port], self._rules).get(number)

    def probes(self, port: SwitchPort) -> list[Probe]:
        """Packets that tell whether the port's rules have their effect: of another rule each time
        that they were found to have it."""
        with self._lock:
            self._load()
            return self._rules.probes(port, self._turns.get(port.id, 0))

    def proven(self, port_ids: Iterable[str]) -> None:
        """The rules that were tried have their effect."""
        with self._lock:
            for port_id in port_ids:
                self._turns[port_id] = self._turns.get(port_id, 0) + 1

    def lacking(self, port: SwitchPort, direction: Direction) -> list[SetKey]:
        """The sets without which a direction of a port is closed."""
        with self._lock:
            return self._rules.missing(port, direction)

    # --- reading back ---

    def meters(self, ports: Iterable[SwitchPort]) -> dict[int, Meter]:
        """The meters of ports as the switch has them; it is not asked for ports without."""
        numbers = self._wanted.of(ports, self._rules)
        return self._drivers.openflow.meters(self.bridge, numbers) if numbers else {}

    def wanted(self, ports: Mapping[str, SwitchPort]) -> Target:
        """What the bridge shall carry if these ports are as given and the others as known."""
        with self._lock:
            self._load()
            self._look()
            return self._target(self._ports.changed(ports))

    def prove(self, ports: Iterable[SwitchPort]) -> dict[str, BackendError]:
        """Read the flows of ports back, and with them those of their networks and of the bridge;
        where those of a port are not what it is made of, say so."""
        failed = {}
        ports = list(self.effective({port.id: port for port in ports}).values())
        installed = self.readback.proving(touched(ports)[0] if ports else ())
        rules = self.unlike(sorted(groups_of(ports)), anew=False)
        for port in ports:
            have = by_cookie(installed.flows[port.cookie])
            with self._lock:
                wanted = port_flows(port, self._rules, listening=self._listening)
            todo = difference(have, by_cookie(wanted), [port.cookie])
            own = [rules[g][1] for g in (port.groups or ()) if port.judged]
            bad = next(filter(None, (todo, *own)), None)
            if bad is not None:
                failed[port.id] = not_as_sent(self.bridge, bad)
        meters = self.meters(ports)
        for port in ports:
            unset = not_as_set(self.bridge, self._wanted.of([port], self._rules), meters)
            if unset is not None:
                failed.setdefault(port.id, unset)
        return failed

    # --- how ---

    def _load(self) -> None:
        """Take ports from the ledger that did not pass through this object: after a restart."""
        if self._loaded:
            return
        found: dict[str, SwitchPort] = {}
        for port_id, entry in self._ledger().items():
            names = wiring.read_if(entry.wiring)
            known = port_id in self._ports or port_id in self._removed
            if names is None or not names.plugged or names.bridge != self.bridge or known:
                continue
            found[port_id] = switch_port(entry.attachment, names, opened=entry.open)
        self._ports = self._ports.changed(found)
        self._loaded = True

    def _remember(self, changes: Mapping[str, SwitchPort | None]) -> None:
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen[0] is self._ports and foreseen[1] == changes:
            self._ports = foreseen[2]
        else:
            self._ports = self._ports.changed(changes)
        gone = {port_id for port_id, port in changes.items() if port is None}
        for port_id in gone:
            self._turns.pop(port_id, None)
            self._logged.pop(port_id, None)
            self._policies.pop(port_id, None)
        self._removed |= gone
        self._removed -= {port_id for port_id, port in changes.items() if port is not None}
        if len(self._removed) > _REMEMBERED:
            self._removed &= self._ledger().keys()

    def _look(self) -> None:
        """Look for strays before anything was compared, so that nothing is held against their
        networks; where the flows cannot be read, whoever compares next looks."""
        generation = self._drivers.openflow.generation(self.bridge)
        if self._strays.looked == generation:
            return
        try:
            dump = self._drivers.openflow.dump(self.bridge, *cookies.OURS)
        except VifError as error:
            LOG.debug("bridge %s: not looked for ports that nobody knows: %s", self.bridge, error)
            return
        self._strays.find(by_cookie(dump), self._ports, generation)

    def _target(self, ports: Roster) -> Target:
        return self._aiming.target(ports.changed(self._strays.beside(ports)))

    def _converge(
        self, ports: Iterable[SwitchPort | None], reread: set[str], groups: Collection[str] = ()
    ) -> bool:
        """Compare and change; again from the start when the connection broke in between.

        :param groups: security groups whose rules changed, besides those of the ports
        """
        ports = list(ports)
        changed = False
        tenancy.claim(self._drivers.ovsdb, self.bridge, self._identity)
        for attempt in range(_ATTEMPTS):
            generation = self._drivers.openflow.generation(self.bridge)
            whole, careful = generation != self._seen, self._careful()
            try:
                if whole and careful:
                    changed |= self._change_with_care(ports, groups)
                else:
                    changed |= self._change(ports, reread, groups, whole=whole)
            except BackendUnavailable:
                self._seen = None
                if attempt == _ATTEMPTS - 1 or not self._drivers.ovsdb.connected():
                    raise
                continue
            if self._drivers.openflow.generation(self.bridge) == generation:
                # What was not compared now is compared once care is no longer needed.
                self._seen = None if careful else generation
                return changed
        raise BackendUnavailable(
            facts={"backend": f"bridge {self.bridge}", "problem": "it restarts again and again"}
        )

    def _change_with_care(self, ports: list[SwitchPort | None], groups: Collection[str]) -> bool:
        """Change the flows of these ports, of their networks and of the bridge, as they are on the
        switch; those of others stay, whatever they are."""
        present = [p for p in ports if p is not None]
        if not present and not groups:
            return False
        self._look()
        self._meters.forget()
        self._meters.doubt(present, self._wanted.of(present, self._rules), every=True)
        self._installed = self._read({self._rules.cookie(g) for g in groups})
        return self._change(ports, {p.id for p in present}, groups, whole=False)

    def _change(
        self, ports: list[SwitchPort | None], reread: set[str], groups: Collection[str], *,
        whole: bool,
    ) -> bool:  # fmt: skip
        """One comparison and one bundle."""
        secured = any(p.secured for p in self._ports.values())
        self._fragments.show(secured=secured, again=whole or bool(reread))
        aim = self._aim_of_all() if whole else self._aim_of(ports, reread, groups)
        todo = aim.missed(self._installed)
        meters = self._wanted.of(aim.ports, self._rules)
        metered = self._meters.bring(meters)
        if todo:
            LOG.debug("bridge %s: %d flows to add, %d to delete", self.bridge, len(todo.add),
                      len(todo.delete))  # fmt: skip
            self.readback.send(todo)
        for cookie in aim.scope:
            if aim.wanted.get(cookie):
                self._installed[cookie] = aim.wanted[cookie]
            else:
                self._installed.pop(cookie, None)
        metered |= self._meters.drop(None if whole else ports, meters, aim.wanted)
        self.readback.sent += metered
        self._note_policies(self._ports.values() if whole else ports)
        return bool(todo) or metered

    def _aim_of_all(self) -> Aim:
        """All flows of ours, after all of them were read."""
        generation = self._drivers.openflow.generation(self.bridge)
        self._installed = by_cookie(self._drivers.openflow.dump(self.bridge, *cookies.OURS))
        self._meters.look()
        self._strays.find(self._installed, self._ports, generation)
        target = self._target(self._ports)
        wanted = by_cookie(target.all(self._ports)) | target.groups()
        kept = self._strays.rules() & self._installed.keys() - wanted.keys()
        wanted |= self._strays.flows() | {cookie: self._installed[cookie] for cookie in kept}
        return Aim(wanted, self._installed.keys() | wanted.keys(), {}, [*self._ports.values()])

    def _aim_of(
        self, ports: list[SwitchPort | None], reread: set[str], groups: Collection[str]
    ) -> Aim:
        """The flows of these ports, their networks and groups, after those in doubt were read."""
        target = self._target(self._ports)
        scope, tags = touched(ports)
        doubtful = self._doubtful(ports, reread)
        for cookie in doubtful:
            self._installed.pop(cookie, None)
        self._installed |= self._read(doubtful)
        again = [p for p in ports if p is not None and p.id in reread]
        self._meters.doubt(again, self._wanted.of(again, self._rules))
        known = {p.id for p in ports if p is not None and p.id in self._ports}
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
        return Aim(wanted, scope, deltas, [self._ports[i] for i in known])

    def _note_policies(self, ports: Iterable[SwitchPort | None]) -> None:
        for port in ports:
            if port is not None and port.groups is not None and port.id in self._ports:
                self._policies[port.id] = self._rules.policy(port)
                self._logged[port.id] = self._rules.logged(port)

    def _read(self, cookies_: Collection[int]) -> dict[int, Entries]:
        return by_cookie(
            f for flows in self.readback.installed(cookies_).flows.values() for f in flows
        )

    def _deltas(self, groups: Collection[str]) -> dict[int, Made]:
        """The rules of groups as they shall be: nothing of one that no port has any more."""
        if not groups:
            return {}
        used = groups_of(p for p in self._ports.values() if p.judged)
        return {
            self._rules.cookie(g): (self._rules.made(g) if g in used else None) or NO_RULES
            for g in groups
        }

    def _doubtful(self, ports: Iterable[SwitchPort | None], reread: set[str]) -> set[int]:
        doubtful = [p for p in ports if p is not None and p.id in reread]
        rules = {self._rules.cookie(g) for g in groups_of(doubtful)}
        return touched(doubtful)[0] | rules if doubtful else set()


def _less(after: SwitchPort | None, before: SwitchPort | None) -> bool:
    """Whether a change takes something away."""
    return after is None or (before is not None and after.gate < before.gate)


_switches: WeakValueDictionary[tuple[int, str], Switch] = WeakValueDictionary()
_switches_lock = threading.Lock()


def switch_of(host: Host, bridge: str) -> Switch:
    """The one object for a bridge of this host; it lives as long as somebody holds it."""
    with _switches_lock:
        # a switch holds its driver, so the identity is not reused while the entry lives
        key = (id(host.drivers.openflow), bridge)
        switch = _switches.get(key)
        if switch is None:
            switch = _switches[key] = Switch(host, bridge)
        return switch
