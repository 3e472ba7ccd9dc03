"""What stands in a configuration file, as far as it can be read.

oslo.config gives up at the first line that is none. Who mends a file wants every such line at once,
and what else is wrong beside it. A line that cannot be parsed may hold a password, so its number is
told and not its text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from oslo_config import cfg, iniparser


class Contents(NamedTuple):
    """Values by section and name, and the lines that are none, as sentences."""

    sections: Mapping[str, Mapping[str, Any]]
    faults: list[str]


def contents(names: Iterable[str]) -> Contents:
    """All of these files; one that cannot be opened is left out, who reads for good says so."""
    sections: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for name in names:
        parser = _Lenient(name, sections)
        with contextlib.suppress(OSError, UnicodeError):
            parser.parse()
        faults += (f"{name}, line {number}: {text}" for number, text in parser.faults.items())
    return Contents(sections, faults)


class _Lenient(cfg.ConfigParser):
    def __init__(self, filename: str, sections: dict[str, dict[str, Any]]) -> None:
        super().__init__(filename, sections)
        #: What is wrong by the number of the line.
        self.faults: dict[int, str] = {}
        self._lost = False

    def _fault(self, error: iniparser.ParseError) -> None:
        self.faults.setdefault(error.lineno, error.msg)

    def _get_section(self, line: str) -> str:
        try:
            found: str = super()._get_section(line)
        except iniparser.ParseError as error:
            self._fault(error)
            found, self.section = "", None
        self._lost = not found
        return found

    def _split_key_value(self, line: str) -> tuple[str, list[str]]:
        try:
            pair: tuple[str, list[str]] = super()._split_key_value(line)
        except iniparser.ParseError as error:
            self._fault(error)
            return "", []
        if not self.section and not self._lost:
            self.faults[self.lineno] = "Section must be started before assignment"
        return pair

    def assignment(self, key: str, value: list[str]) -> None:
        if self.section:
            super().assignment(key, value)

    def error_empty_key(self, line: str) -> None:  # type: ignore[override]
        self.faults.setdefault(self.lineno, "Key cannot be empty")

    def error_unexpected_continuation(self, line: str) -> None:  # type: ignore[override]
        self.faults.setdefault(self.lineno, "Unexpected continuation line")
