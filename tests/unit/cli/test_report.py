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


def test_the_enforcement_report_marks_what_nothing_enforces():
    entries: list[dict[str, object]] = [
        {"feature": "port_security", "requested": True, "enforced_by": "ovs", "level": "dataplane"},
        {"feature": "security_groups", "requested": ["a", "b"], "level": "none", "note": "no\x1b"},
        {"feature": "port_security", "requested": False, "level": "none", "note": "off"},
    ]
    assert report.enforcement_lines(entries).splitlines() == [
        "✓ port_security: yes, by ovs",
        "✗ security_groups: a, b, not enforced (no?)",
        "- port_security: no (off)",
    ]
    assert report.enforcement_lines([]) == "-"


def test_refusals_that_say_the_same_are_said_once():
    same = {"code": "E_CAP_X", "message": "flavor against image"}
    other = {"code": "E_SEG_Y", "message": "not mapped", "facts": {"plugin": "bridge"}}
    error = {**same, "candidates": [
        {**same, "facts": {"plugin": "a\x1b"}}, other, {**same, "facts": {"plugin": "b"}}, other,
    ]}  # fmt: skip
    tried = [line for line in report.error_text(error).splitlines() if "tried:" in line]
    assert tried == ["  tried:  a?, b: the same", "  tried:  bridge, bridge: E_SEG_Y: not mapped"]
    nobody = report.error_text({**same, "candidates": [{**other, "facts": {}}]})
    assert "  tried:  E_SEG_Y: not mapped\n" in nobody
