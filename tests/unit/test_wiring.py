"""The daemon gives the engine all of its callbacks, in one place."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unit.docs import document
from unit.machine import Machine
from vifd.daemon.wiring import wire
from vifd.engine import Settings
from vifd.engine.hooks import Hooks
from vifd.model import Phase, PortRecord, decode
from vifd.testing.plugin import FakeBackend

AGENT = Path(__file__).parents[2] / "agent/vifd"
NAMES = {field.name for field in fields(Hooks)}


def test_every_callback_has_somebody(tmp_path: Path) -> None:
    made = Machine(tmp_path, FakeBackend(), Settings())
    made.boot()
    others: dict[str, Any] = {
        "guard": SimpleNamespace(may=lambda *_: True, turn=lambda: None),
        "reporter": SimpleNamespace(notify=lambda: None, awaited=lambda *_: None, told=False),
        "view": SimpleNamespace(
            health_changed=lambda: None, inventory=None, second_look=lambda: None
        ),
        "watcher": SimpleNamespace(wake=lambda: None),
    }
    wire(made.engine, made.agent, **others)
    nobody = Hooks()
    hooks = made.engine.hooks
    left = {name for name in NAMES if getattr(hooks, name) is getattr(nobody, name)}
    made.halt()
    assert left == set()


@pytest.mark.parametrize("told", [True, False])
def test_statuses_are_written_for_a_service_that_wants_them(tmp_path: Path, told: bool) -> None:
    made = Machine(tmp_path, FakeBackend(), Settings())
    made.boot()
    reporter: Any = SimpleNamespace(notify=lambda: None, awaited=lambda *_: None, told=told)
    wire(made.engine, made.agent, reporter=reporter)
    doc = decode(document(1))
    record = PortRecord(doc=doc, plugin="fake", vif_type="fake", phase=Phase.LIVE)
    written = made.engine.hooks.statuses({record.id: None}, {record.id: record})
    made.halt()
    assert len(written) == told


def test_nobody_else_sets_them() -> None:
    """An assignment far away would silently replace another."""
    found = []
    for path in AGENT.rglob("*.py"):
        if path.name == "wiring.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign):
                targets = [t for each in node.targets for t in ast.walk(each)]
                found += [
                    f"{path}:{node.lineno}"
                    for t in targets
                    if isinstance(t, ast.Attribute) and ast.unparse(t.value).endswith("hooks")
                ]
    assert found == []
