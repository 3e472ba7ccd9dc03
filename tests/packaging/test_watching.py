"""Alerts and dashboard speak of metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vifd.engine.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc/prometheus/vifd.rules.yml"
DASHBOARD = ROOT / "etc/grafana/vifd.json"


def exposed() -> set[str]:
    return set(Metrics().registry._names_to_collectors)


def named(text: str) -> set[str]:
    return set(re.findall(r"\bvifd_[a-z_]+", text))


def test_every_alert_names_metrics_that_exist_and_what_to_do() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert len(rules) >= 10
    for rule in rules:
        assert named(rule["expr"]) <= exposed(), rule["alert"]
        assert rule["annotations"]["do"]


def test_every_alert_of_the_page_is_a_rule() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    table = page.partition("## What to alert on")[2].partition("## All of them")[0]
    ruled = " ".join(r["expr"] for r in yaml.safe_load(RULES.read_text())["groups"][0]["rules"])
    assert named(table) <= named(ruled)


def test_promtool_agrees() -> None:
    promtool = shutil.which("promtool") or str(ROOT / ".venv/prometheus/promtool")
    if not Path(promtool).exists():
        pytest.skip("promtool is not here")
    commands: list[list[str]] = [
        ["check", "rules", str(RULES)],
        ["test", "rules", str(RULES.with_name("vifd.tests.yml"))],
    ]
    for command in commands:
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_that_of_the_tool_and_asks_for_what_exists() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools/dashboard"], capture_output=True, text=True, check=True
    )
    assert made.stdout == DASHBOARD.read_text()
    panels = json.loads(made.stdout)["panels"]
    asked = named(" ".join(t["expr"] for p in panels for t in p["targets"]))
    assert asked <= exposed()
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
