"""The noop plugin: what it takes, what it observes, and that it does nothing."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from contract import noop
from vifd import errors
from vifd.model import Report, Wiring
from vifd.negotiation import Candidate, choose
from vifd.plugin import Entry, Health, Host, Item, Probe
from vifd.testing.attachments import attachment as document
from vifd.testing.attachments import mac
from vifd.testing.injection import Injector
from vifd.testing.machines import FakeMachine
from vifd_noop.plugin import NoopPlugin


class Scene:
    """The plugin on a host of fakes."""

    def __init__(self) -> None:
        self.machine = FakeMachine()
        self.injector = Injector(self.machine.drivers)
        self.plugin = NoopPlugin(Host(self.injector.drivers, dict), None)

    def check(self, **profile: Any) -> Report:
        wanted = document(1, binding_profile=profile)
        item = Item(wanted, self.plugin.name(wanted, {}))
        assert isinstance(self.plugin.plug([item])[wanted.id], Wiring)
        return self.plugin.check([item])[wanted.id]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def facts(report: Report) -> dict[str, Any]:
    return {e.fact: e.have for e in report.evidence}


def bad(report: Report) -> set[str]:
    return {e.fact for e in report.findings}


def test_where_nothing_is_named_nothing_is_observed_and_that_is_said(scene: Scene) -> None:
    report = scene.check()
    assert report.clean
    assert report.passing is None
    assert "nothing" in facts(report)["observable"]


def test_a_device_must_exist_and_be_up(scene: Scene) -> None:
    assert bad(scene.check(vif_name="tap7")) == {"device.exists"}
    scene.machine.links.place("tap7", kind="veth")
    assert bad(scene.check(vif_name="tap7")) == {"device.up"}
    scene.machine.links.place("tap7", kind="veth", up=True)
    assert scene.check(vif_name="tap7").clean


@pytest.mark.parametrize(
    ("kind", "have", "good"),
    [
        ("tun", mac(1), True),
        ("tun", "fe" + mac(1)[2:], True),  # as libvirt makes it
        ("tun", mac(2), False),
        ("veth", mac(2), True),  # the far end has the port's address
    ],
)
def test_the_mac_of_a_tap_is_the_ports(scene: Scene, kind: str, have: str, good: bool) -> None:
    scene.machine.links.place("tap7", kind=kind, mac=have, up=True)
    assert bad(scene.check(vif_name="tap7")) == (set() if good else {"device.mac"})


def test_a_socket_must_be_one(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "vhu"
    assert bad(scene.check(vhostuser_socket=str(path))) == {"socket.exists"}
    path.touch()
    assert bad(scene.check(vhostuser_socket=str(path))) == {"socket.exists"}
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        assert scene.check(vhostuser_socket=str(path)).clean


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"vif_name": "x" * 16}, "vif_name"),
        ({"vif_name": "a/b"}, "vif_name"),
        ({"vif_name": 7}, "vif_name"),
        ({"vhostuser_socket": "relative"}, "vhostuser_socket"),
        ({"vhostuser_socket": "/" + "x" * 107}, "vhostuser_socket"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    scene: Scene, profile: dict[str, Any], field: str
) -> None:
    (needed,) = scene.plugin.requires(document(1, binding_profile=profile))
    assert not needed.met
    assert isinstance(needed.error, errors.BadDocument)
    assert needed.error.facts["field"] == f"port.binding_profile.{field}"


def test_two_ports_cannot_have_one_device(scene: Scene) -> None:
    profile = {"vif_name": "tap7"}
    first, second = (document(n, binding_profile=profile) for n in (1, 2))
    taken = {first.id: Entry(first, scene.plugin.name(first, {}), open=True)}
    with pytest.raises(errors.NameClash, match=first.id):
        scene.plugin.name(second, taken)
    assert scene.plugin.name(first, taken).device == "tap7"


def test_no_verb_changes_the_host(scene: Scene) -> None:
    scene.machine.links.place("tap7", kind="tun", mac=mac(1), up=True)
    wanted = document(1, binding_profile={"vif_name": "tap7"})
    item = Item(wanted, scene.plugin.name(wanted, {}))
    scene.injector.arm()
    for verb in ("plug", "activate", "deactivate", "check", "unplug"):
        getattr(scene.plugin, verb)([item])
    assert scene.injector.writes == []
    assert scene.plugin.observe() == []


def test_compute_is_told_of_the_socket_or_the_device(scene: Scene) -> None:
    for profile, kind in (
        ({"vif_name": "tap7"}, "ethernet"),
        ({"vhostuser_socket": "/s"}, "vhostuser"),
    ):
        wanted = document(1, binding_profile=profile)
        vif = scene.plugin.vif(wanted, scene.plugin.name(wanted, {}))
        assert (vif.type, vif.managed) == (kind, False)


def test_it_is_chosen_only_when_asked_for(scene: Scene) -> None:
    candidate = Candidate("noop", NoopPlugin.describe(), Probe(Health.READY))
    unasked = choose(noop.attachment(1), [candidate])
    assert (unasked.plugin, unasked.refusals) == ("", {})
    import msgspec

    asked = msgspec.structs.replace(noop.attachment(1), plugin="noop")
    assert choose(asked, [candidate]).plugin == "noop"
