"""The plugin source ``osvif``: classic os-vif plugins that ``[osvif] plugins`` names."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import ClassVar

from oslo_config import cfg

from vifd.plugin import registry
from vifd.plugin.osvif import options
from vifd.plugin.osvif.options import Settings
from vifd.plugin.registry import Found
from vifd.plugin.sources import Source

#: The entry-point group of classic plugins.
GROUP = "os_vif"


class OsVifSource(Source):
    """Loads the plugins that were asked for, one by one; each that cannot be is refused by name."""

    name: ClassVar[str] = "osvif"

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    def find(self) -> list[Found]:
        settings = options.settings(self.conf)
        if not settings.plugins:
            return []
        points = registry.installed(GROUP)
        return [self._find(name, points, settings) for name in settings.plugins]

    def _find(self, name: str, points: Sequence[EntryPoint], settings: Settings) -> Found:
        full = f"osvif-{name}"
        if importlib.util.find_spec("os_vif") is None:
            reason = "os-vif is not installed (pip install 'vifd[osvif]')"
            return registry.refused(full, "", "", reason)
        found = [p for p in points if p.name == name]
        if len(found) != 1:
            have = ", ".join(sorted({p.name for p in points})) or "none"
            reason = f"{len(found)} os-vif plugins have the name {name!r} (installed: {have})"
            return registry.refused(full, "", "", reason)
        return _host(full, found[0], settings)


def _host(full: str, point: EntryPoint, settings: Settings) -> Found:
    # Imported once there is something to host.
    from vifd.plugin.osvif.loading import Refused, load
    from vifd.plugin.osvif.plugin import hosting

    try:
        hosted = load(point, settings)
    except Refused as error:
        return registry.refused(full, _distribution(point), point.value, str(error))
    return Found(full, hosted.distribution, point.value, cls=hosting(hosted, settings))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else ""
