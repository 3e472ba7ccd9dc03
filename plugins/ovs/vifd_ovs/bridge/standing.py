"""Ports that stand on a bridge with our marks: their names, as far as the host tells them, held
against what would be chosen for their document."""

from __future__ import annotations

from msgspec.structs import replace

from vifd.model import Attachment
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.numbers import Taken
from vifd_ovs.bridge.wiring import NOWHERE, OvsWiring, segment_of

#: Network types whose frames leave the host through a physical bridge.
CARRIED = ("flat", "vlan")


def physical_network(attachment: Attachment) -> str | None:
    """The physical network that frames of a port leave the host by."""
    segment = attachment.network.segment
    return segment.physical_network if segment.network_type in CARRIED else None


def completed(attachment: Attachment, names: OvsWiring, bridges: Bridges) -> OvsWiring:
    """Names with everything that document and configuration decide as these have it, whatever the
    names were rebuilt from. Where the physical network has no bridge now, its way stays as it is.
    """
    physnet = physical_network(attachment)
    kind, _, number = segment_of(attachment.network.segment)
    mapped = physnet is None or physnet in bridges.mappings
    wanted = replace(
        names,
        network_id=attachment.network.id,
        network_type=kind,
        physical_network=physnet,
        segmentation_id=number,
        patch=bridges.patch_name(physnet, names.bridge) if mapped else names.patch,
    )
    return names if wanted == names else wanted


def joined(found: OvsWiring, chosen: OvsWiring, taken: Taken) -> OvsWiring:
    """What was found of a port, with the rest as it would be chosen for a new one. Pure.

    A local VLAN id that the ledger has for another network, or not for this one, is not believed:
    the port would be in the wrong network.
    """
    network = (chosen.network_id, *chosen.segment)
    free = 0 < found.tag < NOWHERE and found.tag not in taken.tags
    tag = taken.networks.get(network, found.tag if free else chosen.tag)
    number_free = found.ofport > 0 and found.ofport not in taken.ofports
    return replace(
        chosen,
        bridge=found.bridge,
        tag=tag,
        port_tag=found.port_tag if found.port_tag is not None else taken.shared.get(tag),
        ofport=found.ofport if number_free else chosen.ofport,
        generation=found.generation or chosen.generation,
        interface_type=found.interface_type,
        socket=found.socket,
        before=found.before,
    )
