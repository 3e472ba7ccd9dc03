"""What plugins say their own facts mean: heard, in its place, and no harm where it is nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unit.explain.test_causes import subject
from unit.machine import Machine
from vifd.engine import Settings
from vifd.explain import causes
from vifd.explain.explanation import Name
from vifd.model import Evidence
from vifd.plugin.meanings import Meaning, Meanings, plain, value
from vifd.testing.plugin import FakeBackend, FakePlugin

FIRMWARE = Meaning(
    "device", ("device.firmware",), lambda f, _: f"firmware {value(f.have)} is too old",
    "flash it", ("device.carrier", "acme.*"),
)  # fmt: skip
REST = Meaning("switch", ("acme.*",), plain, "ask Acme")
ACME = Meanings((FIRMWARE, REST), follows={"device": ("acme.*",)}, stages={"flash": "device"})


class Acme(FakePlugin):
    declared: Any = ACME

    @classmethod
    def meanings(cls) -> Meanings:
        return cls.declared


def found(name: str, have: object = "1.0") -> Evidence:
    return Evidence(name, have, "2.0", ok=False, source="netlink")


def words(plugin: str, finding: Evidence) -> str:
    return causes.said(causes.of(plugin).of(finding), finding, subject([finding]))


def test_a_declared_fact_has_its_own_words_before_the_core_takes_the_rest() -> None:
    assert "too old" not in words("acme", found("device.firmware"))
    causes.learn("acme", Acme)
    assert words("acme", found("device.firmware")) == "firmware 1.0 is too old"
    row = causes.of("acme").of(found("device.firmware"))
    assert (row.step, row.hint) == (Name.DEVICE, "flash it")
    assert causes.of("acme").step_of(found("acme.speed")) is Name.SWITCH
    assert causes.of("acme").step_of_stage("flash") is Name.DEVICE


def test_what_one_plugin_declares_is_not_said_of_anothers_ports() -> None:
    causes.learn("acme", Acme)
    assert "too old" not in words("ovs", found("device.firmware"))


def test_the_core_keeps_the_order_of_the_steps() -> None:
    causes.learn("acme", Acme)
    table = causes.of("acme")
    steps = [list(Name).index(Name(row.step)) for row in table.rows]
    assert steps == sorted(steps)
    ranks = [table.rank(found(f)) for f in ("device.firmware", "acme.speed", "uplink.port")]
    assert ranks == sorted(ranks)


def test_what_a_declared_fact_explains_is_not_the_first_broken_step() -> None:
    causes.learn("acme", Acme)
    table = causes.of("acme")
    firmware, speed = found("device.firmware"), found("acme.speed")
    assert table.roots([speed, firmware]) == [firmware]
    assert table.roots([speed]) == [speed]


def test_what_follows_from_a_fact_of_the_core_is_declared_too() -> None:
    causes.learn("acme", Acme)
    device, speed = found("device", "missing"), found("acme.speed")
    assert causes.of("acme").roots([speed, device]) == [device]


@pytest.mark.parametrize(
    "nonsense", [Meanings((Meaning("sunshine", ("x",), plain, ""),)), [7], 7, (REST,)]
)
def test_nonsense_costs_its_own_sentences_and_is_told(
    nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    causes.learn("acme", type("Bad", (Acme,), {"declared": nonsense}))
    assert causes.of("acme") is causes.of("a plugin that is not there")
    assert "plugin acme: what it says its facts mean cannot be used" in caplog.text


def test_the_daemon_asks_the_plugins_that_it_has(tmp_path: Path) -> None:
    """Through the guard, which every call of a plugin goes by."""
    machine = Machine(tmp_path, FakeBackend(), Settings(), make=Acme)
    machine.boot()
    machine.halt()
    assert causes.of("fake").of(found("device.firmware")).hint == "flash it"


def test_ovn_says_what_its_facts_mean() -> None:
    table = causes.of("ovn")
    effect, cause = found("ovn.installed", False), found("ovn.encapsulation", "none")
    assert table.roots([effect, cause]) == [cause]
    assert "no tunnel endpoint" in words("ovn", cause)
    assert table.of(cause).step == Name.WIRING


def test_a_plugin_on_a_bridge_has_the_words_of_the_bridge() -> None:
    for plugin in ("ovs", "ovn", "vhostuser"):
        assert "VLAN tag" in words(plugin, found("ovsdb.tag", 7))
