"""The base class of versioned objects: history, serialisation, back-levelling, registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from vifd.plugin.vifs.versions import Range, number

NAMESPACE = "os_vif"

#: By version, the fields that came with it.
History = Mapping[str, tuple[str, ...]]

_registry: dict[str, type[VersionedObject]] = {}


class VersionedObject:
    """An object whose fields depend on its version.

    A class says what each of its versions added, and which version of its parent belongs to it;
    ranges, fields of a version and serialisation follow from that.

    :cvar history: by version, oldest first, the fields that came with it
    :cvar parents: by the class's own version, the parent's version from there on; where nothing is
        said the parent's first version
    """

    history: ClassVar[History]
    parents: ClassVar[Mapping[str, str]]

    def __init_subclass__(
        cls, *, history: History, parents: Mapping[str, str] | None = None
    ) -> None:
        super().__init_subclass__()
        cls.history, cls.parents = history, parents or {}
        _registry[cls.__name__] = cls

    def __init__(self, **values: Any) -> None:
        unknown = set(values) - self.fields(self.version())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        self.values = values

    @classmethod
    def version(cls) -> str:
        """The newest version."""
        return max(cls.history, key=number)

    @classmethod
    def versions(cls) -> Range:
        """From the first version to the newest: all of them can be written."""
        return Range(min(cls.history, key=number), cls.version())

    @classmethod
    def fields(cls, version: str) -> set[str]:
        """The fields that an object of this version has.

        :raises ValueError: the class has no such version
        """
        if version not in cls.history:
            raise ValueError(f"{cls.__name__} has no version {version}")
        at = number(version)
        own = {name for v, names in cls.history.items() if number(v) <= at for name in names}
        for parent in cls.__bases__:
            if issubclass(parent, VersionedObject) and parent is not VersionedObject:
                own |= parent.fields(cls._parent_version(parent, version))
        return own

    @classmethod
    def _parent_version(cls, parent: type[VersionedObject], version: str) -> str:
        since = [v for v in cls.parents if number(v) <= number(version)]
        return cls.parents[max(since, key=number)] if since else parent.versions().min

    def primitive(
        self, version: str | None = None, manifest: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The object as JSON values, back-levelled: fields that came later are left out.

        :param version: of this object; the newest one by default
        :param manifest: versions of objects inside it, by class
        :raises ValueError: there is no such version
        """
        manifest = manifest or {}
        version = version or manifest.get(type(self).__name__) or self.version()
        known = self.fields(version)
        data = {k: _plain(v, manifest) for k, v in self.values.items() if k in known}
        return {
            "versioned_object.name": type(self).__name__,
            "versioned_object.namespace": NAMESPACE,
            "versioned_object.version": version,
            "versioned_object.data": data,
        }


def _plain(value: Any, manifest: Mapping[str, str]) -> Any:
    if isinstance(value, VersionedObject):
        return value.primitive(manifest=manifest)
    if isinstance(value, list):
        return [_plain(v, manifest) for v in value]
    return value


def find(name: str) -> type[VersionedObject] | None:
    """The class of that name."""
    return _registry.get(name)


def classes() -> Iterator[tuple[str, type[VersionedObject]]]:
    """Every class by name, sorted."""
    yield from sorted(_registry.items())
