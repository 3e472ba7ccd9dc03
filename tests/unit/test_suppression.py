"""The log of a bad night: everything once, nothing every second."""

from __future__ import annotations

import logging

import pytest

from unit.docs import document
from vifd.engine.job import Job
from vifd.engine.worker import audit_log
from vifd.engine.worker.suppression import AGAIN, LogSuppression
from vifd.errors import BackendError
from vifd.model import Evidence, PortRecord, Wiring, decode
from vifd.plugin import Item

LOG = logging.getLogger("test")


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def told(now: list[float]) -> LogSuppression:
    return LogSuppression(lambda: now[0])


def test_the_same_failure_is_told_again_after_a_while_only(
    told: LogSuppression, now: list[float]
) -> None:
    assert told.is_new("a", "not proven within 3.002 s; it is down")
    assert not told.is_new("a", "not proven within 3.017 s; it is down")
    assert told.is_new("b", "not proven within 3.002 s; it is down"), "of another port"
    now[0] = AGAIN
    assert told.is_new("a", "not proven within 3.002 s; it is down")


def test_another_failure_and_every_success_are_told(told: LogSuppression) -> None:
    assert told.is_new("a", "one")
    assert told.is_new("a", "two")
    assert told.is_new("a", "")
    assert told.is_new("a", "")
    assert told.is_new("a", "two"), "it had worked in between"


def test_a_port_that_is_gone_is_forgotten(told: LogSuppression) -> None:
    told.is_new("a", "one")
    told.forget("a")
    assert told.is_new("a", "one")


def test_what_could_not_be_taken_back_is_told_once_with_its_port(
    told: LogSuppression, caplog: pytest.LogCaptureFixture
) -> None:
    failing = job(1)
    facts = {"not_undone": ["flows: Connection refused", "device: busy"]}
    failing.error = BackendError(facts={"backend": "x", "problem": "y", **facts})
    for _ in range(3):
        told.tell(LOG, [failing], {})
    (line,) = [r.getMessage() for r in caplog.records if "left on the host" in r.getMessage()]
    instance = failing.item.attachment.instance_id
    for word in ("tap1", "flows: Connection refused; device: busy", "Next: ", "request=-",
                 f"port={failing.id}", f"instance={instance}"):  # fmt: skip
        assert word in line
    caplog.clear()
    failing.error = None
    told.tell(LOG, [failing], {})
    failing.error = BackendError(facts={"backend": "x", "problem": "y", **facts})
    told.tell(LOG, [failing], {})
    assert len([r for r in caplog.records if "left on the host" in r.getMessage()]) == 1, "anew"


def job(number: int) -> Job:
    doc = decode(document(number))
    names = Wiring("fake", "fake", f"tap{number}", {})
    return Job(PortRecord(doc=doc, plugin="fake", vif_type="fake"), Item(doc.attachment, names))


def lines(caplog: pytest.LogCaptureFixture, *findings: tuple[Job, Evidence]) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        audit_log.log_drift(LOG, findings)
    return [r.getMessage() for r in caplog.records]


def test_what_many_ports_share_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    shared = Evidence("flows.bridge", 0, 17, ok=False)
    (line,) = lines(caplog, *((job(n), shared) for n in range(1, 201)))
    assert line.startswith("drift on tap1 and 199 other ports: flows.bridge is 0, wanted 17;")


def test_what_differs_or_concerns_few_is_told_of_each(caplog: pytest.LogCaptureFixture) -> None:
    own = [(job(n), Evidence("device.ifindex", n, n + 1, ok=False)) for n in range(1, 11)]
    assert len(lines(caplog, *own)) == 10
    shared = Evidence("flows.bridge", 0, 17, ok=False)
    assert len(lines(caplog, (job(1), shared), (job(2), shared))) == 2


def test_a_long_list_of_flows_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = lines(caplog, (job(1), Evidence("flows.port", "x" * 10_000, "y", ok=False)))
    assert len(line) < 1200
    assert "wanted 'y'; repairing it" in line
