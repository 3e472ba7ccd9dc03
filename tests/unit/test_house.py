"""How the tree is built: no circles, few entries at the root, and nobody names a back end."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


house = load("house")


def test_no_modules_reach_each_other() -> None:
    """Imports for types alone count."""
    assert house.circles(house.graph(ROOT)) == []


def test_a_circle_would_be_found() -> None:
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_the_root_of_the_agent_is_a_list_of_rooms() -> None:
    entries = {path.name for path in house.entries(ROOT)}
    modules = {name for name in entries if name.endswith(".py")}
    assert modules == {"__init__.py", "main.py"}
    assert len(entries) <= 24


def test_the_whole_is_seen_at_a_glance() -> None:
    """Rooms with the five plugins; a new one is a choice, and another becomes part of one."""
    assert len({house.room(name) for name in house.graph(ROOT)} - {"vifd"}) <= 25


@pytest.mark.parametrize("plugin", ["vifd_ovs", "vifd_vhostuser", "vifd_linuxbridge", "vifd_noop"])
def test_the_core_does_not_name_a_plugin(plugin: str) -> None:
    """Neither in an import nor in a word: what it must know of one, the plugin declares."""
    agent = ROOT / "agent/vifd"
    texts = {path: path.read_text() for path in agent.rglob("*.py") if "testing" not in path.parts}
    assert [str(path) for path, text in texts.items() if plugin in text] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_place_on_the_map_is_there(page: str) -> None:
    """A row of a table that begins with ``agent/`` or ``plugins/`` names paths of the tree."""
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:agent|plugins|tests|tools|bench)/[\w/.]*)`", text)
    assert len(named) >= 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def examples() -> dict[str, list[str]]:
    """By what one may want to change, the paths that ``CONTRIBUTING.md`` names for it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text.partition("## Finding the place")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (.+) \|$", table, re.MULTILINE)[1:]
    return {what: re.findall(r"`((?:agent|plugins)/[\w/.]+)`", where) for what, where in rows}


def rooms_of_the_map() -> list[str]:
    """The rooms that the map in ``README.md`` names: of a row, all lie beside the first."""
    text = (ROOT / "README.md").read_text().partition("## Where what is")[2]
    found = []
    for row in re.findall(r"^\| (`(?:agent|plugins|tests)/[^|]+)\|", text, re.MULTILINE):
        first, *others = re.findall(r"`([\w/]+)`", row)
        beside = first.rstrip("/").rpartition("/")[0]
        found += [first, *(f"{beside}/{other}" for other in others)]
    return found


@pytest.mark.parametrize("what", examples())
def test_the_map_leads_to_the_file_in_two_steps(what: str) -> None:
    """A room of the map, and a file of that name in it; a stranger needs no third step."""
    paths = examples()[what]
    assert paths
    for path in paths:
        assert (ROOT / path).exists()
        assert any(path.startswith(room) for room in rooms_of_the_map()), path


def test_there_are_ten_examples() -> None:
    assert len(examples()) >= 10


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page", [ROOT / "DESIGN.md", *(ROOT / "docs/design").glob("*.md")], ids=lambda p: p.name
)
def test_every_link_of_the_design_leads_to_a_section(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            other = (page.parent / name).resolve() if name else page
            assert other.exists(), target
            assert not anchor or anchor in anchors(other), target
