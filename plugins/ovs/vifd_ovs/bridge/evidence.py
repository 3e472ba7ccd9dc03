"""Facts read back from the switch, compared with what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from vifd.drivers import Ovsdb, PortRow
from vifd.errors import VifError
from vifd.model import Attachment, Evidence
from vifd.model.evidence import PLUGGED, fact
from vifd.openflow.flow import Flow, by_key
from vifd.openflow.fragments import WHOLE_HEADERS
from vifd.openflow.meters import Meter
from vifd.openflow.reading import Reading
from vifd.plugin import packing
from vifd.plugin.marked import is_id
from vifd_ovs.bridge import cookies, marks, shaping
from vifd_ovs.bridge.bridges import FAIL_MODE, Bridges
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.flows import ADMIT
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.standing import completed
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.tables import CLASSIFY
from vifd_ovs.bridge.target import Difference, difference, touched
from vifd_ovs.bridge.wiring import OvsWiring

#: So many differing flows are written out in full.
_SHOWN = 8


def bridge_evidence(bridges: Bridges, bridge: str, row: PortRow | None) -> list[Evidence]:
    """Whether the bridge is there; where a port stands on it, it is."""
    if row is not None or bridges.ovsdb.bridge(bridge) is not None:
        return []
    return [fact("switch.bridge", "missing", bridge, "ovsdb")]


def mode_evidence(bridges: Bridges, bridge: str) -> list[Evidence]:
    """Whether a bridge of ours stays closed without its controller; once for many ports."""
    there = bridges.ovsdb.bridge(bridge)
    if there is None or marks.BRIDGE not in there.external_ids:
        return []
    return [fact("switch.fail_mode", there.fail_mode, FAIL_MODE, "ovsdb")]


#: Of a port on which the tag alone decides.
ALL_VLANS = "as the tag says"


def vlans_text(row: PortRow) -> str:
    """How a port treats VLANs besides its tag."""
    mode = [f"mode {row.vlan_mode}"] if row.vlan_mode else []
    trunks = [f"trunks {', '.join(map(str, row.trunks))}"] if row.trunks else []
    return "; ".join([*mode, *trunks]) or ALL_VLANS


def missing_evidence(ovsdb: Ovsdb, device: str) -> Evidence:
    """That a port is not in the database, and who has its interface instead."""
    other = ovsdb.port_with(device)
    have = "missing" if other is None else f"in port {other.name} of bridge {other.bridge}"
    return fact("ovsdb.port", have, "present", "ovsdb")


def row_evidence(
    row: PortRow, names: OvsWiring, tag: int | None, ids: Mapping[str, str]
) -> list[Evidence]:
    """The port's rows in the database."""
    have = {key: row.external_ids.get(key) for key in ids}
    document = "present" if packing.DOCUMENT in row.external_ids else "missing"
    return [
        fact("ovsdb.port", "present", "present", "ovsdb"),
        fact("ovsdb.bridge", row.bridge, names.bridge, "ovsdb"),
        fact("ovsdb.type", marks.kind(row.type), marks.kind(names.interface_type), "ovsdb"),
        fact("ovsdb.ofport_request", row.ofport_request, names.ofport, "ovsdb"),
        fact("ovsdb.ofport", row.ofport, names.ofport, "ovsdb"),
        fact("ovsdb.error", row.error, "", "ovsdb"),
        fact("ovsdb.tag", row.tag, tag, "ovsdb"),
        fact("ovsdb.vlans", vlans_text(row), ALL_VLANS, "ovsdb"),
        fact("ovsdb.external_ids", have, dict(ids), "ovsdb"),
        # compared in full by the plug: packing it anew would cost every check
        fact("ovsdb.document", document, "present", "ovsdb"),
        fact("ovsdb.admin_state", row.admin_state, "up", "ovsdb"),
        # a guest need not run yet
        Evidence("ovsdb.link_state", have=row.link_state, source="ovsdb"),
    ]


def plugged_evidence(row: PortRow, attachment: Attachment) -> list[Evidence]:
    """Whether another program has plugged a port that was made ahead: os-vif writes the instance on
    the row that it finds, and nothing of ours does before compute has named one."""
    instance = row.external_ids.get("vm-uuid", "")
    if not (attachment.prewired and is_id(instance)):
        return []
    return [Evidence(PLUGGED, have=instance, source="ovsdb")]


def network_evidence(bridges: Bridges, attachment: Attachment, names: OvsWiring) -> list[Evidence]:
    """The names of the port's network held against its document, and both ends of the way to its
    physical network."""
    wanted = completed(attachment, names, bridges)
    facts = [] if wanted == names else [_names_evidence(names, wanted)]
    return facts + patch_evidence(bridges, wanted)


def _names_evidence(names: OvsWiring, wanted: OvsWiring) -> Evidence:
    """Names that are not what document and configuration call for: the flows are made from them."""
    have, should = names.details(), wanted.details()
    paths = sorted(k for k in {*have, *should} if have.get(k) != should.get(k))
    return fact(
        "names.network", {k: have.get(k) for k in paths}, {k: should.get(k) for k in paths},
        "journal",
    )  # fmt: skip


def patch_evidence(bridges: Bridges, names: OvsWiring) -> list[Evidence]:
    """Both ends of the way to the physical network."""
    if names.physical_network is None:
        return []
    physical = bridges.mappings.get(names.physical_network)
    if physical is None:
        # frames still go where they went; only the operator can say where they should
        wanted, have = names.physical_network, sorted(bridges.mappings)
        return [Evidence("uplink.mapping", have, wanted, False, "configuration", repairable=False)]
    if bridges.ovsdb.bridge(physical) is None:
        return [Evidence("uplink.bridge", "missing", physical, ok=False, source="ovsdb")]
    problem = bridges.patch_pair_problem(names.physical_network, names.bridge)
    return [fact("patch", problem or "connected", "connected", "ovsdb")]


class FlowReader:
    """Compares the flows of several ports, read in one exchange with the switch.

    :param ports: the ports of this check as they shall be
    :param interim: what the plug before read back may stand
    """

    def __init__(
        self, switch: Switch, ports: Mapping[str, SwitchPort], *, interim: bool = False
    ) -> None:
        self._switch = switch
        self._interim = interim
        self._target = switch.wanted(ports)
        self._cookies = touched(ports.values())[0]
        self._ports = list(ports.values())
        self._meters: Mapping[int, Meter] | None = None
        self._read: Reading | VifError | None = None
        self._shared: dict[int, Evidence] = {}
        self._groups = sorted({g for p in ports.values() if p.judged for g in p.groups or ()})
        self._unlike: dict[str, tuple[int, Difference]] | None = None
        #: ids of the ports that were found open
        self.passing: set[str] = set()

    def read(self) -> bool:
        """Read what all ports are judged by; whether it could be read."""
        try:
            self._reading()
        except VifError:
            return False
        return True

    def evidence(self, port: SwitchPort) -> list[Evidence]:
        """The flows of a port, of its network and of its bridge, byte for byte.

        :raises VifError: the flows cannot be read
        """
        have = self._installed(port.cookie)
        if any((f.table, f.priority) == (CLASSIFY, ADMIT) for f in have):
            self.passing.add(port.id)
        return [
            *self._fragments(port),
            self._once(cookies.BRIDGE, self._of_bridge),
            _compare("flows.port", have, by_key(self._target.port(port))),
            self._once(cookies.network(port.tag), partial(self._of_network, port.tag)),
            *self._rules(port),
            *self._limits(port, have),
        ]  # fmt: skip

    def _limits(self, port: SwitchPort, flows: Sequence[Flow]) -> list[Evidence]:
        """The rates that the port is held to, and the mark of its packets."""
        if self._meters is None:
            self._meters = self._switch.meters(self._ports)
        facts = []
        for kind, wanted in shaping.meters(port.ofport, port.limited).items():
            have = str(self._meters.get(wanted.id, "missing"))
            facts.append(fact(shaping.NAMES[kind], have, str(wanted), "openflow"))
        if (limit := self._switch.logging(port)) is not None:
            facts.append(fact("log.limit", str(self._meters.get(limit.id, "missing")), str(limit),
                              "openflow"))  # fmt: skip
        dscp = port.limited.dscp if port.limited is not None else None
        if dscp is not None:
            facts.append(fact("qos.dscp_marking.egress", shaping.marks(flows), [dscp], "openflow"))
        return facts

    def _rules(self, port: SwitchPort) -> list[Evidence]:
        """The rules of the port's security groups; those of all ports are read once."""
        if not port.judged:
            return []
        if self._unlike is None:
            self._unlike = self._switch.unlike(self._groups, anew=not self._interim)
        mine = [self._unlike[group] for group in port.groups or ()]
        have = sum(count for count, _ in mine)
        add = [flow for _, todo in mine for flow in todo.add]
        delete = [flow for _, todo in mine for flow in todo.delete]
        return [_compared("flows.groups", have, have + len(add) - len(delete), add, delete)]

    def _fragments(self, port: SwitchPort) -> list[Evidence]:
        """How the bridge shows fragments, where it matters; read with the flows."""
        if not port.secured:
            return []
        return [fact("flows.fragments", self._reading().fragments, WHOLE_HEADERS, "openflow")]

    def _installed(self, cookie: int) -> list[Flow]:
        """One reading for all; one that failed is not repeated for every port."""
        return self._reading().flows[cookie]

    def _reading(self) -> Reading:
        if self._read is None:
            try:
                self._read = self._switch.readback.installed(self._cookies, proven=self._interim)
            except VifError as error:
                self._read = error
        if isinstance(self._read, VifError):
            raise self._read
        return self._read

    def _once(self, cookie: int, make: Callable[[], Evidence]) -> Evidence:
        if cookie not in self._shared:
            self._shared[cookie] = make()
        return self._shared[cookie]

    def _of_bridge(self) -> Evidence:
        have, wanted = self._installed(cookies.BRIDGE), self._target.bridge_entries()
        todo = self._switch.readback.bridge_difference(have, wanted)
        return _compared("flows.bridge", len(have), len(wanted), todo.add, todo.delete)

    def _of_network(self, tag: int) -> Evidence:
        have, wanted = self._installed(cookies.network(tag)), self._target.network_entries(tag)
        return _compare("flows.network", have, wanted)


def _compare(name: str, have: Sequence[Flow], wanted: Entries) -> Evidence:
    """Flows of one cookie held against those that shall be there."""
    todo = difference({0: by_key(have)}, {0: wanted}, [0])
    return _compared(name, len(have), len(wanted), todo.add, todo.delete)


def _compared(
    name: str, have: int, wanted: int, missing: list[Flow], unwanted: list[Flow]
) -> Evidence:
    if not missing and not unwanted:
        return Evidence(name, have=have, wanted=wanted, source="openflow")
    return Evidence(
        name,
        have={"flows": have, "not wanted": _texts(unwanted)},
        wanted={"flows": wanted, "missing": _texts(missing)},
        ok=False,
        source="openflow",
    )


def _texts(flows: list[Flow]) -> list[str]:
    texts = sorted(map(str, flows))
    more = len(texts) - _SHOWN
    return [*texts[:_SHOWN], f"and {more} more"] if more > 0 else texts
