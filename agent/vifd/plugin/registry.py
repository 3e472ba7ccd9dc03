"""Finding the plugins that are installed, and refusing bad ones at the door, by name.

stevedore loads the entry points. It drops one that fails to import without a word, its guard
against duplicate names misses non-adjacent ones, and its cache of what is installed lies in the
home directory, without the names of the distributions; so all of that is done here.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, cast

from stevedore import ExtensionManager
from stevedore.extension import Extension

from vifd import errors
from vifd.plugin import CONTRACT_VERSION, GROUP, VERBS, VifPlugin, judging
from vifd.plugin.guarded import edge, guarded

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """An entry point of the group, admitted or refused.

    :param cls: the class; ``None`` where it was refused
    :param refusal: why, where it was refused
    """

    name: str
    distribution: str
    target: str
    cls: type[VifPlugin] | None = None
    refusal: errors.PluginRefused | None = None


def discover(
    enabled: Sequence[str] = (),
    *,
    group: str = GROUP,
    more: Callable[[Sequence[str]], Sequence[Found]] = lambda _names: (),
) -> list[Found]:
    """Every plugin that is installed, in the order of ``enabled``, else by preference and name.

    :param enabled: names to admit, in order of preference; empty admits all. A name in it that is
        not installed appears as refused.
    :param more: brings plugins that are no entry points of the group, given the names of those
        that are (:mod:`vifd.plugin.sources`)
    """
    loading = load(group, enabled)
    chosen = [point for point in loading.points if not enabled or point.name in enabled]
    found = judge(chosen, loading.loaded, loading.failed)
    return _order([*found, *more([point.name for point in loading.points])], enabled)


@dataclass(frozen=True)
class Loading:
    """The entry points of a group, and what came of loading each."""

    points: list[EntryPoint]
    loaded: Mapping[EntryPoint, object]
    failed: dict[EntryPoint, BaseException]


def load(group: str = GROUP, only: Collection[str] = ()) -> Loading:
    """Load every entry point of a group; whatever a module does at import costs only itself.

    :param only: names to load; the others are told, and cost nothing. Empty loads all.
    """
    failed: dict[EntryPoint, BaseException] = {}

    def on_failure(_manager: Any, point: EntryPoint, error: BaseException) -> None:
        cause = error.__cause__ if isinstance(error, _Unloadable) else error
        failed[point] = judging.sound_error(cause or error)

    points = installed(group)
    wanted = [point for point in points if not only or point.name in only]
    manager = _Manager(group, wanted, on_failure)
    return Loading(points, {ext.entry_point: ext.plugin for ext in manager}, failed)


class _Unloadable(Exception):
    """Carries what stevedore would let through: an assertion, an exit."""


class _Manager(ExtensionManager[Any]):
    """stevedore without its cache."""

    def __init__(
        self, group: str, points: list[EntryPoint],
        on_failure: Callable[[Any, EntryPoint, BaseException], None],
    ) -> None:  # fmt: skip
        self._points = points
        super().__init__(group, on_load_failure_callback=on_failure)

    def list_entry_points(self) -> list[EntryPoint]:
        return self._points

    def _load_one_plugin(
        self, ep: EntryPoint, invoke_on_load: bool, invoke_args: Any, invoke_kwds: Any
    ) -> Extension[Any] | None:
        try:
            return super()._load_one_plugin(ep, invoke_on_load, invoke_args, invoke_kwds)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _Unloadable from error


def installed(group: str) -> list[EntryPoint]:
    """The entry points of a group, each with its distribution; of two copies of a distribution the
    one that is first on the path counts, as for imports."""
    points: list[EntryPoint] = []
    seen = set()
    for dist in distributions():
        try:
            name = _name(dist)
            # parsed where the group is named at all: most of what is installed brings none
            if name not in seen and f"[{group}]" in (dist.read_text("entry_points.txt") or ""):
                points += dist.entry_points.select(group=group)
            seen.add(name)
        except Exception as error:  # noqa: BLE001 - one broken distribution must not cost the rest
            where = getattr(dist, "_path", "a distribution")
            LOG.warning("the entry points of %s cannot be read: %s", where, error)
    return points


def _name(dist: Distribution) -> str:
    """The name of a distribution, as the library itself tells copies of one apart: by its place,
    since reading the metadata of all that is installed takes a tenth of a start."""
    known = getattr(dist, "_normalized_name", None) or dist.metadata["Name"] or ""
    return re.sub(r"[-_.]+", "-", known).lower()


def judge(
    points: Sequence[EntryPoint],
    loaded: Mapping[EntryPoint, object],
    failed: Mapping[EntryPoint, BaseException],
) -> list[Found]:
    """Admit or refuse each entry point. Pure."""
    count = Counter(point.name for point in points)
    found = []
    for point in points:
        target = loaded.get(point)
        reason = _reason(point, count[point.name], target, failed.get(point))
        where = _distribution(point)
        if reason is None:
            found.append(Found(point.name, where, point.value, cls=cast(type[VifPlugin], target)))
        else:
            refusal = _refuse(point, where, reason)
            found.append(Found(point.name, where, point.value, refusal=refusal))
    return found


def _reason(
    point: EntryPoint, namesakes: int, target: object | None, failure: BaseException | None
) -> str | None:
    """Why this entry point may not be a plugin, or ``None``."""
    if namesakes > 1:
        return f"{namesakes} distributions bring a plugin named {point.name!r}; keep one"
    if failure is not None:
        return f"it cannot be imported: {type(failure).__name__}: {failure}"
    if not inspect.isclass(target):
        return "the entry point does not name a class"
    version = getattr(target, "contract_version", None)
    if not compatible(version):
        return f"it speaks contract version {version!r}, this vifd speaks {CONTRACT_VERSION}"
    missing = [verb for verb in VERBS if not callable(getattr(target, verb, None))]
    abstract = sorted(getattr(target, "__abstractmethods__", ()))
    if missing or abstract:
        return f"it lacks the verbs {', '.join(missing or abstract)}"
    if not issubclass(target, VifPlugin):
        return "its class is not derived from vifd.plugin.VifPlugin"
    own_name = getattr(target, "plugin_name", None)
    if own_name != point.name:
        return f"its class calls itself {own_name!r}"
    return None


def compatible(version: object, ours: str = CONTRACT_VERSION) -> bool:
    """Whether a plugin of this contract version works here: same major, minor not newer."""
    try:
        major, minor = (int(part) for part in str(version).split("."))
    except ValueError:
        return False
    our_major, our_minor = (int(part) for part in ours.split("."))
    return major == our_major and minor <= our_minor


def refused(name: str, distribution: str, target: str, reason: str) -> Found:
    """A plugin that was found and is not admitted."""
    facts = {"plugin": name, "distribution": distribution or "(unknown)", "reason": reason}
    refusal = errors.PluginRefused(facts={**facts, "entry_point": target}, stage="load")
    return Found(name, distribution, target, refusal=refusal)


def _refuse(point: EntryPoint, where: str, reason: str) -> errors.PluginRefused:
    facts = {"plugin": point.name, "distribution": where, "reason": reason}
    return errors.PluginRefused(facts={**facts, "entry_point": point.value}, stage="load")


def _order(found: Sequence[Found], enabled: Sequence[str]) -> list[Found]:
    if not enabled:
        return sorted(found, key=lambda f: (getattr(f.cls, "preference", 0), f.name))
    by_name = [f for name in enabled for f in found if f.name == name]
    missing = [name for name in enabled if name not in {f.name for f in found}]
    for name in missing:
        point = EntryPoint(name, "", GROUP)
        refusal = _refuse(point, "no distribution", "it is not installed")
        by_name.append(Found(name, "", "", refusal=refusal))
    return by_name


def _distribution(point: EntryPoint) -> str:
    dist = getattr(point, "dist", None)
    return f"{dist.name} {dist.version}" if dist is not None else "(unknown distribution)"


def _made(make: Callable[[type[VifPlugin]], VifPlugin], cls: type[VifPlugin]) -> VifPlugin:
    with edge(cls.plugin_name, "the constructor"):
        plugin = guarded(make(cls))
    plugin.describe()
    return plugin


def build(
    found: Sequence[Found], make: Callable[[type[VifPlugin]], VifPlugin]
) -> tuple[dict[str, VifPlugin], list[Found]]:
    """Make the admitted plugins; one whose constructor raises becomes refused.

    :returns: plugins by name in order of preference, and the list with the new refusals
    """
    plugins: dict[str, VifPlugin] = {}
    result = []
    for entry in found:
        if entry.cls is not None:
            try:
                plugins[entry.name] = _made(make, entry.cls)
            except Exception as error:  # noqa: BLE001 - one plugin must not cost the others
                reason = f"it cannot be made: {type(error).__name__}: {error}"
                entry = refused(entry.name, entry.distribution, entry.target, reason)
        result.append(entry)
    for entry in result:
        if entry.refusal is not None:
            LOG.error("%s", entry.refusal)
    return plugins, result
