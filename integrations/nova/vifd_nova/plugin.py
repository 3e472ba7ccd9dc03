"""The os-vif plugin, and how it takes the place of others.

nova picks a plugin by a name that it computes itself, so this one must answer to other names than
its own. Two distributions that register one name would be a matter of directory order; therefore it
registers a name of its own, and puts itself before the configured ones when it is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import os_vif
from os_vif import exception, objects
from os_vif.plugin import PluginBase

from vifd_nova.asking import Vifd
from vifd_nova.client import Client
from vifd_nova.options import OPTIONS, Settings, settings
from vifd_nova.place import problem
from vifd_nova.translate import why_not

LOG = logging.getLogger(__name__)


class VifdPlugin(PluginBase):  # type: ignore[misc]
    """Registered as ``vifd``; serves VIFs of that plugin, and stands in for others."""

    CONFIG_OPTS = OPTIONS

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        made = settings(config)
        self.vifd = Vifd(Client(made.socket), made)

    @classmethod
    def load(cls, plugin_name: str) -> Any:
        """Register the options and take over what they name.

        Never raises: os-vif, and nova with it, would not start."""
        try:
            made = super().load(plugin_name)
            made.take_over(_loaded())
        except Exception:
            LOG.exception("vifd takes nothing over")
            return Nothing(None)
        return made

    def take_over(self, extensions: Iterable[Any]) -> list[str]:
        """Stand in for the configured plugins.

        :param extensions: os-vif's own list of what it loads
        :returns: the names that are taken over
        """
        wanted: Settings = self.vifd.settings
        if wanted.take_over and (why := problem()):
            LOG.error("vifd takes nothing over: %s", why)
            return []
        found = {e.name: e for e in extensions if e.name in wanted.take_over}
        for name, extension in found.items():
            _stand_in(extension, self.vifd)
            LOG.info("vifd plugs in the place of %s, by %s", name, wanted.socket)
        for name in set(wanted.take_over) - set(found):
            LOG.warning("[os_vif_vifd] take_over: there is no os-vif plugin %s here", name)
        return sorted(found)

    def describe(self) -> Any:
        names = ("VIFOpenVSwitch", "VIFVHostUser")
        info = [
            objects.host_info.HostVIFInfo(
                vif_object_name=name, min_version="1.0",
                max_version=getattr(objects.vif, name).VERSION,
            )
            for name in names
        ]  # fmt: skip
        return objects.host_info.HostPluginInfo(plugin_name="vifd", vif_info=info)

    def plug(self, vif: Any, instance_info: Any) -> None:
        if reason := why_not(vif):
            raise exception.PlugException(f"vifd: port {vif.id}: {reason}")
        self.vifd.plug(vif, instance_info)

    def unplug(self, vif: Any, instance_info: Any) -> None:
        self.vifd.unplug(vif)


class Nothing(PluginBase):  # type: ignore[misc]
    """Stands for a plugin that could not be loaded: it serves nothing."""

    def describe(self) -> Any:
        return objects.host_info.HostPluginInfo(plugin_name="vifd", vif_info=[])

    def plug(self, vif: Any, instance_info: Any) -> None:
        raise exception.PlugException("vifd: the plugin could not be loaded; see nova's log")

    def unplug(self, vif: Any, instance_info: Any) -> None:
        raise exception.UnplugException("vifd: the plugin could not be loaded; see nova's log")


class StandIn(PluginBase):  # type: ignore[misc]
    """Stands before another plugin: what vifd can serve goes to vifd, the rest where it went.

    :ivar own: the plugin whose place it takes
    """

    def __init__(self, own: Any, vifd: Vifd) -> None:
        super().__init__(getattr(own, "config", None))
        self.own = own
        self.vifd = vifd

    def describe(self) -> Any:
        return self.own.describe()

    def plug(self, vif: Any, instance_info: Any) -> None:
        if reason := why_not(vif):
            LOG.info("port %s is left to os-vif: %s", vif.id, reason)
            self.own.plug(vif, instance_info)
        else:
            self.vifd.plug(vif, instance_info)

    def unplug(self, vif: Any, instance_info: Any) -> None:
        if why_not(vif):
            self.own.unplug(vif, instance_info)
        else:
            self.vifd.unplug(vif)


def _loaded() -> list[Any]:
    """What os-vif is loading; a private name of it, held by a test against what is installed."""
    manager = os_vif._EXT_MANAGER
    return list(manager) if manager is not None else []


def _stand_in(extension: Any, vifd: Vifd) -> None:
    """Put a stand-in before a plugin, be it loaded already or only later."""
    original = extension.plugin

    class Later(StandIn):
        """Loads the plugin whose place it takes."""

        @classmethod
        def load(cls, plugin_name: str) -> Any:
            return StandIn(original.load(plugin_name), vifd)

    extension.plugin = Later
    if extension.obj is not None:
        extension.obj = StandIn(extension.obj, vifd)
