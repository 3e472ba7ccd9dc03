"""Ports that another program put on the bridge: DHCP, routers, a test's machines.

Device and row are that program's and are never changed; the flows are ours. The port has the number
that the switch gave it, wherever its device is, and goes with its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from vifd.drivers import Drivers, Ovsdb, PortRow
from vifd.errors import BackendError
from vifd.model import Attachment, Evidence
from vifd.model.evidence import fact
from vifd.plugin import Entry, Host, Item
from vifd.plugin.marked import is_id
from vifd_ovs.bridge import marks, numbers, removal
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.checking import PortChecking
from vifd_ovs.bridge.naming import Naming
from vifd_ovs.bridge.plugging import Ground
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.wiring import OvsWiring, read_if

#: The largest number that a port may have; above are numbers with a meaning.
MOST = 65279


def split(batch: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """The ports of ours of a batch, and those of other programs."""
    ours: list[Item] = []
    theirs: list[Item] = []
    for item in batch:
        names = read_if(item.made)
        (theirs if names is not None and names.hosted else ours).append(item)
    return ours, theirs


def found(ovsdb: Ovsdb, bridge: str, before: Mapping[str, str]) -> dict[str, str]:
    """Ports of other programs on a bridge, by the id that they bear: the name of the switch port.

    Of several with one id the one that the switch has, and then the first by name. A row that was
    just added is no port before the switch has decided on it, which it tells within milliseconds:
    who begins earlier fails, and begins again a second later.

    :param before: what was found last: a port whose row was made anew is still the same
    """
    if ovsdb.bridge(bridge) is None:
        return {}
    rows = [row for row in ovsdb.ports(bridge) if _theirs(row) and _counts(row, before)]
    rows.sort(key=lambda row: (not _there(row), row.name))
    names: dict[str, str] = {}
    for row in rows:
        names.setdefault(row.external_ids["iface-id"], row.name)
    return names


def _theirs(row: PortRow) -> bool:
    ids = row.external_ids
    return is_id(ids.get("iface-id", "")) and not marks.is_ours(ids)


def _counts(row: PortRow, before: Mapping[str, str]) -> bool:
    """Whether the switch has decided on the row, or had on the one before it."""
    decided = row.ofport is not None or bool(row.error)
    return decided or before.get(row.external_ids["iface-id"]) == row.name


def _there(row: PortRow | None) -> bool:
    """Whether the switch has the port."""
    return row is not None and not row.error and 0 < (row.ofport or 0) <= MOST


def is_of(row: PortRow | None, bridge: str, port_id: str) -> bool:
    """Whether a row is a port of another program with this id, on this bridge."""
    return (
        row is not None
        and row.bridge == bridge
        and _theirs(row)
        and row.external_ids.get("iface-id") == port_id
    )


def name(
    ovsdb: Ovsdb, naming: Naming, bridge: str, attachment: Attachment, taken: Mapping[str, Entry]
) -> tuple[str, OvsWiring]:
    """The switch port's own name and number, and the rest as for a port of ours.

    :raises BackendError: it is not there, or the switch has not taken it
    """
    device = attachment.hosted.device if attachment.hosted else ""
    row = _row(ovsdb, bridge, attachment.id, device)
    _, names = naming.choose(attachment, taken, multi_queue=False)
    chosen = replace(names, ofport=row.ofport or 0, hosted=True, port_tag=None, ifindex=row.ifindex)
    return device, chosen


def _row(ovsdb: Ovsdb, bridge: str, port_id: str, device: str) -> PortRow:
    row = ovsdb.port(device)
    if row is None or not is_of(row, bridge, port_id):
        problem = f"there is no port {device} with its id on bridge {bridge}"
    elif not _there(row):
        problem = f"the switch has not taken it: {row.error or 'no number yet'}"
    else:
        return row
    facts = {"backend": "Open vSwitch", "problem": f"port of another program: {problem}"}
    raise BackendError(facts={**facts, "device": device}, stage="ofport", port=port_id)


class HostedPlugging:
    """One ``plug`` call for ports of other programs: bridges, ways out and flows."""

    def __init__(
        self, host: Host, bridges: Bridges, items: Sequence[Item], ofports: tuple[int, int]
    ) -> None:
        self.drivers: Drivers = host.drivers
        self.batch = Batch.of(items)
        self._ground = Ground(host, bridges, self.batch, ofports)

    def run(self, switches: dict[str, Switch]) -> Batch:
        """Take all steps."""
        self._follow()
        self._ground.lay(switches)
        for work in self.batch:
            work.names = replace(work.names, plugged=True)
        return self.batch

    def _follow(self) -> None:
        """Take the number that the switch port has now: it may have been made anew. Flows of
        another number are those of another life."""
        for work in self.batch:
            names = work.names
            try:
                row = _row(self.drivers.ovsdb, names.bridge, work.id, work.device)
            except BackendError as error:
                self.batch.fail(work, error, "ofport")
                continue
            if row.ofport != names.ofport:
                work.names = replace(names, ofport=row.ofport or 0, generation=numbers.generation())
            work.names = replace(work.names, ifindex=row.ifindex)


class HostedChecking(PortChecking):
    """One ``check`` call for ports of other programs."""

    def prepare(self) -> None:
        """The rows are in memory."""

    def guest_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """What stands behind the port is the other program's."""
        del work, row
        return []

    def row_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """Whether the port is still there, with the number that the flows are for."""
        names = work.names
        if not is_of(row, names.bridge, work.id) or row is None:
            return [fact("ovsdb.port", "missing", "present", "ovsdb")]
        return [
            fact("ovsdb.port", "present", "present", "ovsdb"),
            fact("ovsdb.ofport", row.ofport, names.ofport, "ovsdb"),
            fact("ovsdb.error", row.error, "", "ovsdb"),
            # its machine need not be up yet
            Evidence("ovsdb.link_state", have=row.link_state, source="ovsdb"),
        ]


def unplug(drivers: Drivers, switches: dict[str, Switch], items: Sequence[Item]) -> Batch:
    """Take the flows away; device and row stay."""
    return removal.unplug(drivers, switches, items, _nothing)


def _nothing(_works: Iterable[Work]) -> None:
    """Nothing else was made."""
