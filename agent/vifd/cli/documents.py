"""Attachment documents from files: JSON, JSON lines or YAML; one, a list, or ``{"ports": […]}``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vifd.cli.base import UsageError


def add_option(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Give a command the option ``--file``."""
    parser.add_argument(
        "-f", "--file", required=required, help="where the documents are; - is standard input"
    )


def read(name: str) -> list[Any]:
    """The documents in a file, or on standard input for ``-``.

    What they contain is for the daemon to judge.

    :raises UsageError: the file cannot be read or holds neither JSON nor YAML
    """
    documents = [doc for value in values(name) for doc in _members(value)]
    if not documents:
        raise UsageError(f"{name}: there is no document in it")
    return documents


def values(name: str) -> list[Any]:
    """The JSON or YAML values in a file, or on standard input for ``-``.

    :raises UsageError: the file cannot be read or holds neither
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        text.encode()
    except (OSError, UnicodeError) as error:
        hint = "; the output format is --format here" if name in ("json", "yaml", "table") else ""
        raise UsageError(f"cannot read {name}: {error}{hint}") from error
    return _values(text, name)


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("ports"), list):
        return list(value["ports"])
    return list(value) if isinstance(value, list) else [value]


def _values(text: str, name: str) -> list[Any]:
    try:
        return list(_json_values(text))
    except _DuplicateKey as error:
        raise UsageError(f"{name}: {error}") from error
    except RecursionError:
        raise UsageError(f"{name}: is nested too deep") from None
    except ValueError as not_json:
        if text.lstrip()[:1] in ("{", "["):
            raise UsageError(f"{name}: not JSON: {not_json}") from not_json
        return _yaml_values(text, name)


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise _DuplicateKey(f"{twice!r:.80} appears twice")
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _json_values(text: str) -> Iterator[Any]:
    """One value after another, as in JSON lines."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        yield value


def _yaml_values(text: str, name: str) -> list[Any]:
    import yaml  # only where it is needed: it costs start-up time

    from vifd.cli.yaml12 import Loader

    try:
        loaded = yaml.load_all(text, Loader)
        return [value for value in loaded if value is not None]
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{name}: neither JSON nor YAML: {error}") from error
    except RecursionError:
        raise UsageError(f"{name}: is nested too deep") from None
