"""Metrics over TCP: on loopback alone, and fresh at each look."""

from __future__ import annotations

import logging
import socket
import urllib.request

import pytest
from oslo_config import cfg

from vifd.daemon.scraping import Scraping, address
from vifd.engine.metrics import Metrics


@pytest.mark.parametrize(
    ("text", "means"),
    [("", None), ("127.0.0.1:9779", ("127.0.0.1", 9779)), ("[::1]:80", ("::1", 80)),
     ("127.9.9.9:65535", ("127.9.9.9", 65535))],
)  # fmt: skip
def test_addresses_of_loopback(text: str, means: tuple[str, int] | None) -> None:
    assert address(text) == means


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:9779", "192.0.2.1:9779", "[::]:9779", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
     "127.0.0.1:65536", "localhost:9779", ":9779", "127.0.0.1:x"],
)  # fmt: skip
def test_others_are_refused_by_name(text: str) -> None:
    with pytest.raises(cfg.ConfigFileValueError, match="metrics_address"):
        address(text)


def free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_a_scraper_gets_what_is_true_now() -> None:
    metrics, port, sizes = Metrics(), free(), iter((3, 5))
    scraping = Scraping(
        ("127.0.0.1", port), metrics.registry, lambda: metrics.outbox.set(next(sizes))
    )
    scraping.start()
    try:
        for expected in ("vifd_outbox 3.0", "vifd_outbox 5.0"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                assert expected in answer.read().decode()
    finally:
        scraping.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_port_that_is_taken_is_told_and_costs_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken, caplog.at_level(logging.ERROR):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        scraping = Scraping(("127.0.0.1", port), Metrics().registry, lambda: None)
        scraping.start()
        scraping.stop()
    assert "change [api] metrics_address" in caplog.text
