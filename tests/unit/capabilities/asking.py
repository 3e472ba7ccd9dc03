"""Attachments that ask for something, and hosts that have something."""

from __future__ import annotations

from typing import Any

from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.needs import Needs
from vifd.capabilities.requirements import needs_of
from vifd.model import Attachment
from vifd.plugin import Advert
from vifd.testing.attachments import attachment

FEATURES = frozenset({"port_security", "allowed_address_pairs", "multiqueue", "mtu", "admin_state"})
OVS = Advert(vif_types=("ovs",), network_types=("local", "flat", "vlan"), features=FEATURES)
VHOST = Advert(vif_types=("vhostuser",), network_types=("local", "vlan"), features=FEATURES)
NOOP = Advert(vif_types=("noop",), network_types=("local",), on_request=True)


def asking(
    flavor: dict[str, Any] | None = None,
    image: dict[str, Any] | None = None,
    *,
    vcpus: int = 4,
    numa_nodes: list[int] | None = None,
    **port: Any,
) -> Attachment:
    """An attachment whose guest has this flavor and image."""
    instance = {
        "vcpus": vcpus,
        "flavor_extra_specs": flavor or {},
        "image_properties": image or {},
        "numa_nodes": numa_nodes or [],
    }
    return attachment(1, instance=instance, **port)


def needs(flavor: Any = None, image: Any = None, **more: Any) -> Needs:
    return needs_of(asking(flavor, image, **more))


def host(**values: Any) -> Inventory:
    """A host that has these capabilities; one whose value is ``None`` is known to be absent."""
    return Inventory(
        {
            name: Capability(name, present=value is not None, value=value, missing="get one")
            for name, value in values.items()
        }
    )
