"""Completion in bash, zsh and fish: one table, three shells, the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.api import Served
from unit.api.client import document, uuid
from unit.cli.documents import plug
from unit.cli.shells import Shells, needs
from vifd.cli.app import COMMANDS
from vifd.cli.completion import KINDS, SOURCES, sentence

SHELLS = [
    "bash",
    pytest.param("zsh", marks=needs["zsh"]),
    pytest.param("fish", marks=needs["fish"]),
]


@pytest.fixture
def shells(served: Served, tmp_path: Path) -> Shells:
    return Shells(tmp_path, served.path)


@pytest.mark.parametrize("shell", SHELLS)
def test_ids_and_names_are_proposed(vifctl, shells, tmp_path, shell):
    evil = document(2)
    evil["port"]["name"] = "$(touch pwned)"
    plug(vifctl, document(1), evil)
    ask = getattr(shells, shell)
    assert ask("vifctl port show ") >= {uuid(1), uuid(2), "web-1"}
    assert ask(f"vifctl port unplug {uuid(1)} 00000002") == {uuid(2)}
    assert ask("vifctl port check we") == {"web-1"}
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_the_names_of_other_things(vifctl, shells, shell):
    ask = getattr(shells, shell)
    assert {"port", "sg", "status", "adopt"} <= ask("vifctl ")
    assert ask("vifctl port s") == {"show"}
    assert ask("vifctl port show --wa") == {"--watch"}
    assert "two" in ask("vifctl port example ")
    assert "undo" in ask("vifctl gc u")


@pytest.mark.parametrize("shell", SHELLS[1:])
def test_options_before_the_command_and_values_of_options(served, shells, shell):
    ask = getattr(shells, shell)
    assert ask(f"vifctl --timeout 5 --socket {served.path} port sh") == {"show"}
    said = ask("vifctl port list --format ")
    assert {"json", "yaml", "csv"} <= said
    assert "show" not in said


def test_what_is_proposed_belongs_to_commands_that_exist():
    assert set(KINDS) <= set(COMMANDS)
    assert set(KINDS.values()) == set(SOURCES)


def test_a_sentence_of_a_help_text():
    assert sentence("Show it.\n\n    And more.") == "Show it"
    assert sentence(None) == ""
