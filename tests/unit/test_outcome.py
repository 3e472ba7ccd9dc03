"""What a step makes of a record that is not there any more: nothing, whatever came of the step."""

from __future__ import annotations

from typing import Any, cast

import pytest

from unit.docs import document
from vifd import errors
from vifd.engine import outcome
from vifd.model import Phase, PortRecord, Report, decode
from vifd.store import Change

RECORD = PortRecord(doc=decode(document(1)), plugin="fake", vif_type="fake")
ERROR = errors.WaitTimeout(facts={"wanted": "x", "seconds": 1, "phase": "LIVE"})
CHANGES: dict[str, Change] = {
    "planned": outcome.planned(RECORD),
    "failed": outcome.failed(ERROR),
    "plugged": outcome.plugged(cast(Any, None), None, 0.0),
    "checked": outcome.checked(Report([]), 0.0),
    "forgotten": outcome.forgotten,
    "given back": outcome.given_back,
    "release failed": outcome.release_failed(ERROR),
    "unplug failed": outcome.unplug_failed(ERROR),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_port_that_is_gone_does_not_come_back(name: str) -> None:
    assert CHANGES[name](None) is None


def test_what_is_planned_already_is_not_written_again() -> None:
    assert outcome.planned(RECORD)(RECORD) is RECORD
    begun = cast(PortRecord, outcome.failed(ERROR)(RECORD))
    assert begun.phase is Phase.FAILED
