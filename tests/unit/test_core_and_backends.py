"""The core knows no back end: rows, words and names of one are declared by whoever serves ports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vifd

ROOT = Path(vifd.__file__).parent

#: Rooms that are about ports, whatever carries them.
ROOMS = (
    "engine", "explain", "guests", "migration", "model", "negotiation", "plugin", "policy", "store",
)  # fmt: skip
BACK_END = re.compile(
    r"(?<![a-z])(ovs|ovsdb|openvswitch|openflow|ofport|ovn|dpdk|vhost|vhostuser|linuxbridge|nft|"
    r"nftables|ofproto|br-int)(?![a-z])",
    re.IGNORECASE,
)

#: What is named all the same, and why.
NAMED = {
    "engine/watcher.py": "hears the drivers' events, which are the agent's own",
    "engine/hosting.py": "hears of rows that other programs make",
    "explain/causes.py": "the drivers, as where a fact of a plugin without meanings was read",
    "model/evidence.py": "the fact that a switch's database gives no answer",
    "migration/prechecks.py": "the VIF type whose socket the destination's guest must find",
    "model/limited.py": "the facts that list the limits that others set",
    "model/parts.py": "who derived a part, as it is shown",
    "plugin/vifs/kinds.py": "the classes of os-vif, which are named so",
    "plugin/guest/__init__.py": "the rules of a guest's memory for vhost-user",
    "plugin/guest/vhostuser.py": "the rules of a guest's memory for vhost-user",
    "plugin/base.py": "the type of an event of flows",
    "plugin/guarded.py": "the type of an event of flows",
    "guests/finding.py": "libvirt's type of interface",
    "policy/page.py": "writes the page that holds the back ends side by side",
}


def _sources() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith("plugin/osvif/"):  # a plugin, which hosts those of os-vif
                yield name, path


def words(source: str) -> set[str]:
    """Every word of the program itself: names and texts, without comments and docstrings."""
    tree = ast.parse(source)
    said = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in said:
                found.add(text)
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                found.add(text.replace("_", " "))
            case ast.ImportFrom(module=str(text)):
                found |= {text, *(alias.name for alias in node.names)}
    return found


def _named(path: Path) -> list[str]:
    return sorted(text for text in words(path.read_text()) if BACK_END.search(text))


@pytest.mark.parametrize("name", [name for name, _ in _sources()])
def test_the_core_names_no_back_end(name: str) -> None:
    found = _named(ROOT / name)
    if name in NAMED:
        assert found, f"{name} needs its place in NAMED no more"
    else:
        assert not found
