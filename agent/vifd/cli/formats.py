"""The output formats, each with what others wrote made safe: the one way from a value to a reader.

A name with a line break would be a row of its own in ``csv`` and ``value``, one with ``$(…)`` a
command
where the output of ``shell`` is evaluated, and an escape sequence drives a terminal.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn

from vifd.safety.plain import plain, plain_lines, writable

_FORMATS = {
    "csv": "commaseparated:CSVLister",
    "json": "json_format:JSONFormatter",
    "shell": "shell:ShellFormatter",
    "table": "table:TableFormatter",
    "value": "value:ValueFormatter",
    "yaml": "yaml_format:YAMLFormatter",
}
_OF_KIND = {
    "cliff.formatter.list": ("csv", "json", "table", "value", "yaml"),
    "cliff.formatter.show": ("json", "shell", "table", "value", "yaml"),
}


def raw(value: Any) -> Any:
    """A cell as a program reads it."""
    return value.machine_readable() if isinstance(value, FormattableColumn) else value


def one_line(value: Any) -> Any:
    """For ``csv`` and ``value``: on one line, whatever it is."""
    found = raw(value)
    return found if isinstance(found, int | float) else plain(str(found))


def quoted(value: Any) -> str:
    """For ``shell``: what stands between double quotes and means only itself."""
    text = plain(str(raw(value))).replace("\\", "\\\\")
    return text.replace("$", "\\$").replace("`", "\\`")


class _Read(FormattableColumn[Any]):
    """A cell of a table: its lines are the command's own."""

    def human_readable(self) -> str:
        value = self._value
        text = value.human_readable() if isinstance(value, FormattableColumn) else str(value)
        return plain_lines(text)

    def machine_readable(self) -> Any:
        return raw(self._value)


#: What becomes of each cell before the format's own code sees it. JSON escapes what it must.
CELLS: dict[str, Callable[[Any], Any]] = {
    "csv": one_line, "json": raw, "shell": quoted, "table": _Read, "value": one_line,
}  # fmt: skip


class SafeFormat:
    """A format of cliff, fed with cells that are safe for it."""

    def __init__(self, name: str) -> None:
        module, _, attribute = _FORMATS[name].partition(":")
        self._inner = getattr(importlib.import_module(f"cliff.formatters.{module}"), attribute)()
        self._cell = CELLS[name]

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        self._inner.add_argument_group(parser)

    def emit_list(
        self, names: Sequence[str], data: Iterable[Sequence[Any]], stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:  # fmt: skip
        rows = [tuple(map(self._cell, row)) for row in data]
        self._inner.emit_list(names, rows, stdout, parsed_args)

    def emit_one(
        self, names: Sequence[str], data: Sequence[Any], stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:  # fmt: skip
        safe = [plain(name) for name in names]
        self._inner.emit_one(safe, tuple(map(self._cell, data)), stdout, parsed_args)


class SafeYaml:
    """YAML with each text on one line, escaped where it is not printable; nothing is lost."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """It has no options."""

    def emit_list(
        self, names: Sequence[str], data: Iterable[Sequence[Any]], stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:  # fmt: skip
        del parsed_args
        self._dump([dict(zip(names, map(raw, row), strict=True)) for row in data], stdout)

    def emit_one(
        self, names: Sequence[str], data: Sequence[Any], stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:  # fmt: skip
        del parsed_args
        for name, value in zip(names, data, strict=True):
            self._dump({name: raw(value)}, stdout)

    @staticmethod
    def _dump(value: Any, stdout: TextIO) -> None:
        import yaml  # only where it is needed: it costs start-up time

        class Dumper(yaml.SafeDumper):  # type: ignore[misc]
            """Quotes what is not printable, without line breaks."""

            def ignore_aliases(self, data: Any) -> bool:
                del data
                return True

        def text(dumper: Any, value: str) -> Any:
            style = None if value.isprintable() else '"'
            return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

        Dumper.add_representer(str, text)
        yaml.dump(writable(value), stdout, Dumper, default_flow_style=False, width=1 << 30)


class _Format:
    """One output format; the shape of a stevedore extension."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.obj = SafeYaml() if name == "yaml" else SafeFormat(name)


class Formats:
    """The output formats of one kind of command; the shape of a stevedore manager."""

    def __init__(self, namespace: str) -> None:
        self._found = {name: _Format(name) for name in _OF_KIND[namespace]}

    def names(self) -> list[str]:
        return list(self._found)

    def __iter__(self) -> Iterator[_Format]:
        return iter(self._found.values())

    def __getitem__(self, name: str) -> _Format:
        return self._found[name]
