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
from vifd.errors import BackendError, VifError
from vifd.model.sets import SetKey, SetKind
from vifd.openflow.meters import Meter
from vifd.plugin import Host, SetChange
from vifd.policy.groups import Packet, Passes
from vifd.policy.rule import Direction
from vifd_ovs.bridge import cookies, shaping
from vifd_ovs.bridge.aims import groups_of, not_as_sent, not_as_set
from vifd_ovs.bridge.cachedflows import CachedFlows
from vifd_ovs.bridge.installed import Installed
from vifd_ovs.bridge.knownports import KnownPorts
from vifd_ovs.bridge.portrules import PortRules
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.ruleproofs import Probe
from vifd_ovs.bridge.rulereading import RuleReading
from vifd_ovs.bridge.rulesets import Rulesets
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


class Switch:
    """The flows of one bridge that bear our mark.

    :param host: drivers, and the ledger with the ports of all plugins
    :ivar readback: what was sent, and read back of it
    """

    def __init__(self, host: Host, bridge: str) -> None:
        self.bridge = bridge
        self._drivers: Drivers = host.drivers
        self._listening = host.announced is not None
        self._lock = threading.RLock()
        self._known = KnownPorts(host.ledger, bridge)
        self._cached = CachedFlows(host.drivers, bridge)
        self._wanted = WantedMeters(host, bridge)
        self._rules = Rulesets(host, self._wanted.can)
        self._port_rules = PortRules(self._rules)
        self._installed = Installed(
            host, bridge, self._known, self._rules, self._wanted, self._port_rules
        )
        self.readback = self._installed.readback
        self._rule_reading = RuleReading(
            host.drivers.openflow, bridge, self._rules, self.readback, self._lock
        )

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
            self._known.load()
            self.readback.begin(touched(changes.values())[0] if proven else ())
            if whole:
                self._installed.doubt()
            before = {port_id: self._known.now.asked(port_id) for port_id in changes}
            beside = self._known.now.concerned(changes)
            former = self._installed.met(changes)
            self._remember(changes)
            self._rules.members.update(changes)
            try:
                others = [self._known.now.get(i) for i in beside]
                touched_ = [*before.values(), *former, *changes.values(), *others]
                sent = self._installed.converge(touched_, set(reread))
            except Exception:
                # What the switch has now is unknown, so the next call compares everything. It shall
                # remove and close what this one could not, but open nothing.
                self._installed.doubt()
                self._remember({i: b for i, b in before.items() if not _less(changes[i], b)})
                raise
            finally:
                self.readback.end()
            if sent and any(_stays_open(before[i], after) for i, after in changes.items()):
                self._cached.changed()

    def foresee(self, ports: Mapping[str, SwitchPort]) -> None:
        """Make the flows of a change that is to come, while others work: they are kept where they
        are made, and sent by nobody."""
        with self._lock:
            self._known.load()
            coming = self._known.foresee(ports)
            try:
                self._installed.target(coming).entries(ports, touched(ports.values())[1])
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
            self._known.load()
            keys = {change.key for change in changes}
            networks = {key.id for key in keys if key.kind is SetKind.FORWARDING}
            port_ids = {port_id for change in changes for port_id in change.local}
            self._rules.members.told(changes)
            changed = {*keys, *self._rules.members.update(port_ids)}
            present = self._known.now.values()
            groups = self._rules.naming(changed, groups_of(p for p in present if p.judged))
            beyond = [p for p in present if p.network in networks]
            judged = [p for p in present if p.judged and not groups.isdisjoint(p.groups or ())]
            anew = self._port_rules.judged_anew(judged)
            if any(key.kind is SetKind.LOG for key in keys):
                told = self._port_rules.logged_anew(p for p in present if p.judged)
                judged, anew = [*judged, *told], [*anew, *told]
            if not (beyond or judged):
                return set()
            sent = self._installed.converge([*beyond, *anew], set(), groups)
            if sent:
                self._cached.changed()
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
        self._cached.settle()

    def sync(self) -> bool:
        """Bring everything to what the ledger wants if the switch may have lost flows, or if it was
        never compared.

        :returns: whether anything had to be changed
        """
        with self._lock:
            self._known.load()
            self._cached.reconnected()
            sent = self._installed.converge((), set())
            # also where nothing was sent: a switch that hung may not have come to it
            self._cached.changed()
            return sent

    def sweep(self, cookies_: Iterable[int]) -> set[int]:
        """Remove all flows that bear these cookies of ours, in one bundle; and those of ports that
        are remembered here, and that the ledger does not know any more.

        :returns: those that were left alone, because a port of this bridge has them
        """
        with self._lock:
            self._known.load()
            asked = {c for c in cookies_ if cookies.ours(c)}
            lost = self._known.lost(asked)
            if lost:
                self.apply(dict.fromkeys(lost))
            return self._installed.sweep(asked)

    def forget(self, port_ids: Iterable[str]) -> None:
        """Drop ports of a bridge that is gone, and its flows with it."""
        with self._lock:
            self._known.load()
            self._remember(dict.fromkeys(port_ids))
            self._installed.doubt()

    def get(self, port_id: str) -> SwitchPort | None:
        """What a port is at present, or shall be once its parent is there."""
        with self._lock:
            self._known.load()
            return self._known.now.asked(port_id)

    def effective(self, ports: Mapping[str, SwitchPort]) -> Mapping[str, SwitchPort]:
        """These ports, each sub-port as it is with the parents that are there."""
        if not any(port.sub for port in ports.values()):
            return ports
        with self._lock:
            self._known.load()
            seen = self._known.now.changed(ports)
            return {i: seen.get(i, port) for i, port in ports.items()}

    def neighbour(self, port: SwitchPort) -> SwitchPort | None:
        """Another open port of the same network, if there is one."""
        with self._lock:
            self._known.load()
            others = (p for p in self._known.now.members(port.tag) if p.is_open)
            return next((p for p in others if p.id != port.id), None)

    # --- security groups ---

    def unlike(self, groups: Iterable[str], *, anew: bool) -> dict[str, tuple[int, Difference]]:
        """Read the rules of security groups back: how many flows there are of each, and where they
        are not as they shall be.

        :param anew: also those that were read back as they shall be, and not touched since
        """
        return self._rule_reading.unlike(groups, anew=anew)

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
        return self._known.bearing(cookie)

    def logging_meters(self, numbers: Collection[int]) -> set[int]:
        """Those of these meters that limit what is logged of a port now."""
        with self._lock:
            return set(numbers) & self._wanted.of(self._known.now.values(), self._rules).keys()

    def logging(self, port: SwitchPort) -> Meter | None:
        """The meter of what is logged of a port, if anything is."""
        with self._lock:
            number = shaping.number(shaping.Kind.LOGGED, port.ofport)
            return self._wanted.of([port], self._rules).get(number)

    def probes(self, port: SwitchPort) -> list[Probe]:
        """Packets that tell whether the port's rules have their effect: of another rule each time
        that they were found to have it."""
        with self._lock:
            self._known.load()
            return self._port_rules.probes(port)

    def proven(self, port_ids: Iterable[str]) -> None:
        """The rules that were tried have their effect."""
        with self._lock:
            self._port_rules.proven(port_ids)

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
        self._cached.catch_up()
        with self._lock:
            self._known.load()
            self._installed.look()
            return self._installed.target(self._known.now.changed(ports))

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

    def _remember(self, changes: Mapping[str, SwitchPort | None]) -> None:
        self._known.remember(changes)
        self._port_rules.forget(i for i, port in changes.items() if port is None)


def _stays_open(before: SwitchPort | None, after: SwitchPort | None) -> bool:
    """Whether a port passes packets before a change and after it."""
    return before is not None and before.is_open and after is not None and after.is_open


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
