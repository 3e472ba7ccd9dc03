"""Finding the plugins that are installed, and refusing bad ones at the door, by name.

stevedore finds the entry points; it drops an extension that fails to import without a word and its
guard against duplicate names misses non-adjacent ones, so both are checked here.
"""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any, cast

from stevedore import ExtensionManager

from vifd import errors
from vifd.plugin import CONTRACT_VERSION, GROUP, VERBS, VifPlugin

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


def discover(enabled: Sequence[str] = (), *, group: str = GROUP) -> list[Found]:
    """Every plugin that is installed, in the order of ``enabled``, else by name.

    :param enabled: names to admit, in order of preference; empty admits all. A name in it that is
        not installed appears as refused.
    """
    failed: dict[str, BaseException] = {}

    def on_failure(_manager: Any, point: EntryPoint, error: BaseException) -> None:
        failed[_identity(point)] = error

    manager = ExtensionManager(group, on_load_failure_callback=on_failure)
    loaded = {_identity(ext.entry_point): ext.plugin for ext in manager}
    points = list(manager.list_entry_points())
    found = judge(points, loaded, failed)
    return _order(found, enabled)


def judge(
    points: Sequence[EntryPoint],
    loaded: Mapping[str, object],
    failed: Mapping[str, BaseException],
) -> list[Found]:
    """Admit or refuse each entry point. Pure."""
    count = Counter(point.name for point in points)
    found = []
    for point in points:
        identity = _identity(point)
        target: object | None = loaded.get(identity)
        reason = _reason(point, count[point.name], target, failed.get(identity))
        where = _distribution(point)
        if reason is None:
            found.append(Found(point.name, where, point.value, cls=cast(type[VifPlugin], target)))
        else:
            found.append(Found(point.name, where, point.value, refusal=_refuse(point, reason)))
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
    if target.plugin_name != point.name:
        return f"its class calls itself {target.plugin_name!r}"
    return None


def compatible(version: object, ours: str = CONTRACT_VERSION) -> bool:
    """Whether a plugin of this contract version works here: same major, minor not newer."""
    try:
        major, minor = (int(part) for part in str(version).split("."))
    except ValueError:
        return False
    our_major, our_minor = (int(part) for part in ours.split("."))
    return major == our_major and minor <= our_minor


def _refuse(point: EntryPoint, reason: str) -> errors.PluginRefused:
    facts = {"plugin": point.name, "distribution": _distribution(point), "reason": reason}
    return errors.PluginRefused(facts={**facts, "entry_point": point.value}, stage="load")


def _order(found: Sequence[Found], enabled: Sequence[str]) -> list[Found]:
    if not enabled:
        return sorted(found, key=lambda f: f.name)
    by_name = [f for name in enabled for f in found if f.name == name]
    missing = [name for name in enabled if name not in {f.name for f in found}]
    for name in missing:
        point = EntryPoint(name, "", GROUP)
        by_name.append(Found(name, "", "", refusal=_refuse(point, "it is not installed")))
    return by_name


def _identity(point: EntryPoint) -> str:
    return f"{_distribution(point)}/{point.name}={point.value}"


def _distribution(point: EntryPoint) -> str:
    dist = getattr(point, "dist", None)
    return f"{dist.name} {dist.version}" if dist is not None else "(unknown distribution)"


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
                plugins[entry.name] = make(entry.cls)
            except Exception as error:  # noqa: BLE001 - one plugin must not cost the others
                point = EntryPoint(entry.name, entry.target, GROUP)
                reason = f"it cannot be made: {type(error).__name__}: {error}"
                facts = {"plugin": entry.name, "distribution": entry.distribution, "reason": reason}
                refusal = errors.PluginRefused(facts=facts, stage="load")
                entry = Found(entry.name, entry.distribution, point.value, refusal=refusal)
        result.append(entry)
    for entry in result:
        if entry.refusal is not None:
            LOG.error("%s", entry.refusal)
    return plugins, result
