"""Which ports that were opened are announced: those that may have been elsewhere."""

from __future__ import annotations

from typing import Any, cast

import pytest

from unit.docs import document, port_id
from vifd.engine.job import Job, job_of
from vifd.engine.worker.ahead import Ahead
from vifd.model import Phase, PortRecord, Wiring, decode
from vifd.model.lifecycle import Step
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.plugin import Item, VifPlugin


class Speaker:
    """Remembers whom it was to announce."""

    plugin_name = "speaker"

    def __init__(self) -> None:
        self.told: list[str] = []

    def announce(self, batch: list[Item]) -> None:
        self.told += [item.id for item in batch]


def opened(number: int, step: Step = Step.PLUG, **changes: Any) -> Job:
    """A port that an attempt has just opened."""
    names = Wiring("ovs", "ovs", f"tap{number}", {})
    doc = decode(document(number, **changes))
    job = job_of(
        PortRecord(doc=doc, plugin="ovs", vif_type="ovs", phase=Phase.PLUGGING, names=names)
    )
    job.step = step
    return job


@pytest.mark.parametrize(
    ("job", "announced"),
    [
        (opened(1), False),
        (opened(1, Step.ACTIVATE), True),
        (opened(1, role="INACTIVE"), True),
        # it waited for its parent, whose guest came from elsewhere, and its own role was ACTIVE
        (opened(1, port__device_owner=SUB_PORT_OWNER), True),
    ],
)
def test_who_may_have_been_elsewhere_is_announced(job: Job, announced: bool) -> None:
    speaker = Speaker()
    told = Ahead().announce(cast(VifPlugin, speaker), [job])
    assert speaker.told == [port_id(1)] * announced
    assert [each.id for each in told] == speaker.told
