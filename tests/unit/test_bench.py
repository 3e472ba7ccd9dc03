"""What the bench makes of its figures: the picture, and the ratios that are kept."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("picture"), importlib.import_module("report")


def scenario(report: Any, present: int, where: str = "", **seconds: float) -> Any:
    made = report.Scenario(f"one plug, {present} ports present{where}")
    for name, value in seconds.items():
        made.add(name.replace("_", "-"), value)
    return made


def test_the_picture_has_a_line_for_each_who_plugs(modules: tuple[Any, Any]) -> None:
    picture, report = modules
    scenarios = [
        scenario(report, 100, vifd=0.02, floor=0.01, os_vif=0.03),
        scenario(report, 10, vifd=0.01, floor=0.005),
        scenario(report, 50, " on one network", vifd=0.04, os_vif=0.02),
        report.Scenario("100 at once, from empty"),
    ]
    found = picture.lines(report.render(scenarios, [], 1.0))
    assert found["vifd", False] == [(10, 10.0), (100, 20.0)]
    assert found["vifd", True] == [(50, 40.0)]
    drawn = ElementTree.fromstring(picture.svg(found))
    lines = [one for one in drawn.iter() if one.tag.endswith("polyline")]
    assert len(lines) == len(found) == 5
    words = {one.text for one in drawn.iter() if one.tag.endswith("text")}
    assert {"vifd", "floor", "os-vif", "vifd, one net", "10", "100"} <= words


def test_the_picture_that_is_kept_shows_the_table_that_is_kept(modules: tuple[Any, Any]) -> None:
    picture, report = modules
    drawn = picture.svg(picture.lines(report.RESULTS.read_text()))
    assert picture.PICTURE.read_text() == drawn, "run: python bench/picture.py"


def test_more_is_further_right_and_higher(modules: tuple[Any, Any]) -> None:
    picture, _ = modules
    scale = picture.Scale([10, 2000], 0.0, 100.0)
    assert 0 <= scale.at(10) < scale.at(100) < scale.at(2000) <= 100
    assert picture.Scale([10], 0.0, 100.0).at(10) == 0


def test_ratios_are_kept_run_by_run(modules: tuple[Any, Any], tmp_path: Path) -> None:
    _, report = modules
    file = tmp_path / "build" / "ratios.jsonl"
    for _ in range(2):
        report.keep_ratios(file, [scenario(report, 10, vifd=0.03, floor=0.01)])
    kept = [json.loads(line)["ratios"] for line in file.read_text().splitlines()]
    assert kept == [{"one plug, 10 ports present": {"floor": 3.0}}] * 2


def test_every_step_of_the_profile_is_there(modules: tuple[Any, Any]) -> None:
    profiled = importlib.import_module("profiled")
    for _, module, path in profiled.STEPS:
        owner: Any = importlib.import_module(module)
        for name in path.split("."):
            owner = getattr(owner, name)
        assert callable(owner)
