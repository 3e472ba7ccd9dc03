"""Taking over what others plugged."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class AdoptionAbsent(VifError):
    """Nothing on this host belongs to the port that was to be adopted."""

    code = "E_ADOPT_ABSENT"
    reached = "vifctl adopt of a port that no switch port names in its iface-id"
    klass = "adoption"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "no switch port of this host has iface-id {port}"
    remediation = "plug the port, or set external_ids:iface-id of its interface and adopt again"


class AdoptionUnfit(VifError):
    """What is there cannot be taken over without cutting its traffic."""

    code = "E_ADOPT_UNFIT"
    reached = "vifctl adopt of a port whose device, VLAN or number vifd could not keep as it is"
    klass = "adoption"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "{device} cannot be taken over as it is: {problem}"
    remediation = "move its guest away and plug the port with vifd"
