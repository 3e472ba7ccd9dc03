"""Where the tunnels of this host's networks lead, as shared sets.

With l2population the service tells who is behind each endpoint, network by network; without it
every endpoint of the type is flooded to. What it told before stays in force until it has told anew:
the service sends a whole list when it is asked to, and does not say where the list ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd.engine.setdesk import SetDesk
from vifd.model.sets import Endpoint, Forwarding, Reachable, SetKey, SetKind
from vifd.network.neutron.bus import Refused, Unanswered
from vifd.network.neutron.objects import Plain, entries, mac
from vifd.network.neutron.server import Server
from vifd.network.neutron.translate import OWNER

LOG = logging.getLogger(__name__)

#: Network types whose frames leave a host by tunnels.
OVERLAYS = ("vxlan", "gre", "geneve")
#: Stands for "frames to nobody in particular go there".
FLOOD = "00:00:00:00:00:00"
#: Seconds after which a list that was asked for is taken to be here as a whole.
SETTLED = 5.0
REQUEST = "neutron"

#: Per address of an endpoint, per MAC address behind it, its IP addresses.
Table = dict[str, dict[str, set[str]]]


@dataclass
class Told:
    """What the service told of one network.

    :param table: what is in force
    :param coming: what it told since it was asked for all of it; until when that may take
    """

    table: Table = field(default_factory=dict)
    coming: Table | None = None
    until: float = 0.0

    @property
    def tables(self) -> list[Table]:
        return [self.table] if self.coming is None else [self.table, self.coming]


def added(table: Table, endpoint: str, told: Iterable[Any]) -> None:
    """Note entries as the service writes them: a MAC address and an IP address."""
    there = table.setdefault(endpoint, {})
    for entry in told:
        address, ip = mac(entry[0]), str(entry[1])
        if address == FLOOD:
            continue
        for other, elsewhere in table.items():
            if other != endpoint:
                elsewhere.pop(address, None)
        there.setdefault(address, set()).add(ip)


def removed(table: Table, endpoint: str, told: Iterable[Any]) -> None:
    """Take entries away; the endpoint goes with the flooding to it."""
    there = table.get(endpoint)
    if there is None:
        return
    for entry in told:
        address, ip = mac(entry[0]), str(entry[1])
        if address == FLOOD:
            table.pop(endpoint, None)
            continue
        addresses = there.get(address, set())
        addresses.discard(ip)
        if not addresses:
            there.pop(address, None)


def behind(ports: Iterable[Plain], hosts: Mapping[str, str]) -> Table:
    """Who is behind each endpoint, as the service would tell it: ports that work.

    :param ports: all of a network, as objects
    :param hosts: by host, its endpoint
    """
    table: Table = {}
    for port in ports:
        active = (b.get("host") for b in entries(port, "bindings") if b.get("status") == "ACTIVE")
        endpoint = hosts.get(str(next(active, "")))
        if endpoint is not None and port.get("status") == "ACTIVE":
            addresses = [str(ip.get("ip_address")) for ip in entries(port, "fixed_ips")]
            added(table, endpoint, [(port.get("mac_address"), ip) for ip in addresses])
    return table


def forwarding(network: str, table: Table) -> Forwarding:
    """The shared set."""
    return Forwarding(
        id=network,
        endpoints=tuple(
            Endpoint(
                address=address,
                ports=tuple(
                    Reachable(mac_address=m, ip_addresses=tuple(sorted(ips)))
                    for m, ips in sorted(behind.items())
                ),
            )
            for address, behind in sorted(table.items())
        ),
    )


def table_of(body: Forwarding) -> Table:
    """What a shared set says."""
    return {
        e.address: {p.mac_address: set(p.ip_addresses) for p in e.ports} for e in body.endpoints
    }


class Tunnels:
    """The forwarding of the tunnel networks that have ports here. Not shared between threads.

    :param types: of the tunnels that this host has
    :param local: the address where they end here
    :param populated: whether the service tells who is behind each endpoint
    """

    def __init__(
        self, server: Server, desk: SetDesk, types: Collection[str], local: str, *,
        populated: bool, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._server = server
        self._desk = desk
        self._types = types
        self._local = local
        self.populated = populated
        self._clock = clock
        #: by network with ports here: its type, and what is known of it
        self._networks: dict[str, str] = {}
        self._told: dict[str, Told] = {}
        #: by type, the endpoints of other hosts, with whose they are
        self._endpoints: dict[str, dict[str, str]] = {}
        self._changed: set[str] = set()

    # --- all of it ---

    def read(self, networks: Mapping[str, str], busy: Collection[str] = ()) -> None:
        """Say where tunnels to this host lead, and know where those to others do.

        :param networks: the networks that have ports here, with their types
        :param busy: those of them with ports that the service has as working here
        :raises Exception: the service could not be asked
        """
        for kind in self._types if self._local else ():
            found = self._server.tunnels(self._local, kind)
            self._endpoints[kind] = {a: host for a, host in found.items() if a != self._local}
        self.present(networks, anew=True)
        self._make_up(busy)
        self._desk.compare(
            SetKind.FORWARDING, OWNER, list(self._networks), remove=True, request_id=REQUEST
        )

    def present(self, networks: Mapping[str, str], *, anew: bool = False) -> None:
        """These networks have ports here, and no others."""
        there = {n: kind for n, kind in networks.items() if kind in OVERLAYS}
        for network in self._networks.keys() - there.keys():
            self._told.pop(network, None)
            self._changed.discard(network)
            key = SetKey(SetKind.FORWARDING, network)
            self._desk.delete(key, OWNER, request_id=REQUEST)
        for network in there.keys() - self._networks.keys():
            self._told[network] = Told(self._known(network))
        self._changed |= there.keys() if anew else there.keys() - self._networks.keys()
        self._networks = there

    def _make_up(self, busy: Collection[str]) -> None:
        """Know who is behind the tunnels of networks that are in use here and of which nothing was
        ever told, as on a host that is taken over from another agent: the service tells only once
        a port works, and by then its frames would have gone nowhere."""
        if not self.populated:
            return
        for network in sorted(busy):
            told = self._told.get(network)
            if told is None or told.table:
                continue
            hosts = {h: a for a, h in self._endpoints.get(self._networks[network], {}).items() if h}
            try:
                ports = self._server.where("Port", network_id=[network]) if hosts else []
            except (Refused, Unanswered) as error:
                LOG.warning("neutron: who is behind the tunnels of a network is not known before "
                            "its first port works here (%s). Next: nothing, the service tells it "
                            "then. network=%s", str(error)[:200], network)  # fmt: skip
                continue
            told.table = behind(ports, hosts)

    def _known(self, network: str) -> Table:
        """What was in force before this life of the daemon."""
        record = self._desk.get(SetKey(SetKind.FORWARDING, network))
        body = record.body if record is not None and not record.going else None
        return table_of(body) if isinstance(body, Forwarding) else {}

    def asked(self, networks: Iterable[str]) -> None:
        """The service was asked for everything of these networks."""
        for network in networks:
            if network in self._told:
                told = self._told[network]
                told.coming, told.until = {}, self._clock() + SETTLED

    # --- one change ---

    def heard(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Take what the service told."""
        match method:
            case "tunnel_update" | "tunnel_delete":
                self._endpoint(method, arguments)
            case "add_fdb_entries":
                self._entries(arguments.get("fdb_entries"), added)
            case "remove_fdb_entries":
                self._entries(arguments.get("fdb_entries"), removed)
            case "update_fdb_entries":
                self._readdressed(arguments.get("fdb_entries"))

    def _endpoint(self, method: str, arguments: Mapping[str, Any]) -> None:
        address, kind = str(arguments.get("tunnel_ip")), str(arguments.get("tunnel_type"))
        known = self._endpoints.setdefault(kind, {})
        if method == "tunnel_delete":
            known.pop(address, None)
            for told in self._told.values():
                for table in told.tables:
                    table.pop(address, None)
        elif address != self._local:
            known.setdefault(address, "")
        self._changed |= {n for n, of in self._networks.items() if of == kind}

    def _entries(self, said: Any, change: Callable[[Table, str, Iterable[Any]], None]) -> None:
        if not isinstance(said, dict):
            return
        for network, of in said.items():
            told = self._told.get(network)
            ports = of.get("ports") if isinstance(of, dict) else None
            if told is None or not isinstance(ports, dict):
                continue
            for endpoint, there in ports.items():
                if endpoint != self._local:
                    for table in told.tables:
                        change(table, endpoint, there)
            self._changed.add(network)

    def _readdressed(self, said: Any) -> None:
        changes = said.get("chg_ip") if isinstance(said, dict) else None
        for network, endpoints in (changes or {}).items():
            told = self._told.get(network)
            for endpoint, change in endpoints.items() if told is not None else ():
                if endpoint == self._local or told is None:
                    continue
                for table in told.tables:
                    removed(table, endpoint, change.get("before") or ())
                    added(table, endpoint, change.get("after") or ())
                self._changed.add(network)

    # --- what is said ---

    def settle(self) -> None:
        """Take lists that are here as a whole in the place of those before."""
        now = self._clock()
        for network, told in self._told.items():
            if told.coming is not None and now >= told.until:
                told.table, told.coming = told.coming, None
                self._changed.add(network)

    def flush(self) -> None:
        """Say what changed."""
        bodies = [self._body(network) for network in sorted(self._changed)]
        self._changed.clear()
        if bodies:
            self._desk.put_all(bodies, OWNER, request_id=REQUEST)

    def _body(self, network: str) -> Forwarding:
        if self.populated:
            return forwarding(network, self._told[network].table)
        everyone = self._endpoints.get(self._networks[network], {})
        return forwarding(network, {address: {} for address in everyone})
