"""Whether a guest may move from another host's port to this host's, before it does. Pure.

All reasons at once: what is refused for one thing and then for the next costs a round each, and a
guest that has moved is not asked any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vifd.errors import MigrationUnfit
from vifd.model import Attachment, Evidence, Phase, PortRecord, Vif
from vifd.model.members import groups_of
from vifd.plugin.guest import features
from vifd.policy.addresses import allowed

_SOCKET = "vhostuser"


def unfit(
    source: Attachment,
    vif: Vif | None,
    record: PortRecord,
    others: Callable[[str], PortRecord | None] = lambda _port: None,
    facts: Sequence[Evidence] = (),
) -> list[MigrationUnfit]:
    """Why the guest must not move; empty where it may.

    :param source: the document of the port on the host where the guest runs
    :param vif: what its guest was given there; ``None`` where it is not known
    :param record: the port here
    :param others: the other ports here, by id: the sub-ports of a trunk come along
    :param facts: what was read back of the port there
    """
    return [
        MigrationUnfit(
            facts={"aspect": aspect, "there": there, "here": here}, stage="precheck", port=record.id
        )
        for aspect, there, here in (
            *_of_port(record), *_of_documents(source, record),
            *_of_sub_ports(source, record, others), *_of_guests(vif, record.vif),
            *_of_features(facts, record),
        )
    ]  # fmt: skip


_Difference = tuple[str, object, object]


def _of_port(record: PortRecord, aspect: str = "phase") -> Iterator[_Difference]:
    """A port here must be made and proven."""
    proven = record.phase in (Phase.READY, Phase.QUIESCED, Phase.LIVE)
    if record.removing or not record.applied or record.error is not None or not proven:
        code = str((record.error or {}).get("code", ""))
        yield aspect, Phase.READY.value, " ".join(filter(None, (record.phase.value, code)))


def _of_documents(source: Attachment, record: PortRecord) -> Iterator[_Difference]:
    """The guest takes its MAC, its MTU and its addresses along, and finds the same segment."""
    here = record.doc.attachment
    pairs: list[_Difference] = [
        ("MAC address", source.mac, here.mac),
        ("network", source.network.id, here.network.id),
        ("segment", _segment(source), _segment(here)),
        ("MTU", source.network.mtu, here.network.mtu),
        ("VNIC type", source.port.vnic_type, here.port.vnic_type),
        ("port security", source.port.port_security_enabled, here.port.port_security_enabled),
        ("administrative state", _state(source), _state(here)),
        ("security groups", _groups(source), _groups(here)),
    ]
    secured = source.port.port_security_enabled or here.port.port_security_enabled
    if secured:
        pairs.append(("addresses", _addresses(source), _addresses(here)))
    yield from (pair for pair in pairs if pair[1] != pair[2])


def _of_sub_ports(
    source: Attachment, record: PortRecord, others: Callable[[str], PortRecord | None]
) -> Iterator[_Difference]:
    """Those of a trunk: the same, by the same VLANs, and each of them made and proven here."""
    there, here = _sub_ports(source), _sub_ports(record.doc.attachment)
    if there != here:
        yield "sub-ports", there, here
    trunk = record.doc.attachment.port.trunk_details
    for sub in trunk.sub_ports if trunk is not None else ():
        known, aspect = others(sub.port_id), f"sub-port {sub.port_id}"
        if known is None:
            yield aspect, Phase.READY.value, "unknown"
        else:
            yield from _of_port(known, aspect)


def _sub_ports(attachment: Attachment) -> list[str]:
    trunk = attachment.port.trunk_details
    found = trunk.sub_ports if trunk is not None else []
    return sorted(f"{s.port_id} by VLAN {s.segmentation_id or 'of its network'}" for s in found)


def _state(attachment: Attachment) -> str:
    return "up" if attachment.port.admin_state_up else "down"


def _groups(attachment: Attachment) -> list[str] | str:
    groups = groups_of(attachment)
    return "not asked for" if groups is None else sorted(groups)


def _segment(attachment: Attachment) -> list[object]:
    segment = attachment.network.segment
    return [segment.network_type, segment.physical_network, segment.segmentation_id]


def _addresses(attachment: Attachment) -> list[str]:
    """What the guest may send from, as one can read it."""
    found = allowed(attachment)
    return sorted(f"{a.mac} {prefix}" for a in found for prefix in (*a.ipv4, *a.ipv6))


def _of_guests(there: Vif | None, here: Vif | None) -> Iterator[_Difference]:
    """The guest's device has the queues and features that it had when it booted."""
    if here is None or there is None:
        return
    if (there.type == _SOCKET) != (here.type == _SOCKET):
        # what the two negotiate with the guest's driver differs, and QEMU refuses the stream
        yield "kind of device", there.type, here.type
    if there.queues != here.queues:
        yield "queues", there.queues, here.queues
    if there.model != here.model:
        yield "model", there.model, here.model
    if there.mtu != here.mtu:
        yield "MTU of the device", there.mtu, here.mtu
    if here.type == _SOCKET and not here.socket_path:
        yield "socket", there.socket_path, "none"


def _of_features(there: Sequence[Evidence], record: PortRecord) -> Iterator[_Difference]:
    """What the guest's driver agreed upon stays for as long as the guest runs."""
    here = record.report.evidence if record.report is not None else ()
    for name, why in features.missing(there, here).items():
        yield f"virtio feature {name}", "in use", f"not offered ({why})"
