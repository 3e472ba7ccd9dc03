"""Ports of one call: one that failed takes no further step, and keeps its first error."""

from __future__ import annotations

from contract import ovs
from vifd.errors import BackendUnavailable
from vifd.testing.attachments import attachment, port_id
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge.batch import Batch


def test_what_failed_is_left_out_of_the_steps_that_follow() -> None:
    ledger = Ledger(FakeMachine().drivers, ovs.plugin, patience=0)
    ledger.plug(attachment(1), attachment(2))
    batch = Batch.of([ledger.records[port_id(n)].item() for n in (1, 2)])
    one, two = works = list(batch.works)
    asked: list[list[str]] = []

    def silent(chosen: object) -> None:
        raise BackendUnavailable(facts={"backend": "x", "problem": "no answer"})

    batch.together("first", silent, [one])
    batch.together("second", lambda chosen: asked.append([w.id for w in chosen]), works)
    batch.fail(one, BackendUnavailable(facts={"backend": "x", "problem": "later"}), "third")
    assert asked == [[two.id]]
    assert (batch.failed[one.id].stage, list(batch.works)) == ("first", [two])
