"""Loading one classic plugin, whatever it does meanwhile."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from oslo_config import cfg

from vifd.plugin.osvif import privileges
from vifd.plugin.osvif.describing import Description, describe
from vifd.plugin.osvif.options import Settings

LOG = logging.getLogger(__name__)

#: Options of the compute service that classic plugins of vendors read without bringing them along.
_COMPUTE = (
    cfg.StrOpt("virt_type", default="kvm"),
    cfg.BoolOpt("use_virtio_for_bridges", default=True),
)


@dataclass(frozen=True)
class Hosted:
    """A classic plugin that was loaded.

    :param name: its name for os-vif
    :param plugin: the os-vif object
    """

    name: str
    plugin: Any
    description: Description
    distribution: str
    version: str


class Refused(Exception):
    """It cannot be hosted; the text is the reason."""


def load(point: EntryPoint, settings: Settings) -> Hosted:
    """Load a plugin on a thread of its own.

    :raises Refused: it raised, or was not done in time; a thread that hangs is left behind
    """
    result: list[Hosted | BaseException] = []

    def work() -> None:
        try:
            result.append(_load(point, settings))
        except BaseException as error:  # noqa: BLE001 - assertions and exits are what they raise
            result.append(error)

    thread = threading.Thread(target=work, name=f"load-osvif-{point.name}", daemon=True)
    thread.start()
    thread.join(settings.load_timeout)
    if not result:
        raise Refused(f"it did not load within {settings.load_timeout:g} s")
    (outcome,) = result
    if isinstance(outcome, Hosted):
        return outcome
    raise Refused(f"it cannot be loaded: {type(outcome).__name__}: {outcome}") from outcome


def _load(point: EntryPoint, settings: Settings) -> Hosted:
    import os_vif.objects

    os_vif.objects.register_all()
    cls = point.load()
    lacking = [v for v in ("load", "describe", "plug", "unplug") if not hasattr(cls, v)]
    if lacking:
        raise TypeError(f"its class lacks {', '.join(lacking)}")
    _prepare_options(point.name, cls, settings)
    privileges.take()
    plugin = cls.load(point.name)
    description = describe(plugin)
    if description.unknown:
        LOG.info("os-vif plugin %s: not served: %s", point.name, ", ".join(description.unknown))
    dist = point.dist
    return Hosted(
        name=point.name,
        plugin=plugin,
        description=description,
        distribution=f"{dist.name} {dist.version}" if dist else "(unknown distribution)",
        version=dist.version if dist else "0",
    )


def _prepare_options(name: str, cls: Any, settings: Settings) -> None:
    """Classic plugins read the process's own configuration; some of it has better defaults here."""
    group = f"os_vif_{name}"
    options = list(getattr(cls, "CONFIG_OPTS", None) or ())
    if options:
        cfg.CONF.register_group(cfg.OptGroup(group))
        cfg.CONF.register_opts(options, group=group)
        if settings.ovsdb_connection and any(o.dest == "ovsdb_connection" for o in options):
            cfg.CONF.set_default("ovsdb_connection", settings.ovsdb_connection, group=group)
    for option in _COMPUTE:
        with contextlib.suppress(cfg.DuplicateOptError):
            cfg.CONF.register_opt(option, group="libvirt")
