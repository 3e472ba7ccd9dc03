"""What the network side takes, in its order, with ranges of versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from vifd import errors
from vifd.model import Text
from vifd.plugin.vifs.kinds import Kind, Named
from vifd.plugin.vifs.versions import PATTERN, Range, number

VersionText = Annotated[str, Meta(pattern=PATTERN, max_length=9, description="major.minor")]


class AcceptableProfile(Struct, frozen=True, forbid_unknown_fields=True):
    """A port profile that the network side takes.

    :param name: its class, e.g. ``VIFPortProfileOpenVSwitch``
    """

    name: Text
    min_version: VersionText = "1.0"
    max_version: VersionText | None = None


class Acceptable(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of VIF that the network side takes, in its order of preference.

    :param vif_class: the class of the VIF object, e.g. ``VIFOpenVSwitch``
    :param vif_type: the VIF type, e.g. ``ovs``; one of the two must be there
    :param plugin: only with this plugin
    :param max_version: without it, any from ``min_version`` on
    :param port_profiles: the port profiles that it takes; without them, any
    """

    vif_class: Text | None = None
    vif_type: Text | None = None
    plugin: Text | None = None
    min_version: VersionText = "1.0"
    max_version: VersionText | None = None
    port_profiles: Annotated[list[AcceptableProfile], Meta(max_length=64)] = []

    def names(self, plugin: str, vif_type: str, kind: Kind) -> bool:
        """Whether this candidate is meant, whatever its versions."""
        pairs = ((self.vif_class, kind.vif.name), (self.vif_type, vif_type), (self.plugin, plugin))
        return all(want in (None, have) for want, have in pairs)

    def __str__(self) -> str:
        parts = filter(None, (self.plugin, self.vif_type, self.vif_class))
        return f"{'/'.join(parts)} {Range(self.min_version, self.max_version)}"


@dataclass(frozen=True)
class Match:
    """Where a candidate meets the list, and in which versions."""

    place: int
    version: str
    profile: tuple[str, str]


def match(
    acceptable: Sequence[Acceptable] | None, plugin: str, vif_type: str, kind: Kind
) -> Match | errors.VifError:
    """The first entry that takes this candidate, or why none does.

    :param acceptable: ``None`` takes everything
    """
    if acceptable is None:
        first = kind.profiles[0]
        return Match(0, kind.vif.versions.max or "", (first.name, first.versions.max or ""))
    apart: errors.VifError | None = None
    for place, entry in enumerate(acceptable):
        if not entry.names(plugin, vif_type, kind):
            continue
        wanted = Range(entry.min_version, entry.max_version)
        version = kind.vif.common(wanted)
        profile = _profile(entry, kind)
        if version is not None and profile is not None:
            return Match(place, version, profile)
        apart = apart or _apart(entry, plugin, kind, version)
    if apart is not None:
        return apart
    wanted_kinds = [str(entry) for entry in acceptable]
    facts = {"wanted": wanted_kinds, "have": [kind.vif.name], "plugin": plugin}
    text = f"the network service does not accept {kind.vif.name} ({vif_type}) of plugin {plugin!r}"
    return errors.NoCommonVif(text, facts=facts)


def _profile(entry: Acceptable, kind: Kind) -> tuple[str, str] | None:
    """The first port profile, in the network side's order, that both sides have."""
    if not entry.port_profiles:
        return kind.profiles[0].name, kind.profiles[0].versions.max or ""
    have: dict[str, Named] = {named.name: named for named in kind.profiles}
    for profile in entry.port_profiles:
        known = have.get(profile.name)
        version = known and known.common(Range(profile.min_version, profile.max_version))
        if version:
            return profile.name, version
    return None


def _apart(
    entry: Acceptable, plugin: str, kind: Kind, version: str | None
) -> errors.NoCommonVersion:
    if version is None:
        what, have = kind.vif.name, _ranges([kind.vif])
        wanted = f"{what} {Range(entry.min_version, entry.max_version)}"
    else:
        what, have = "port profile", _ranges(kind.profiles)
        wanted = ", ".join(
            f"{p.name} {Range(p.min_version, p.max_version)}" for p in entry.port_profiles
        )
    facts = {"what": what, "wanted": wanted, "have": have, "plugin": plugin}
    return errors.NoCommonVersion(facts=facts)


def _ranges(named: Iterable[Named]) -> str:
    return ", ".join(f"{one.name} {one.versions}" for one in named)


def read(raw: Any) -> list[Acceptable]:
    """The list as a caller sent it.

    :raises errors.BadDocument: with the field's path
    """
    listed = Annotated[list[Acceptable], Meta(min_length=1, max_length=256)]
    try:
        found: list[Acceptable] = msgspec.convert(raw, listed)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        field = f"acceptable{path.rstrip('`')}"
        raise errors.BadDocument.at_field(field, problem) from error
    for i, entry in enumerate(found):
        where = f"acceptable[{i}]"
        if entry.vif_class is None and entry.vif_type is None:
            raise errors.BadDocument.at_field(where, "names neither vif_class nor vif_type")
        _check_range(entry, where)
        for j, profile in enumerate(entry.port_profiles):
            _check_range(profile, f"{where}.port_profiles[{j}]")
    return found


def _check_range(given: Acceptable | AcceptableProfile, where: str) -> None:
    """What the schema cannot say: a pattern lets a line's end through, and compares nothing."""
    numbers = []
    for name in ("min_version", "max_version"):
        text = getattr(given, name)
        try:
            numbers += [number(text)] if text is not None else []
        except ValueError as error:
            raise errors.BadDocument.at_field(f"{where}.{name}", str(error)) from error
    if numbers != sorted(numbers):
        problem = f"is {given.max_version}, and min_version is {given.min_version}"
        raise errors.BadDocument.at_field(f"{where}.max_version", problem)
