"""Whether a guest may move from another host's port to this host's, before it does. Pure.

All reasons at once: what is refused for one thing and then for the next costs a round each, and a
guest that has moved is not asked any more.
"""

from __future__ import annotations

from collections.abc import Iterator

from vifd.errors import MigrationUnfit
from vifd.model import Attachment, Phase, PortRecord, Vif
from vifd.policy.addresses import allowed

_SOCKET = "vhostuser"


def unfit(source: Attachment, vif: Vif | None, record: PortRecord) -> list[MigrationUnfit]:
    """Why the guest must not move; empty where it may.

    :param source: the document of the port on the host where the guest runs
    :param vif: what its guest was given there; ``None`` where it is not known
    :param record: the port here
    """
    return [
        MigrationUnfit(
            facts={"aspect": aspect, "there": there, "here": here}, stage="precheck", port=record.id
        )
        for aspect, there, here in (*_of_port(record), *_of_documents(source, record),
                                    *_of_guests(vif, record.vif))
    ]  # fmt: skip


_Difference = tuple[str, object, object]


def _of_port(record: PortRecord) -> Iterator[_Difference]:
    """The port here must be made and proven."""
    proven = record.phase in (Phase.READY, Phase.QUIESCED, Phase.LIVE)
    if record.removing or not record.applied or record.error is not None or not proven:
        code = str((record.error or {}).get("code", ""))
        yield "phase", Phase.READY.value, " ".join(filter(None, (record.phase.value, code)))


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
    ]
    secured = source.port.port_security_enabled or here.port.port_security_enabled
    if secured:
        pairs.append(("addresses", _addresses(source), _addresses(here)))
    yield from (pair for pair in pairs if pair[1] != pair[2])


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
