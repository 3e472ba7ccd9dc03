"""What a host can serve, as os-vif's ``HostInfo``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vifd.plugin.vifs.kinds import Kind, Named
from vifd.plugin.vifs.objects import VersionedObject

_VIF_INFO = ("vif_object_name", "min_version", "max_version")
_PROFILE_INFO = ("profile_object_name", "min_version", "max_version")


class HostInfo(VersionedObject, history={"1.0": ("plugin_info",)}):
    """The plugins of a host."""


class HostPluginInfo(VersionedObject, history={"1.0": ("plugin_name", "vif_info")}):
    """A plugin and the VIF classes that it serves."""


class HostVIFInfo(VersionedObject, history={"1.0": _VIF_INFO, "1.1": ("supported_port_profiles",)}):
    """A VIF class and its versions."""


class HostPortProfileInfo(VersionedObject, history={"1.0": _PROFILE_INFO}):
    """A port profile and its versions."""


def host_info(plugins: Mapping[str, Iterable[Kind]]) -> dict[str, Any]:
    """The serialised ``HostInfo`` of these plugins, each with its VIF types.

    Two VIF types of one plugin that are the same class there are said once.
    """
    return HostInfo(
        plugin_info=[
            HostPluginInfo(
                plugin_name=name,
                vif_info=[_vif(kind) for kind in {k.vif.name: k for k in kinds}.values()],
            )
            for name, kinds in plugins.items()
        ]
    ).primitive()


def _vif(kind: Kind) -> HostVIFInfo:
    return HostVIFInfo(
        vif_object_name=kind.vif.name,
        supported_port_profiles=[
            HostPortProfileInfo(profile_object_name=profile.name, **_bounds(profile))
            for profile in kind.profiles
        ],
        **_bounds(kind.vif),
    )


def _bounds(named: Named) -> dict[str, str | None]:
    return {"min_version": named.versions.min, "max_version": named.versions.max}
