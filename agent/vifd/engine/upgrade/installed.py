"""Who installed what is on the host, as it is remembered over restarts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from vifd.plugin import VifPlugin

LOG = logging.getLogger(__name__)


class Made(Struct, frozen=True):
    """How a plugin makes ports.

    :param recipe: see :meth:`vifd.plugin.VifPlugin.fingerprint`
    """

    version: str
    recipe: str = ""


class InstalledVersions(Struct, frozen=True):
    """The versions of the daemon and of its plugins."""

    vifd: str
    plugins: dict[str, Made] = field(default_factory=dict)


def present(vifd: str, plugins: Mapping[str, VifPlugin]) -> InstalledVersions:
    """The installed of what runs now."""
    return InstalledVersions(
        vifd, {name: Made(p.plugin_version, _recipe(p)) for name, p in plugins.items()}
    )


def _recipe(plugin: VifPlugin) -> str:
    try:
        return plugin.fingerprint()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        LOG.warning("plugin %s cannot tell how it makes ports: %s", plugin.plugin_name, error)
        return ""


def differences(
    old: InstalledVersions | None, new: InstalledVersions, used: Iterable[str]
) -> list[str]:
    """What is not as it was, in words, of the daemon and of the plugins that have ports.

    :param old: ``None`` where nothing was remembered
    """
    if old is None:
        return ["it is not known which version plugged the ports of this host"]
    found = [f"vifd {old.vifd} became {new.vifd}"] if old.vifd != new.vifd else []
    for name in sorted(used):
        before, now = old.plugins.get(name), new.plugins.get(name)
        if now is None or before == now:
            continue
        if before is None or before.version != now.version:
            was = before.version if before else "(unknown)"
            found.append(f"plugin {name} {was} became {now.version}")
        else:
            found.append(f"plugin {name} makes ports in another way")
    return found
