"""Taking over what others plugged, and giving it back."""

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


class ReleaseUnfit(VifError):
    """Once given back, the port would be in nobody's hand, or it is not known to have been."""

    code = "E_RELEASE_UNFIT"
    reached = "vifctl port release of a port that vifd made, or on a bridge that only vifd serves"
    klass = "adoption"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "{device} would not go on as it is if it were given back: {problem}"
    remediation = (
        "vifctl port unplug removes it; vifctl port release --force leaves device and switch port "
        "to whoever passes its frames from then on"
    )


class ReleaseUnsupported(VifError):
    """The plugin of the port cannot leave a port behind."""

    code = "E_RELEASE_UNSUPPORTED"
    reached = "vifctl port release of a port whose plugin only makes and removes ports"
    klass = "adoption"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "plugin {plugin} cannot give a port back: it makes ports and removes them"
    remediation = "move its guest away and unplug the port"
