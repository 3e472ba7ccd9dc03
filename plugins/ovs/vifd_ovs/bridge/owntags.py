"""Tags that guests set themselves, on a bridge of Open vSwitch: what the switch makes of them.

Tags are matched and put on one by one; so a frame with one tag is carried everywhere. What stands
beneath two tags the switch shows where it is told to look there, which by default it is not.
"""

from __future__ import annotations

import re

from vifd.drivers import Drivers
from vifd.errors import VifError
from vifd.policy import owntags

#: What is enforced, each with what is not done of it.
CAVEATS = dict.fromkeys(
    owntags.FEATURES,
    "a tag takes 4 bytes, for which what the network leaves the host by needs room above its MTU; "
    "port security judges the frame beneath one tag, and refuses what has more",
)
FEATURES = frozenset((*owntags.FEATURES, owntags.BENEATH))
#: So many tags the switch looks at where it is not told otherwise (ovs-vswitchd.conf.db(5)).
_USUAL = 1
_TOLD = "vlan-limit"
_DATAPATH = re.compile(r"^Max VLAN headers: (\d+)$", re.MULTILINE)


def shallow(drivers: Drivers, bridge: str) -> str:
    """Why the switch does not look beneath two tags; empty where it does, and where that cannot be
    told."""
    limit = _limit(drivers.ovsdb.facts().get("other_config") or {})
    if limit == 1:
        return (
            "Open vSwitch looks at one VLAN tag: `ovs-vsctl set Open_vSwitch . "
            f"other_config:{_TOLD}=2` and a restart of ovs-vswitchd have it look at two"
        )
    if drivers.ovsdb.bridge(bridge) is None:
        return ""
    try:
        told = _DATAPATH.search(drivers.tracer.call("dpif/show-dp-features", bridge))
    except VifError:
        return ""
    if told is not None and int(told[1]) < 2:
        return f"the datapath of bridge {bridge} looks at {told[1]} VLAN tag"
    return ""


def _limit(config: dict[str, str]) -> int:
    """How many tags the switch is told to look at; 0: as many as it can."""
    told = config.get(_TOLD, "")
    return int(told) if told.isdecimal() else _USUAL
