"""Every command that an error, a hint, a log line or a page tells people to call is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.cli.app import COMMANDS

ROOT = Path(__file__).parents[3]
GROUPS = {name.split()[0] for name in COMMANDS if " " in name} - COMMANDS.keys()
#: In quotes it is meant to be typed; elsewhere only what begins like a command is one.
QUOTED = re.compile(r"[`']vifctl ([a-z][a-z-]*(?: [a-z][a-z-]*)?)")
PLAIN = re.compile(rf"\bvifctl ((?:{'|'.join(sorted(GROUPS))}) [a-z][a-z-]*)")


def _texts(path: Path) -> Iterator[str]:
    text = path.read_text()
    if path.suffix != ".py":
        # a command may be broken over two lines
        yield re.sub(r"\s+", " ", text)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\s+", " ", node.value)


def _named(folder: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in (".py", ".md") and ".venv" not in path.parts:
            for text in _texts(path):
                for command in (*QUOTED.findall(text), *PLAIN.findall(text)):
                    yield path, command


def there(command: str) -> bool:
    first = command.split()[0]
    return command in COMMANDS or first in COMMANDS


@pytest.mark.parametrize("folder", ["agent", "plugins", "integrations", "docs", "examples"])
def test_commands_that_are_named_are_there(folder: str) -> None:
    unknown = {f"{path.relative_to(ROOT)}: {c}" for path, c in _named(folder) if not there(c)}
    assert not unknown


def test_what_is_recognised() -> None:
    assert QUOTED.findall("see `vifctl garbage collect` and vifctl speaks") == ["garbage collect"]
    assert PLAIN.findall("Next: vifctl port list shows; vifctl reads") == ["port list"]
    assert not there("garbage collect")
    assert not there("port lost")
    assert there("gc undo")
