"""What the plugin says of itself: which ports it serves, what it enforces, and what it does not."""

from __future__ import annotations

from vifd.plugin import ANSWERS, REPORTED, Advert
from vifd.policy import answering, owntags
from vifd.policy.groups import UNSEEN
from vifd.policy.logged import FEATURE
from vifd_linuxbridge import shaping
from vifd_linuxbridge.policy_match import CAVEAT

VIF_TYPE = "bridge"
#: What is not done of security groups, for the enforcement report.
GROUPS_CAVEAT = (
    "ports of DCCP and UDP-Lite are not told apart, so that a rule about them lets nothing pass; "
    "frames of this host itself are judged by the connections that it follows itself; where the "
    "rule set can be flushed (before Linux 6.9), rules hold again once the flush was noticed"
)

#: The same of tags that guests set themselves.
TAGS_CAVEAT = (
    "a tag takes 4 bytes, for which what the network leaves the host by needs room above its MTU; "
    "port security judges the frame beneath one tag, and refuses what has more"
)
#: Why a service provider's networks are not carried.
LACKING = {
    owntags.QINQ: "the VLAN devices of its networks are of IEEE 802.1Q: none has a service "
    "provider's tag",
}

#: What a plugged port may change in its document without being unplugged.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner", "port.qos_policy",
    "network.qos_policy", "network.mtu", "network.name", "network.segment.id",
    "instance.name", "instance.project_id", "instance.vcpus",
    "instance.flavor_extra_specs", "instance.image_properties", *REPORTED,
)  # fmt: skip

ADVERT = Advert(
    vif_types=(VIF_TYPE,),
    vnic_types=("normal",),
    network_types=("local", "flat", "vlan", "vxlan"),
    features=frozenset(
        {
            "port_security",
            "allowed_address_pairs",
            "security_groups",
            "multiqueue",
            "mtu",
            "admin_state",
            "trunk",
            owntags.TRANSPARENT,
            owntags.BENEATH,
            ANSWERS,
            FEATURE,
            *shaping.FEATURES,
        }
    ),
    caveats={
        "port_security": CAVEAT,
        "security_groups": GROUPS_CAVEAT,
        owntags.TRANSPARENT: TAGS_CAVEAT,
        ANSWERS: f"{answering.CAVEAT}; ports without port security are not answered",
        **shaping.CAVEATS,
    },
    lacking=LACKING,
    unseen_ports=UNSEEN,
    in_place=frozenset(IN_PLACE),
    hands_over=True,
    takes_over=True,
)
