"""Rules that let nothing pass are told in the log: when they come, and once."""

from __future__ import annotations

import logging

import pytest

from functional.groups.rig import FakeRig
from functional.groups.table import GROUP
from vifd.testing.attachments import attachment, flat

SOME = {"direction": "ingress", "protocol": "dccp", "port_range_min": 5, "port_range_max": 6}
ALL = {"direction": "ingress", "protocol": "udplite"}


def test_rules_that_let_nothing_pass(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "vifd_ovs.bridge.rulesets")

    def told() -> list[str]:
        found = [r.getMessage() for r in caplog.records if "let nothing pass" in r.getMessage()]
        caplog.clear()
        return found

    with FakeRig() as rig:
        rig.say(GROUP, ALL)
        rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]))
        assert not told()
        rig.say(GROUP, ALL, SOME)
        (line,) = told()
        assert GROUP in line
        rig.say(GROUP, ALL, SOME, {"direction": "ingress", "protocol": "tcp"})
        assert not told()
        rig.say(GROUP, ALL)
        rig.say(GROUP, SOME)
        assert len(told()) == 1
