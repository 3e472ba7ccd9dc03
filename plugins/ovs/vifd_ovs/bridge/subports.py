"""Sub-ports of trunks as ports of a plugin: logical ports without a device and without a row.

Their flows are all that is made of them. Whether their frames pass is decided by their parent,
which may be another plugin's on the same bridge: what is read back of a sub-port begins with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from vifd.drivers import Drivers, Link, PortRow
from vifd.model import Attachment, Evidence
from vifd.model.evidence import fact
from vifd.model.trunks import Claim, claims, is_sub_port, own_vlan
from vifd.plugin import Entry, Host, Item, Requirement, trunks
from vifd_ovs.bridge import removal, wiring
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.checking import PortChecking
from vifd_ovs.bridge.evidence import FlowReader
from vifd_ovs.bridge.plugging import Ground
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.wiring import OvsWiring

#: What the name of a sub-port in the journal begins with; no device has it.
PREFIX = "sub"


def needs(
    attachment: Attachment, ledger: Mapping[str, Entry], plugin: str, bridge: str
) -> Iterator[Requirement]:
    """Parents and sub-ports of one trunk are on one bridge, whichever plugins serve them.

    :param bridge: where the port would be
    """
    for other, entry in trunks.relatives(attachment, ledger):
        names = wiring.read_if(entry.wiring)
        if names is not None and names.bridge == bridge:
            continue
        who = "its parent" if is_sub_port(attachment) else "its sub-port"
        where = f"bridge {names.bridge}" if names is not None else "no bridge of Open vSwitch"
        problem = (
            f"{who}, port {other} of plugin {entry.wiring.plugin}, is on {where}; plugin {plugin} "
            f"would have the port on bridge {bridge}, and a trunk is on one bridge"
        )
        yield trunks.conflict(problem, other)


def carried(attachment: Attachment, ledger: Mapping[str, Entry]) -> Iterator[Entry]:
    """The sub-ports of a parent that pass while it does."""
    trunk = attachment.port.trunk_details
    named = (s.port_id for s in trunk.sub_ports) if trunk is not None else ()
    for port_id in named:
        entry = ledger.get(port_id)
        names = wiring.read_if(entry.wiring) if entry is not None else None
        if entry is not None and entry.open and names is not None and names.sub_port:
            yield entry


def split(batch: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """The sub-ports of a batch, and the other ports."""
    subs: list[Item] = []
    rest: list[Item] = []
    for item in batch:
        names = wiring.read_if(item.made)
        (subs if names is not None and names.sub_port else rest).append(item)
    return subs, rest


def named(names: OvsWiring) -> OvsWiring:
    """The names of a sub-port: it has a number, and no row that would have a tag."""
    return replace(names, sub_port=True, port_tag=None)


class SubPlugging:
    """One ``plug`` call for sub-ports: bridges, ways out and flows."""

    def __init__(
        self, host: Host, bridges: Bridges, items: Sequence[Item], ofports: tuple[int, int]
    ) -> None:
        self.batch = Batch.of(items)
        self._ground = Ground(host, bridges, self.batch, ofports)

    def run(self, switches: dict[str, Switch]) -> Batch:
        """Take all steps."""
        self._ground.lay(switches)
        for work in self.batch:
            work.names = replace(work.names, plugged=True)
        return self.batch


def unplug(drivers: Drivers, switches: dict[str, Switch], items: Sequence[Item]) -> Batch:
    """Take the flows away; there is nothing else."""
    return removal.unplug(drivers, switches, items, _nothing)


def _nothing(_works: Iterable[Work]) -> None:
    """Nothing else was made."""


class SubChecking(PortChecking):
    """One ``check`` call for sub-ports.

    :ivar _links: the devices of their parents, all in one request
    """

    host: Host
    _entries: dict[str, Entry]
    _claims: dict[str, list[Claim]]
    _links: dict[str, Link]

    def prepare(self) -> None:
        """Who names them."""
        asked = {work.id for work in self.batch}
        self._entries = dict(self.ledger())
        self._claims = {}
        for port_id, claim in claims({i: e.attachment for i, e in self._entries.items()}):
            if port_id in asked:
                self._claims.setdefault(port_id, []).append(claim)
        parents = {claim.parent for found in self._claims.values() for claim in found}
        self._links = self.drivers.links.get(
            sorted(self._entries[parent].wiring.device for parent in parents)
        )

    def guest_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """The parent: who it is, whether its device stands, and whether it carries the VLAN. A
        closed sub-port needs none."""
        facts = self._parent(work)
        return facts if work.item.open else [replace(f, ok=True) for f in facts]

    def _flow_evidence(
        self, reader: FlowReader, port: SwitchPort, item: Item
    ) -> tuple[list[Evidence], bool | None]:
        """Whether one that its parent does not carry is open cannot be told."""
        facts, passing = super()._flow_evidence(reader, port, item)
        return facts, None if item.open and not port.is_open and _up(item) else passing

    def _parent(self, work: Work) -> list[Evidence]:
        found = self._claims.get(work.id, [])
        if len(found) != 1:
            return [trunks.unclaimed(found)]
        claim = found[0]
        entry = self._entries[claim.parent]
        names = wiring.read_if(entry.wiring)
        if names is None or names.bridge != work.names.bridge:
            have = f"port {claim.parent} of plugin {entry.wiring.plugin} is not on its bridge"
            return [trunks.lacking("trunk.parent", have, trunks.PARENT)]
        return self._carried(work, claim, entry, names)

    def _carried(self, work: Work, claim: Claim, entry: Entry, names: OvsWiring) -> list[Evidence]:
        vlan = claim.sub_port.segmentation_id or own_vlan(work.item.attachment)
        if vlan is None:
            return [trunks.without_vlan()]
        facts = trunks.known(claim.parent, vlan)
        parent = self.switches[work.names.bridge].get(claim.parent)
        device = entry.wiring.device
        have = self._standing(work, device, names)
        facts.append(_fact("trunk.device", have, f"{device} stands"))
        carries = parent is not None and parent.trunk is not None and parent.trunk.carries
        if not carries:
            facts.append(trunks.closed(claim.parent))
        return facts

    def _standing(self, work: Work, device: str, names: OvsWiring) -> str:
        """Whether frames come in and go out by the parent's device."""
        row = self.drivers.ovsdb.port(device)
        have = _standing(device, row, names.ofport)
        if row is None or names.hosted:  # what is behind that one is another program's to say
            return have
        if not names.interface_type and (gone := _gone(device, row, self._links.get(device))):
            return gone
        if work.item.settled or work.item.thorough:
            stopped = (self.flags.of(names.bridge) or {}).get(device, frozenset())
            return f"{device}: {', '.join(sorted(stopped))}" if stopped else have
        return have

    def row_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """It has no row."""
        return []


def _up(item: Item) -> bool:
    return item.attachment.port.admin_state_up


def _standing(device: str, row: PortRow | None, number: int) -> str:
    if row is None:
        return f"{device} is missing"
    if row.error:
        return f"{device}: {row.error}"
    return f"{device} stands" if row.ofport == number else f"{device} has not got its number yet"


def _gone(device: str, row: PortRow, link: Link | None) -> str:
    """What is wrong with a tap that the switch has; empty where nothing is."""
    if link is None:
        return f"{device} does not exist"
    if row.ifindex is not None and row.ifindex != link.ifindex:
        return f"{device} was made anew by another program"
    return "" if link.up else f"{device} is down"


def _fact(name: str, have: str, wanted: str) -> Evidence:
    return replace(fact(name, have, wanted, "ovsdb"), repairable=False)
