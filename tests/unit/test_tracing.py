"""Traces: one for each request, a span for each step of a port, and nothing where nobody traces."""

from __future__ import annotations

import gzip
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.daemon import tracing
from vifd.engine import Settings
from vifd.engine.worker.tracing import Served, Stretches
from vifd.testing.plugin import FakeBackend
from vifd.testing.wait import PATIENCE

export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="needs the extra otel")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(
        tmp_path, FakeBackend(), Settings(verify=0.05, retry_first=60.0, retry_longest=60.0)
    )
    made.boot()
    yield made
    made.halt()


class Collector:
    """A daemon's traces, kept in memory."""

    def __init__(self) -> None:
        self.exporter = memory.InMemorySpanExporter()
        self.tracer = tracing.Spans(export.SimpleSpanProcessor(self.exporter))

    def roots(self) -> list[Any]:
        return [s for s in self.exporter.get_finished_spans() if s.parent is None]

    def steps(self, root: Any) -> list[Any]:
        found = [
            s for s in self.exporter.get_finished_spans()
            if s.parent is not None and s.parent.span_id == root.context.span_id
        ]  # fmt: skip
        return sorted(found, key=lambda s: (s.start_time, s.end_time))


@pytest.fixture
def collector(machine: Machine) -> Collector:
    made = Collector()
    machine.engine.lanes.trace(made.tracer)
    return made


def test_a_plug_is_a_trace_of_its_steps(machine: Machine, collector: Collector) -> None:
    machine.put(document(1), "req-of-nova").done.result(WAIT)
    until(lambda: bool(collector.roots()))
    (root,) = collector.roots()
    assert root.name == "plug"
    assert root.attributes["vifd.port"] == port_id(1)
    assert root.attributes["vifd.request"] == "req-of-nova"
    assert root.attributes["vifd.plugin"] == "fake"
    assert root.context.trace_id == tracing.trace_id("req-of-nova")
    steps = collector.steps(root)
    assert [s.name for s in steps if s.name != "wait"] == [
        "name", "plug", "verify", "open", "record",
    ]  # fmt: skip
    assert all(root.start_time <= s.start_time <= s.end_time <= root.end_time for s in steps)


def test_an_unplug_as_well_and_both_by_their_requests(
    machine: Machine, collector: Collector
) -> None:
    machine.plug(document(1))
    machine.drop(1).done.result(WAIT)
    until(lambda: len(collector.roots()) == 2)
    plug, unplug = collector.roots()
    assert (plug.name, unplug.name) == ("plug", "unplug")
    assert unplug.context.trace_id == tracing.trace_id("req-2")
    assert "unplug" in [s.name for s in collector.steps(unplug)]


def test_what_failed_says_its_code(machine: Machine, collector: Collector) -> None:
    fault = errors.BridgeMissing(facts={"bridge": "br-int"})
    machine.backend.faults["plug", port_id(1)] = fault
    with pytest.raises(errors.VifError):
        machine.plug(document(1))
    until(lambda: bool(collector.roots()))
    root = collector.roots()[0]
    assert not root.status.is_ok
    assert root.attributes["error.type"] == root.status.description == "E_PLUG_BRIDGE_MISSING"


def test_a_tracer_that_breaks_fails_no_port(
    machine: Machine, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.tracer._tracer = None
    assert machine.plug(document(1)).error is None
    until(lambda: "a trace could not be made" in caplog.text)


def test_a_request_is_one_trace_whose_id_follows_from_it() -> None:
    assert tracing.trace_id("req-1") == tracing.trace_id("req-1") != tracing.trace_id("req-2")
    assert tracing.trace_id("") not in (0, tracing.trace_id(""))


def test_stretches_add_up() -> None:
    times = iter((1_000_000_000, 3_000_000_000))
    spent = Stretches(clock=lambda: next(times))
    spent["plug"] = 0.5
    spent["plug"] = 1.5
    assert spent["plug"] == 1.5
    assert spent.seen == [
        ("plug", 500_000_000, 1_000_000_000), ("plug", 2_000_000_000, 3_000_000_000),
    ]  # fmt: skip


def test_without_an_endpoint_nothing_of_it_is_loaded_or_asked(machine: Machine) -> None:
    assert tracing.make("") is None
    worker = next(iter(machine.engine.lanes._workers.values()))
    assert type(worker.telling.spent([])) is dict
    code = (
        "import sys, vifd.daemon.daemon, vifd.daemon.tracing as t\n"
        "assert t.make('') is None\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=300)


def test_a_library_that_is_not_installed_is_said_and_ports_are_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    assert tracing.make("http://127.0.0.1:4318/v1/traces") is None
    assert "install vifd[otel]" in caplog.text


def test_a_collector_that_is_away_does_not_hold_up_a_stop() -> None:
    spans = tracing.make("http://127.0.0.1:9/v1/traces")
    assert spans is not None
    spans([Served("p", "", "r", "fake", "plug", 1, 2, (("plug", 1, 2),), 1)])
    spans.stop()


def _taken(listener: socket.socket, taken: queue.Queue[bytes]) -> None:
    """One request of HTTP, whole, and its answer."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n"))
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        body = stream.read(int(length.group(1)))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    taken.put(head + (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))


def test_spans_arrive_at_a_collector_as_otlp() -> None:
    taken: queue.Queue[bytes] = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_taken, args=(listener, taken), daemon=True).start()
        spans = tracing.make(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces")
        assert spans is not None
        spans([Served("port-1", "", "r", "fake", "plug", 1, 2, (("verify", 1, 2),), 1)])
        spans.stop()
        said = taken.get(timeout=PATIENCE)
    assert said.startswith(b"POST /v1/traces ")
    assert b"port-1" in said
    assert b"verify" in said
