"""Plugins of other kinds under our contract.

A *source* is a class under the entry-point group ``vifd.plugin_sources``. It wraps plugins that
were written for something else (classic os-vif, say) into subclasses of
:class:`vifd.plugin.VifPlugin` and hands them over as :class:`vifd.plugin.registry.Found`, admitted
or refused by name. From there on nothing tells them from plugins of our own: each has its lane, its
deadline, its place in ``enabled_plugins`` and in the list of plugins.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.plugin import registry
from vifd.plugin.guarded import edge
from vifd.plugin.registry import Found

LOG = logging.getLogger(__name__)

#: The entry-point group in which sources are found.
GROUP = "vifd.plugin_sources"


class Source(abc.ABC):
    """Base class of every source.

    :cvar name: its name: equal to its entry point's, and the name of its option group
    :param conf: all options; its own are ``conf[name]``
    """

    name: ClassVar[str]

    def __init__(self, conf: Any) -> None:
        self.conf = conf

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        """The oslo.config options of the source's group."""
        return ()

    @abc.abstractmethod
    def find(self) -> list[Found]:
        """The plugins it brings. One that cannot be had is refused by name; a source that has
        nothing to do costs nothing and imports nothing."""


def installed() -> dict[str, type[Source]]:
    """The sources that can be loaded, by name; one that cannot is logged and costs only itself."""
    loading = registry.load(GROUP)
    found: dict[str, type[Source]] = {}
    for point in loading.points:
        target = loading.loaded.get(point)
        if isinstance(target, type) and issubclass(target, Source) and target.name == point.name:
            found[point.name] = target
        else:
            why = loading.failed.get(point) or "it is no source of that name"
            LOG.error("the plugin source %s (%s) cannot be used: %s", point.name, point.value, why)
    return found


def find(register: Callable[[type[Source]], Any], own: Collection[str] = ()) -> list[Found]:
    """What all sources bring.

    :param register: registers a source's options and returns all options
    :param own: names of plugins that are installed as such; a namesake of one is refused
    """
    found: list[Found] = []
    for name, cls in installed().items():
        try:
            with edge(name, "find"):
                brought = _brought(cls(register(cls)).find())
        except Exception as error:  # noqa: BLE001 - a source must not cost the others
            brought = [_broken(name, error)]
        taken = {*own, *(f.name for f in found)}
        found += [_namesake(f) if f.name in taken else f for f in brought]
    return found


def _brought(answer: object) -> list[Found]:
    """:raises TypeError: a source brought what is no plugin, admitted or refused"""
    if not isinstance(answer, list) or not all(isinstance(one, Found) for one in answer):
        raise TypeError("it brought what is no list of plugins")
    return answer


def _broken(name: str, error: Exception) -> Found:
    reason = f"the source failed: {type(error).__name__}: {error}"
    return registry.refused(name, GROUP, "", reason)


def _namesake(found: Found) -> Found:
    reason = f"another plugin is named {found.name!r}; keep one"
    return registry.refused(found.name, found.distribution, found.target, reason)
