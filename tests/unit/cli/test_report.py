"""How values are shown to people."""

from vifd.cli import report


def test_a_tree_shows_what_is_within_below_its_name():
    value = {"kernel": "6.1", "plugins": {"ovs": {"state": "ready", "reasons": [], "facts": {}}}}
    assert report.tree(value).splitlines() == [
        "kernel = 6.1",
        "plugins",
        "  ovs",
        "    state = ready",
        "    reasons = -",
        "    facts = -",
    ]
