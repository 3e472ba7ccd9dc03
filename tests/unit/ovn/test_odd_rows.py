"""A southbound database that answers something else: said, and never a fault of the daemon."""

from __future__ import annotations

from typing import Any

import pytest

from support.odd import variants
from vifd_ovn import southbound


def test_whatever_it_says_is_an_answer_or_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "type": "", "up": True, "chassis": ["uuid", "0d1e0000-0000-4000-8000-000000000001"],
        "options": ["map", [["requested-chassis", "here"]]], "name": "here",
    }  # fmt: skip
    said: list[Any] = []
    monkeypatch.setattr(southbound, "ask", lambda *_: said[0])
    problems = 0
    for value in variants([{"rows": [row]}]):
        said[:] = [value]
        answer = southbound.read("unix:/x", "p", 1.0)
        problems += bool(answer.problem)
        assert answer.binding is None or isinstance(answer.binding.requested, str)
    assert problems > 10
    said[:] = [[{"rows": [row]}]]
    found = southbound.read("unix:/x", "p", 1.0).binding
    assert found is not None
    assert (found.requested, found.up, found.chassis) == ("here", True, "here")
