"""Which classes stand for which of our VIF types, and in which versions a plugin has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vifd.plugin.vifs import vif
from vifd.plugin.vifs.objects import VersionedObject, find
from vifd.plugin.vifs.versions import Range, highest

#: By VIF type, the class of the VIF and those of port profiles, the preferred one first.
KINDS: Mapping[str, tuple[type[VersionedObject], tuple[type[VersionedObject], ...]]] = {
    "ovs": (vif.VIFOpenVSwitch, (vif.VIFPortProfileOpenVSwitch,)),
    "vhostuser": (vif.VIFVHostUser, (vif.VIFPortProfileOpenVSwitch, vif.VIFPortProfileBase)),
    "bridge": (vif.VIFBridge, (vif.VIFPortProfileBase, vif.VIFPortProfileOpenVSwitch)),
    "tap": (vif.VIFGeneric, (vif.VIFPortProfileBase,)),
    "noop": (vif.VIFGeneric, (vif.VIFPortProfileBase,)),
    "hostdev": (vif.VIFHostDevice, (vif.VIFPortProfileBase, vif.VIFPortProfileOpenVSwitch)),
    "macvtap": (vif.VIFDirect, (vif.VIFPortProfileBase,)),
}  # fmt: skip
#: What a VIF type of a foreign plugin is for others: a device of some name.
UNKNOWN = KINDS["tap"]


@dataclass(frozen=True)
class Named:
    """A class, and the versions of it that can be served."""

    name: str
    versions: Range

    def common(self, wanted: Range) -> str | None:
        """The highest version that both sides have."""
        cls = find(self.name)
        return highest(cls.history if cls else (), self.versions, wanted)


@dataclass(frozen=True)
class Kind:
    """A VIF type in the words of the services.

    :param profiles: the port profiles, the preferred one first
    """

    vif: Named
    profiles: tuple[Named, ...]


def kind_of(
    vif_type: str,
    profiles: Sequence[str] = (),
    installed: Mapping[str, str] | None = None,
) -> Kind:
    """The classes and versions of a VIF type.

    :param profiles: names of the port profiles that are understood; those usual for the type by
        default. Unknown ones are left out.
    :param installed: the newest version of each class that a plugin has, where it brings its own
    """
    return _kind(vif_type, tuple(profiles), tuple(installed.items()) if installed else ())


@lru_cache(maxsize=1024)
def _kind(vif_type: str, profiles: tuple[str, ...], installed: tuple[tuple[str, str], ...]) -> Kind:
    """Asked for with every port, and always the same."""
    cls, usual = KINDS.get(vif_type, UNKNOWN)
    known = [found for name in profiles if (found := find(name)) is not None] or usual
    newest = dict(installed)
    return Kind(_named(cls, newest), tuple(_named(profile, newest) for profile in known))


def _named(cls: type[VersionedObject], newest: Mapping[str, str]) -> Named:
    ours = cls.versions()
    bound = newest.get(cls.__name__)
    top = highest(cls.history, ours, Range(ours.min, bound)) if bound else ours.max
    return Named(cls.__name__, Range(ours.min, top or ours.min))
