"""YAML with the scalars of JSON.

YAML 1.1 reads ``10:20:30:40:50:10`` as a number in base 60, ``no`` as false and ``2026-01-01`` as a
date: a MAC address in a document must stay a MAC address.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader for null, true, false and numbers; refuses a key that appears twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for node_of_key, _ in node.value:
            key = self.construct_object(node_of_key, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = f"{key!r:.80} is no name, or appears twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node_of_key.start_mark)
            seen.add(key)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


for kind, pattern, first in (
    ("null", r"^(null|~|)$", ["n", "~", ""]),
    ("bool", r"^(true|false)$", ["t", "f"]),
    ("int", r"^-?(0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$", list("-0123456789")),
):
    Loader.add_implicit_resolver(_TAG + kind, re.compile(pattern), first)
