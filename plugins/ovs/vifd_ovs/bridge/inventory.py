"""What bears our mark on the bridges of Open vSwitch: listed, compared, removed, put back.

The plugins on one switch share bridges, patch ports and flows, and each lists them; of the ports
each lists those of its own kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vifd.drivers import PortRow
from vifd.errors import BackendUnavailable
from vifd.model.members import groups_of
from vifd.plugin import Entry, Host
from vifd.plugin.marked import Key, Marked, Wanted, is_id
from vifd_ovs.bridge import cookies, marks, overlay, rules, tenancy, wiring
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.kinds import Kind
from vifd_ovs.bridge.overlay import OVERLAYS, port_name
from vifd_ovs.bridge.rows import bridges_of

#: Who uses the port of a row, for a reader; empty for nobody.
Holder = Callable[[PortRow], str]


@dataclass(frozen=True)
class Inventory:
    """The part of a host's marked objects that stands in the switch and its database.

    :param mine: whether the plugin lists the port of a row
    """

    host: Host
    bridges: Bridges
    mine: Callable[[PortRow], bool]

    # --- what is there ---

    def rows(self) -> list[PortRow]:
        """Every row of ours, on any bridge but those of other daemons.

        :raises BackendUnavailable: the database is not connected
        """
        ovsdb = self.host.drivers.ovsdb
        if not ovsdb.connected():
            problem = "the switch's database is not connected"
            raise BackendUnavailable(facts={"backend": "ovsdb", "problem": problem})
        others = self.elsewhere()
        ports = (r for name in ovsdb.bridges() if name not in others for r in ovsdb.ports(name))
        return [
            row for row in ports
            if marks.is_ours(row.external_ids) and row.external_ids.get(marks.PATCH) not in others
        ]  # fmt: skip

    def elsewhere(self) -> frozenset[str]:
        """The bridges of other daemons."""
        here = bridges_of(self.host, self.bridges.integration)
        return tenancy.elsewhere(self.host.drivers.ovsdb, self.host.identity, here)

    def inventory(self, rows: Sequence[PortRow], holder: Holder) -> Iterator[Marked]:
        """Everything of ours in the switch.

        :raises VifError: flow tables cannot be read
        """
        ports = [row for row in rows if is_id(row.external_ids.get(marks.PORT, ""))]
        yield from (_port(row, holder(row)) for row in ports if self.mine(row))
        yield from (_way(row, Kind.PATCH) for row in rows if marks.PATCH in row.external_ids)
        yield from (_way(row, Kind.TUNNEL) for row in rows if marks.TUNNEL in row.external_ids)
        ovsdb = self.host.drivers.ovsdb
        for name in sorted(set(ovsdb.bridges()) - self.elsewhere()):
            bridge = ovsdb.bridge(name)
            if bridge is not None and marks.BRIDGE in bridge.external_ids:
                yield Marked(kind=Kind.BRIDGE, name=name, holder=_others(ovsdb.ports(name)))
        for name in self._with_flows(ports):
            yield from self._flows(name, [row for row in ports if row.bridge == name])

    def _with_flows(self, ports: Iterable[PortRow]) -> list[str]:
        """The bridges that may have flows of ours, and that are there."""
        ovsdb = self.host.drivers.ovsdb
        known = {*bridges_of(self.host, self.bridges.integration), *(r.bridge for r in ports)}
        return sorted(name for name in known if ovsdb.bridge(name) is not None)

    def _flows(self, bridge: str, ports: Iterable[PortRow]) -> Iterator[Marked]:
        rows = {
            cookies.port(w.generation, w.ofport): row
            for row in ports
            if (w := marks.wiring_of(row)).generation
        }
        counts: dict[int, int] = {}
        for flow in self.host.drivers.openflow.dump(bridge, *cookies.OURS):
            counts[flow.cookie] = counts.get(flow.cookie, 0) + 1
        for cookie, count in counts.items():
            row = rows.get(cookie)
            if row is None or self.mine(row):
                facts = {"count": count, "whose": cookies.describe(cookie)}
                yield Marked(
                    kind=Kind.FLOWS, name=cookie_name(cookie), where=bridge,
                    owner=row.external_ids[marks.PORT] if row is not None else "", backup=facts,
                )  # fmt: skip

    # --- what shall be there ---

    def expected(self, entries: Mapping[str, Entry]) -> dict[Key, Wanted]:
        """What the ports of a ledger stand for in the switch. Pure."""
        integration = self.bridges.integration
        found: dict[Key, Wanted] = {Key(Kind.BRIDGE, "", integration): Wanted()}
        found[_flows_key(integration, cookies.BRIDGE)] = Wanted()
        for physical in self.bridges.mappings.values():
            near, far = marks.patch_names(integration, physical)
            found |= {Key(Kind.PATCH, "", near): Wanted(), Key(Kind.PATCH, "", far): Wanted()}
        for kind in self.bridges.overlay.served:
            found |= self._tunnels(integration, kind)
        for port_id, entry in entries.items():
            names = wiring.read_if(entry.wiring)
            if names is not None:
                found |= self._of_port(port_id, entry.wiring.device, names)
                groups = groups_of(entry.attachment) or ()
                rules_ = (cookies.group(rules.digest(group)) for group in groups)
                found |= {_flows_key(names.bridge, cookie): Wanted() for cookie in rules_}
        return found

    def _of_port(self, port_id: str, device: str, w: wiring.OvsWiring) -> dict[Key, Wanted]:
        made = f"{w.generation:#06x}" if w.plugged else ""
        found = {
            _flows_key(w.bridge, cookies.port(w.generation, w.ofport)): Wanted(port_id),
            _flows_key(w.bridge, cookies.network(w.tag)): Wanted(),
            _flows_key(w.bridge, cookies.BRIDGE): Wanted(),
            Key(Kind.BRIDGE, "", w.bridge): Wanted(),
        }
        if not (w.hosted or w.sub_port):
            found[Key(Kind.SWITCH_PORT, w.bridge, device)] = Wanted(port_id, made)
        if not (w.interface_type or w.hosted or w.sub_port):
            made = str(w.ifindex) if w.plugged and w.ifindex else ""
            found[Key(Kind.DEVICE, "", device)] = Wanted(port_id, made)
        if w.patch:
            found |= {Key(Kind.PATCH, "", n): Wanted() for n in (w.patch, marks.far_end(w.patch))}
        if w.network_type in OVERLAYS:
            found |= self._tunnels(w.bridge, w.network_type)
        return found

    @staticmethod
    def _tunnels(bridge: str, network_type: str) -> dict[Key, Wanted]:
        """Those of every IP version: an address may be taken out of the configuration while ports
        still use it."""
        kinds = [overlay.Kind(network_type, version) for version in (4, 6)]
        return {Key(Kind.TUNNEL, "", port_name(bridge, kind)): Wanted() for kind in kinds}


def cookie_name(cookie: int) -> str:
    """A cookie as the switch's own tools write it."""
    return f"{cookie:#018x}"


def _flows_key(bridge: str, cookie: int) -> Key:
    return Key(Kind.FLOWS, bridge, cookie_name(cookie))


def _port(row: PortRow, holder: str) -> Marked:
    ids = row.external_ids
    path = row.options.get("vhost-server-path", "")
    return Marked(
        kind=Kind.SWITCH_PORT,
        name=row.name,
        where=row.bridge,
        owner=ids[marks.PORT],
        identity=ids.get(marks.GENERATION, ""),
        holder=holder,
        uses=tuple(filter(None, (row.name, path))),
        backup=_columns(row),
    )


def _way(row: PortRow, kind: Kind) -> Marked:
    """A port by which a bridge is left."""
    backup = {**_columns(row), "bridge": row.bridge}
    return Marked(kind=kind, name=row.name, backup=backup)


def _columns(row: PortRow) -> dict[str, object]:
    """What it takes to make the port again."""
    return {
        "ofport": row.ofport_request or row.ofport,
        "tag": row.tag,
        "type": row.type,
        "mtu": row.mtu_request,
        "options": dict(row.options),
        "external_ids": dict(row.external_ids),
    }


def _others(rows: Iterable[PortRow]) -> str:
    """The ports on a bridge of ours that others made."""
    foreign = [
        row.name for row in rows if row.name != row.bridge and not marks.is_ours(row.external_ids)
    ]
    return f"ports of others: {', '.join(foreign[:3])}" if foreign else ""
