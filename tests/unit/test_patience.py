"""What the tests themselves may not do: have little patience with a machine that does much else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
#: What tests wait with is held to it as well.
KIT = TESTS.parent / "agent/vifd/testing"
#: What waits for something to come true, and fails if it does not.
WAITS = {"until", "result", "wait", "join", "settimeout", "exception", "assert_reaches", "start",
         "stop", "ready"}  # fmt: skip
#: What such limits are called.
NAMES = {"WAIT", "PATIENCE", "TIMEOUT"}
#: Limits from here on are for what must come true; shorter ones than a second are pauses between
#: two looks, and the time that something which must not come is given.
PATIENT, PAUSE = 30.0, 1.0
#: Where the seconds are the test: how long a service is away.
MEANT = {"system/neutron/test_server.py", "fullstack/agents/null.py", "system/test_libvirt.py",
         "support/cloud/neutron_server.py"}  # fmt: skip


def _limits(call: ast.Call) -> Iterator[float]:
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "timeout")]
    for value in given:
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            yield float(value.value)


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _impatient(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            few = _name(node) in WAITS and any(PAUSE <= s < PATIENT for s in _limits(node))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            seconds = node.value.value
            few = bool(names & NAMES) and isinstance(seconds, float | int) and seconds < PATIENT
        else:
            continue
        if few:
            yield f"line {node.lineno}: {ast.unparse(node)[:90]}"


def test_nothing_that_must_come_true_is_given_a_few_seconds_only() -> None:
    """A wait costs nothing where it is not needed: ``vifd.testing.wait.PATIENCE``."""
    found = [
        f"{path.relative_to(TESTS.parent)}, {problem}"
        for path in sorted([*TESTS.rglob("*.py"), *KIT.rglob("*.py")])
        if not any(path == TESTS / meant for meant in MEANT)
        for problem in _impatient(ast.parse(path.read_text()))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "many"),
    [("until(ready, 'it is', 5)", 1), ("f.result(timeout=1.0)", 1), ("until(ready, 'it is')", 0),
     ("gone.wait(0.02)", 0), ("', '.join(words)", 0), ("thread.join(PATIENCE)", 0),
     ("WAIT = 10.0", 1), ("f.result(0)", 0), ("lane.stop(5)", 1)],
)  # fmt: skip
def test_what_is_found(code: str, many: int) -> None:
    assert len(list(_impatient(ast.parse(code)))) == many
