"""What plugins say their own facts mean: heard, in its place, and no harm where it is nonsense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from unit.machine import Machine
from vifd.engine import Settings
from vifd.explain import causes
from vifd.explain.causes import cause_of, rank, roots, rows, step_of
from vifd.explain.explanation import Name
from vifd.model import Evidence
from vifd.plugin.meanings import Meaning, plain, value
from vifd.testing.plugin import FakeBackend, FakePlugin
from vifd_ovn.plugin import OvnPlugin

FIRMWARE = Meaning(
    "device", ("device.firmware",), lambda f: f"firmware {value(f.have)} is too old",
    "flash it", ("device.carrier", "acme.*"),
)  # fmt: skip
REST = Meaning("switch", ("acme.*",), plain, "ask Acme")


class Acme(FakePlugin):
    declared: Sequence[Any] = (FIRMWARE, REST)

    @classmethod
    def meanings(cls) -> Sequence[Meaning]:
        return cls.declared


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = dict(causes._declared)
    yield
    causes._declared.clear()
    causes._declared.update(before)
    rows.cache_clear()


def found(name: str, have: object = "1.0") -> Evidence:
    return Evidence(name, have, "2.0", ok=False, source="netlink")


def test_a_declared_fact_has_its_own_words_before_the_core_takes_the_rest() -> None:
    assert "firmware" not in cause_of(found("device.firmware")).sentence(found("x"), None)  # type: ignore[arg-type]
    causes.learn("acme", Acme)
    cause = cause_of(found("device.firmware"))
    assert cause.sentence(found("device.firmware"), None) == "firmware 1.0 is too old"  # type: ignore[arg-type]
    assert (cause.step, cause.hint) == (Name.DEVICE, "flash it")
    assert step_of(found("acme.speed")) is Name.SWITCH


def test_the_core_keeps_the_order_of_the_steps() -> None:
    causes.learn("acme", Acme)
    steps = [list(Name).index(cause.step) for cause in rows()]
    assert steps == sorted(steps)
    assert rank(found("device.firmware")) < rank(found("acme.speed")) < rank(found("uplink.port"))


def test_what_a_declared_fact_explains_is_not_the_first_broken_step() -> None:
    causes.learn("acme", Acme)
    firmware, speed = found("device.firmware"), found("acme.speed")
    assert roots([speed, firmware]) == [firmware]
    assert roots([speed]) == [speed]


@pytest.mark.parametrize("nonsense", [[Meaning("sunshine", ("x",), plain, "")], [7], 7])
def test_nonsense_costs_its_own_sentences_and_is_told(
    nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = rows()
    causes.learn("acme", type("Bad", (Acme,), {"declared": nonsense}))
    assert rows() == before
    assert "plugin acme: what it says its facts mean cannot be used" in caplog.text


def test_the_daemon_asks_the_plugins_that_it_has(tmp_path: Path) -> None:
    """Through the guard, which every call of a plugin goes by."""
    machine = Machine(tmp_path, FakeBackend(), Settings(), make=Acme)
    machine.boot()
    machine.halt()
    assert cause_of(found("device.firmware")).hint == "flash it"


def test_ovn_says_what_its_facts_mean() -> None:
    causes.learn("ovn", OvnPlugin)
    effect, cause = found("ovn.installed", False), found("ovn.encapsulation", "none")
    assert roots([effect, cause]) == [cause]
    assert "no tunnel endpoint" in cause_of(cause).sentence(cause, None)  # type: ignore[arg-type]
    assert cause_of(cause).step is Name.WIRING
