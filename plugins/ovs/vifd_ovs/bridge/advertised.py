"""What every plugin on a bridge of Open vSwitch can do."""

from __future__ import annotations

from vifd.plugin import ANSWERS, REPORTED, Advert
from vifd.policy import answering
from vifd.policy.groups import UNSEEN
from vifd.policy.logged import FEATURE
from vifd_ovs.bridge import owntags, shaping
from vifd_ovs.bridge.overlay import OVERLAYS
from vifd_ovs.bridge.policy_match import CAVEAT, PORTS_CAVEAT

#: What a plugged port may change in its document without being unplugged.
CHANGEABLE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner",
    "network.mtu", "network.name", "network.segment.id", "network.segment.segmentation_id",
    "network.qos_policy",
    "instance.name", "instance.project_id", "instance.vcpus", "instance.flavor_extra_specs",
    "instance.image_properties", *REPORTED,
)  # fmt: skip

#: For the VIF types of a plugin that says which.
ADVERT = Advert(
    vif_types=(),
    vnic_types=("normal",),
    network_types=("local", "flat", "vlan", *OVERLAYS),
    features=frozenset(
        {
            "port_security",
            "allowed_address_pairs",
            "security_groups",
            "multiqueue",
            "mtu",
            "admin_state",
            "trunk",
            *owntags.FEATURES,
            ANSWERS,
            FEATURE,
            *shaping.FEATURES,
        }
    ),
    caveats={
        "port_security": CAVEAT,
        "security_groups": PORTS_CAVEAT,
        ANSWERS: answering.CAVEAT,
        **owntags.CAVEATS,
    },
    unseen_ports=UNSEEN,
    in_place=frozenset(CHANGEABLE),
)
