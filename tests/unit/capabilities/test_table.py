"""The page of what ports need is what the rules say."""

from pathlib import Path

from vifd.capabilities import table
from vifd.capabilities.rules import RULES
from vifd.plugin.guest import PROPERTIES

PAGE = Path(__file__).parents[3] / "docs" / "requirements.md"


def test_the_page_equals_the_rules():
    assert PAGE.read_text() == table.page(), "run: make docs/requirements"


def test_every_row_is_there():
    page = table.page()
    for rule in RULES:
        assert f"| {rule.name} | {rule.source} |" in page
        assert rule.effect
    for name in PROPERTIES:
        assert f"`hw:{name}`" in page
