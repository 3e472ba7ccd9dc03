"""Plugs as spans of OpenTelemetry: the extra ``otel``, and off unless an endpoint is named."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import secrets
import threading
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from vifd import __version__
from vifd.engine.worker.tracing import Served

LOG = logging.getLogger(__name__)

OPTIONS = [
    cfg.StrOpt(
        "endpoint",
        default="",
        help="Where traces of plugs and unplugs go, one span for each of their steps: the URL of a "
        "collector that takes OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces. What the "
        "OTEL_EXPORTER_OTLP_* variables say of headers, certificates and timeouts counts. Needs "
        "the extra vifd[otel]. Empty: nothing is traced, and nothing of it is loaded.",
    ),
]

#: Seconds that a stop waits for the last spans to leave.
LAST = 2.0


class _Ids:
    """Ids of spans; all that is done for one request is one trace, whose id follows from it."""

    def __init__(self) -> None:
        self._request = threading.local()

    def of(self, request: str) -> None:
        """The next traces of this thread are of this request."""
        self._request.id = request

    def generate_trace_id(self) -> int:
        """The request's, never 0."""
        return trace_id(getattr(self._request, "id", "")) or self.generate_span_id()

    def generate_span_id(self) -> int:
        """Any that is not 0."""
        return secrets.randbits(64) or 1

    def is_trace_id_random(self) -> bool:
        """Whether its last bytes may be taken for random; a hash's may."""
        return True


def trace_id(request: str) -> int:
    """The trace of a request: whoever knows the one finds the other. Random without a request."""
    if not request:
        return secrets.randbits(128) or 1
    return int.from_bytes(hashlib.sha256(request.encode()).digest()[:16]) or 1


class Spans:
    """Turns what was served into spans.

    :param processor: of OpenTelemetry's SDK: what becomes of finished spans
    """

    def __init__(self, processor: Any) -> None:
        trace = importlib.import_module("opentelemetry.trace")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        self._api, self._ids = trace, _Ids()
        who = {"service.name": "vifd", "service.version": __version__,
               "host.name": os.uname().nodename}  # fmt: skip
        self._provider = sdk.TracerProvider(
            resource=resources.Resource.create(who),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("vifd", __version__)

    def __call__(self, ports: Sequence[Served]) -> None:
        """Never raises: a trace that cannot be made is no reason to fail a port."""
        try:
            for port in ports:
                self._port(port)
        except Exception:
            LOG.exception("a trace could not be made; ports are served all the same")

    def _port(self, port: Served) -> None:
        self._ids.of(port.request)
        known = {
            "vifd.port": port.port, "vifd.instance": port.instance, "vifd.request": port.request,
            "vifd.plugin": port.plugin, "vifd.batch": port.batch, "error.type": port.error,
        }  # fmt: skip
        span = self._tracer.start_span(
            port.step, context=importlib.import_module("opentelemetry.context").Context(),
            start_time=port.begun, attributes={k: v for k, v in known.items() if v},
        )  # fmt: skip
        inside = self._api.set_span_in_context(span)
        for name, begun, ended in port.stretches:
            self._tracer.start_span(name, context=inside, start_time=begun).end(ended)
        if port.error:
            span.set_status(self._api.Status(self._api.StatusCode.ERROR, port.error))
        span.end(port.ended)

    def stop(self) -> None:
        """Send what is left; a collector that is away is not waited for."""
        thread = threading.Thread(target=self._provider.shutdown, name="traces-last", daemon=True)
        thread.start()
        thread.join(LAST)


def make(endpoint: str) -> Spans | None:
    """Who traces; ``None`` where nothing shall be traced, or what it takes is not installed."""
    if not endpoint:
        return None
    try:
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
    except ImportError as error:
        LOG.error(
            "[tracing] endpoint is set and nothing is traced: %s. Next: install vifd[otel], or "
            "empty the option", error,
        )  # fmt: skip
        return None
    spans = Spans(export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=endpoint)))
    LOG.info("plugs are traced to %s", endpoint)
    return spans
