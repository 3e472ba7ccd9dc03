"""What others did beside a port at rest: flows that take its frames, and a way out of the host that
does not carry them. No plug mends it, so a plug does not read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vifd.drivers import Links, OpenFlow, PortRow
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.overlap import in_the_way
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.strangers import Strangers

#: So many flows of others are written out.
_SHOWN = 4


def flow_evidence(
    strangers: Strangers, bridges: Bridges, bridge: str, port: SwitchPort
) -> list[Evidence]:
    """Flows of others on the bridge that take frames of the port, or for it."""
    try:
        flows = strangers.of(bridge)
    except VifError:
        return []
    if not flows:
        return []
    row = bridges.ovsdb.port(port.patch) if port.patch else None
    found = [flow for flow in flows if in_the_way(flow, port, row.ofport if row else None)]
    if not found:
        return []
    return [
        Evidence("flows.foreign", _texts(found), [], ok=False, source="openflow", repairable=False)
    ]


def _texts(found: Sequence[Flow]) -> list[str]:
    texts = [str(flow) for flow in sorted(found, key=lambda f: (f.table, -f.priority))]
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return [*texts[:_SHOWN], *more]


def uplink_evidence(work: Work, bridges: Bridges) -> list[Evidence]:
    """Whether the physical bridge still leads out by what it led out by, and carries the VLAN."""
    physical = bridges.mappings.get(work.names.physical_network or "")
    if physical is None or bridges.ovsdb.bridge(physical) is None:
        return []
    if apart := _apart(bridges, work.names.bridge, physical):
        return [apart]
    rows = bridges.uplinks(physical)
    vlan = work.names.segmentation_id if work.names.network_type == "vlan" else None
    if not rows:
        return _nothing(work, bridges, physical)
    if all(row.error for row in rows):
        return [_unusable(physical, rows)]
    refusing = [f"{row.name}: {_vlans(row)}" for row in rows if not carries(row, vlan)]
    wanted = "untagged frames" if vlan is None else f"VLAN {vlan}"
    bad = len(refusing) == len(rows)
    have = refusing if refusing else wanted
    facts = [Evidence("uplink.vlan", have, wanted, not bad, "ovsdb", repairable=False)]
    plain = [f"{row.name}: {_vlans(row)}" for row in rows if untags(row, vlan)]
    if plain:
        facts.append(Evidence("uplink.tag", plain, [], False, "ovsdb", repairable=False))
    return facts


def _apart(bridges: Bridges, bridge: str, physical: str) -> Evidence | None:
    """Patch ports join bridges of one datapath alone (ovs-vswitchd.conf.db(5), "patch")."""
    one, other = bridges.ovsdb.bridge(bridge), bridges.ovsdb.bridge(physical)
    kinds = [row.datapath_type or "system" for row in (one, other) if row is not None]
    if len(set(kinds)) < 2:
        return None
    have, wanted = kinds[1], kinds[0]
    return Evidence("uplink.datapath", f"{physical}: {have}", f"{bridge}: {wanted}", False, "ovsdb",
                    repairable=False)  # fmt: skip


def _nothing(work: Work, bridges: Bridges, physical: str) -> list[Evidence]:
    """No port leads out. Where one did before, it is missing; a bridge that never led anywhere is
    how one host is tried out."""
    far = bridges.ovsdb.port(marks.patch_names(work.names.bridge, physical)[1])
    before = far.external_ids.get(marks.UPLINKS, "") if far is not None else ""
    if not before:
        return []
    have = f"bridge {physical} has no port that leads out of the host"
    return [Evidence("uplink.port", have, before.split(","), False, "ovsdb", repairable=False)]


def _unusable(physical: str, rows: Sequence[PortRow]) -> Evidence:
    """The switch has no device for any port that leads out: a card that was renamed or pulled."""
    texts = "; ".join(row.error for row in rows)
    have = f"bridge {physical} has no port that leads out of the host and works ({texts})"
    names = [row.name for row in rows]
    return Evidence("uplink.port", have, names, False, "ovsdb", repairable=False)


def card_evidence(work: Work, bridges: Bridges, links: Links) -> list[Evidence]:
    """The cards that the host has no more, for who asks why: the userspace datapath keeps one that
    was renamed, and calls it down."""
    physical = bridges.mappings.get(work.names.physical_network or "")
    rows = bridges.uplinks(physical) if physical and bridges.ovsdb.bridge(physical) else []
    names = sorted({n for row in rows if row.type in ("", "system") for n in row.interfaces})
    gone = [name for name in names if name not in links.get(names)] if names else []
    if not gone:
        return []
    have = f"this host has no interface {', '.join(gone)} (renamed, pulled or deleted)"
    return [Evidence("uplink.port", have, gone, False, "netlink", repairable=False)]


class PortFlags:
    """The settings of the ports of bridges, each bridge read once: it answers with all its ports,
    so that to ask for each of a thousand would read a million."""

    def __init__(self, openflow: OpenFlow) -> None:
        self._openflow = openflow
        self._known: dict[str, Mapping[str, frozenset[str]] | None] = {}

    def of(self, bridge: str) -> Mapping[str, frozenset[str]] | None:
        """By port; ``None`` where they cannot be read."""
        if bridge not in self._known:
            try:
                self._known[bridge] = self._openflow.port_flags(bridge)
            except VifError:
                self._known[bridge] = None
        return self._known[bridge]


def port_evidence(work: Work, bridges: Bridges, flags: PortFlags) -> list[Evidence]:
    """OpenFlow settings that stop frames at the switch ports of the way; the bridges' own devices
    may be down."""
    names = work.names
    physical = bridges.mappings.get(names.physical_network or "")
    # whether a port of another program is up is that program's to say
    own = {names.patch} if names.hosted else {work.device, names.patch}
    return [
        *_stopped(flags, names.bridge, own, "ovsdb.openflow"),
        *(_stopped(flags, physical, {*bridges.way_out(names)} - {physical}, "uplink.openflow")
          if physical and bridges.ovsdb.bridge(physical) is not None else []),
    ]  # fmt: skip


def _stopped(known: PortFlags, bridge: str, names: set[str], fact: str) -> list[Evidence]:
    flags = known.of(bridge)
    if flags is None:
        return []
    found = [f"{n}: {', '.join(sorted(flags[n]))}" for n in sorted(names) if flags.get(n)]
    have = found or "nothing stops frames"
    return [Evidence(fact, have, "nothing stops frames", not found, "openflow", repairable=False)]


def _vlans(row: PortRow) -> str:
    mode = row.vlan_mode or ("access" if row.tag is not None else "trunk")
    tag = f", tag {row.tag}" if row.tag is not None else ""
    trunks = f", trunks {', '.join(map(str, row.trunks))}" if row.trunks else ""
    return f"mode {mode}{tag}{trunks}"


def untags(row: PortRow, vlan: int | None) -> bool:
    """Whether a port of a physical bridge takes the tag of a VLAN off what leaves by it."""
    if vlan is None or row.tag != vlan:
        return False
    return row.vlan_mode in ("", "access", "dot1q-tunnel", "native-untagged")


def carries(row: PortRow, vlan: int | None) -> bool:
    """Whether a port of a physical bridge carries a VLAN, by ``ovs-vswitchd.conf.db(5)``.

    :param vlan: ``None`` for untagged frames, which are VLAN 0
    """
    number, tag = vlan or 0, row.tag or 0
    if row.vlan_mode in ("access", "dot1q-tunnel") or (row.tag is not None and not row.vlan_mode):
        return number == tag
    native = row.vlan_mode.startswith("native") and number == tag
    return native or not row.trunks or number in row.trunks
