"""The host-wide comparison: what the journal wants against what bears our mark. Pure.

Three set operations on two dictionaries. Ports that drift one by one are found by their own checks;
this finds what no check of a port can: objects that no port stands for, and ports of which an
object is gone or is another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from vifd.plugin.marked import NETWORK_DEVICE, Desired, Key, Marked


@dataclass(frozen=True)
class Orphan:
    """What nobody stands for: all objects of one port that a plugin lists, or one that has no port.

    :param id: names it for people and the API; the same as long as it is there
    :param holder: who uses it; an orphan that is held is left alone
    """

    id: str
    plugin: str
    port: str
    objects: tuple[Marked, ...]
    holder: str = ""

    @property
    def fingerprint(self) -> frozenset[tuple[Key, str]]:
        """What tells it from another orphan under the same id."""
        return frozenset((o.key, o.identity) for o in self.objects)


@dataclass(frozen=True)
class Plan:
    """The difference between what is wanted and what there is.

    :param missing: by port, what it lacks
    :param changed: by port, what is there under the right name and is not what was made
    :param suspects: what bears the id of a port of the journal and is none of its objects; it is
        never garbage as long as the port is there
    :param orphans: what bears our mark and belongs to no port of the journal
    """

    missing: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    changed: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    suspects: tuple[Marked, ...] = ()
    orphans: tuple[Orphan, ...] = ()

    @property
    def dirty(self) -> set[str]:
        """The ports that are worth a look."""
        return {*self.missing, *self.changed}


def plan(
    desired: Desired,
    observed: Mapping[str, Iterable[Marked]],
    *,
    known: Collection[str],
    settled: Collection[str],
    guests: Mapping[str, str],
) -> Plan:
    """Compare.

    :param desired: of all plugins, also of those that could not list what they have
    :param observed: by plugin, what it listed; an object that several list counts for the first
    :param known: every port of the journal
    :param settled: those of them that are in nobody's work, and whose plugin listed its objects
    :param guests: by device or socket, the guest that uses it
    """
    there = _merged(observed)
    missing: dict[str, list[Key]] = {}
    changed: dict[str, list[Key]] = {}
    for key, wanted in desired.items():
        if wanted.owner not in settled:
            continue
        found = there.get(key)
        if found is None:
            missing.setdefault(wanted.owner, []).append(key)
        elif _other(found[1], wanted.owner, wanted.identity):
            changed.setdefault(wanted.owner, []).append(key)
    strays = [(p, m) for key, (p, m) in there.items() if key not in desired]
    return Plan(
        missing={i: tuple(keys) for i, keys in missing.items()},
        changed={i: tuple(keys) for i, keys in changed.items()},
        suspects=tuple(m for _, m in strays if m.owner in known),
        orphans=tuple(_orphans([(p, m) for p, m in strays if m.owner not in known], guests)),
    )


def _merged(observed: Mapping[str, Iterable[Marked]]) -> dict[Key, tuple[str, Marked]]:
    there: dict[Key, tuple[str, Marked]] = {}
    for plugin, objects in observed.items():
        for marked in objects:
            there.setdefault(marked.key, (plugin, marked))
    return there


def _other(found: Marked, owner: str, identity: str) -> bool:
    """Whether an object is not the one that was made."""
    if found.owner and owner and found.owner != owner:
        return True
    return bool(identity and found.identity and found.identity != identity)


def _orphans(strays: Iterable[tuple[str, Marked]], guests: Mapping[str, str]) -> Iterable[Orphan]:
    """The strays by port. Where one object of a port is held, all of the port are."""
    groups: dict[str, Orphan] = {}
    for plugin, marked in strays:
        id_ = f"{plugin}/{marked.owner}" if marked.owner else _id(plugin, marked.key)
        group = groups.get(id_) or Orphan(id_, plugin, marked.owner, ())
        groups[id_] = replace(group, objects=(*group.objects, marked))
    held: dict[str, str] = {}
    for group in groups.values():
        holder = _holder(group.objects, guests)
        if holder:
            held[group.port or group.id] = holder
    found = [replace(g, holder=held.get(g.port or g.id, "")) for g in groups.values()]
    below = stood_on(g for g in found if g.holder)
    for group in found:
        yield replace(group, holder=group.holder or below.get(group.id, ""))


def stood_on(orphans: Iterable[Orphan]) -> dict[str, str]:
    """By id, the network devices that objects of these orphans stand on, and which object does."""
    return {
        _id(orphan.plugin, Key(NETWORK_DEVICE, "", name)): f"{marked.key} stands on it"
        for orphan in orphans
        for marked in orphan.objects
        for name in marked.stands_on
    }


def _id(plugin: str, key: Key) -> str:
    words = (str(key.kind).replace(" ", "-"), key.where, key.name)
    return "/".join((plugin, *filter(None, words)))


def _holder(objects: Iterable[Marked], guests: Mapping[str, str]) -> str:
    for marked in objects:
        if marked.holder:
            return f"{marked.key}: {marked.holder}"
        for name in (*marked.uses, marked.name):
            if name in guests:
                return f"{marked.key}: {guests[name]}"
    return ""
