"""What a classic plugin serves.

Its own ``describe`` names the object classes, and is believed in that. The versions it states were
often written once and forgotten (os-vif's own ``ovs`` states 1.0 of a port profile at 1.4), so they
are taken from the classes that are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Classes of os-vif that an attachment can be made into, in order of preference, and our VIF type
#: for each.
VIF_TYPES = {
    "VIFOpenVSwitch": "ovs",
    "VIFGeneric": "tap",
    "VIFBridge": "bridge",
    "VIFVHostUser": "vhostuser",
    "VIFHostDevice": "hostdev",
    "VIFDirect": "macvtap",
}


@dataclass(frozen=True)
class Description:
    """What a plugin serves.

    :param vif_types: our VIF types, in order of preference, with the class of each
    :param profiles: per class, the port profiles it understands
    :param versions: of every class named, as installed
    :param stated: the highest versions that the plugin states, by class
    :param unknown: classes it names that are not installed, or that no attachment can be made into
    """

    vif_types: Mapping[str, str]
    profiles: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]
    stated: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For the operator."""
        wrong = {n: v for n, v in self.stated.items() if self.versions.get(n, v) != v}
        return {"objects": dict(self.versions), "stated_otherwise": wrong,
                "not_served": list(self.unknown)}  # fmt: skip


def describe(plugin: Any) -> Description:
    """Ask a plugin for its object classes and look their versions up.

    :raises ValueError: it names none that an attachment can be made into
    """
    vif_types: dict[str, str] = {}
    profiles: dict[str, tuple[str, ...]] = {}
    versions: dict[str, str] = {}
    stated: dict[str, str] = {}
    unknown: list[str] = []
    for info in plugin.describe().vif_info:
        name = str(info.vif_object_name)
        stated[name] = str(info.max_version)
        version = installed_version(name)
        if version is None or name not in VIF_TYPES:
            unknown.append(name)
            continue
        versions[name] = version
        vif_types[VIF_TYPES[name]] = name
        known = _profiles(info, stated, versions)
        profiles[name] = known
    if not vif_types:
        have = ", ".join(unknown) or "nothing"
        raise ValueError(f"it describes no VIF class that can be served ({have})")
    ordered = {kind: vif_types[kind] for kind in VIF_TYPES.values() if kind in vif_types}
    return Description(ordered, profiles, versions, stated, tuple(unknown))


def _profiles(info: Any, stated: dict[str, str], versions: dict[str, str]) -> tuple[str, ...]:
    # Absent from adverts of version 1.0.
    listed = info.supported_port_profiles if "supported_port_profiles" in info else ()
    known = []
    for profile in listed:
        name = str(profile.profile_object_name)
        stated[name] = str(profile.max_version)
        version = installed_version(name)
        if version is not None:
            versions[name] = version
            known.append(name)
    return tuple(known)


def installed_version(name: str) -> str | None:
    """The newest version of an object class that is installed, or ``None``."""
    from oslo_versionedobjects import base

    classes = base.VersionedObjectRegistry.obj_classes().get(name, ())
    versions = [str(cls.VERSION) for cls in classes]
    return max(versions, key=_number, default=None)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
