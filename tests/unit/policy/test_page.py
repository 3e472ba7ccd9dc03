"""The page is what the rules say."""

from __future__ import annotations

from pathlib import Path

from vifd.policy import page, spoofing

PAGE = Path(__file__).parents[3] / "docs" / "design" / "anti-spoofing.md"


def test_the_page_is_what_the_rules_say():
    assert PAGE.read_text() == page.page(), "make docs/antispoofing writes it anew"


def test_every_rule_has_a_source():
    rules = (
        *spoofing.REFUSED, *spoofing.UNPROVEN, *spoofing.UNADDRESSED, *spoofing.ADDRESSED,
    )  # fmt: skip
    assert all(rule.source and rule.what for rule in rules)
