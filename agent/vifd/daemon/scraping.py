"""Metrics over TCP, for a scraper that cannot ask a unix socket; on loopback only."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

from oslo_config import cfg
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

LOG = logging.getLogger(__name__)


def address(text: str) -> tuple[str, int] | None:
    """What ``[api] metrics_address`` names; ``None`` where nothing shall listen.

    :raises cfg.ConfigFileValueError: it is no address of loopback with a port: whoever reaches it
        may read, and a port of TCP does not say who asks
    """
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        found, number = ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError:
        found, number = None, 0
    if found is None or not found.is_loopback or not 1 <= number <= 65535:
        raise cfg.ConfigFileValueError(
            f"[api] metrics_address: {text!r:.80} is no loopback address with a port, "
            "such as 127.0.0.1:9779 or [::1]:9779"
        )
    return str(found), number


class _Fresh(Collector):
    """The registry, brought up to date before each look."""

    def __init__(self, registry: CollectorRegistry, refresh: Callable[[], None]) -> None:
        self._registry = registry
        self._refresh = refresh

    def collect(self) -> Iterator[Metric]:
        self._refresh()
        yield from self._registry.collect()


class Scraping:
    """A thread that answers ``GET /metrics``.

    :param at: address and port; ``None``: nothing listens
    :param refresh: brings the gauges up to date
    """

    def __init__(
        self, at: tuple[str, int] | None, registry: CollectorRegistry, refresh: Callable[[], None]
    ) -> None:
        self._at = at
        self._source = _Fresh(registry, refresh)
        self._serving: tuple[WSGIServer, threading.Thread] | None = None

    def start(self) -> None:
        """Listen; an address that is taken costs the metrics there and nothing else."""
        if self._at is None:
            return
        host, port = self._at
        try:
            self._serving = start_http_server(port, host, self._source)
        except OSError as error:
            LOG.error(
                "metrics cannot be served on %s, port %d: %s. Next: change [api] metrics_address "
                "and restart vifd; the API's socket serves them as well", host, port, error,
            )  # fmt: skip
        else:
            LOG.info(
                "metrics on http://%s:%d/metrics", host if ":" not in host else f"[{host}]", port
            )

    def stop(self) -> None:
        """Close the port."""
        if self._serving is not None:
            server, thread = self._serving
            server.shutdown()
            server.server_close()
            thread.join(1.0)
