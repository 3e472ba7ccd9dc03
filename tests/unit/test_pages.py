"""Pages that are written by hand say what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from vifd import main
from vifd.daemon import config
from vifd.engine.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"


def _documented() -> dict[str, set[str]]:
    text = (DOCS / "metrics.md").read_text().partition("## All of them")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", text, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def _registered(registry: CollectorRegistry) -> dict[str, set[str]]:
    found = {}
    for collector in registry._collector_to_names:
        # one of several metrics makes them when it is asked
        own: list[Any] = [collector] if hasattr(collector, "_type") else [*collector.collect()]
        for metric in own:
            kind = getattr(metric, "_type", None) or metric.type
            name = getattr(metric, "_name", None) or metric.name
            found[name + ("_total" if kind == "counter" else "")] = set(metric._labelnames)
    return found


def test_every_metric_is_documented_with_its_labels() -> None:
    assert _documented() == _registered(Metrics().registry)


def test_what_to_alert_on_exists() -> None:
    text = (DOCS / "metrics.md").read_text()
    named = set(re.findall(r"vifd_\w+", text))
    assert named <= _documented().keys()


def test_the_manual_has_every_exit_code_of_the_daemon() -> None:
    text = (DOCS / "vifd.8.md").read_text()
    codes = {value for name, value in vars(main).items() if name.startswith("EXIT_")}
    assert set(map(int, re.findall(r"^\| (\d+) \|", text, re.MULTILINE))) == codes


def test_the_manual_has_every_group_of_the_configuration() -> None:
    text = (DOCS / "agent.conf.5.md").read_text()
    groups = set(re.findall(r"^\| `\[([^]]+)\]` \|", text, re.MULTILINE))
    assert groups == {group or "DEFAULT" for group in config.GROUPS}


def test_the_manual_that_the_unit_names_is_there() -> None:
    unit = (DOCS.parent / "etc/systemd/vifd.service").read_text()
    for name, section in re.findall(r"man:([\w.]+)\((\d)\)", unit):
        assert (DOCS / f"{name}.{section}.md").exists()


def test_every_kind_of_fault_has_its_tests() -> None:
    """Of each row the named files exist, and hold tests."""
    rows = re.findall(
        r"^\| ([^|]+) \| (.+) \|$", (DOCS / "design/faults.md").read_text(), re.MULTILINE
    )
    kinds = {kind: re.findall(r"`([\w/]+(?:\.py)?)`", shown) for kind, shown in rows[1:]}
    assert len(kinds) >= 25
    for kind, places in kinds.items():
        assert places, kind
        for place in places:
            path = DOCS.parent / "tests" / place
            files = [path] if path.suffix else list(path.rglob("test_*.py"))
            assert files, place
            assert all("def test_" in file.read_text() for file in files), place
