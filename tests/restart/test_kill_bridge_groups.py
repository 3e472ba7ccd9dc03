"""SIGKILL before and after every effect of the first port with security groups on a bridge of the
kernel, of a change of rules and members, of a port that joins a group, and of the last one's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from restart.effects import each_effect
from restart.test_kill_groups import GROUP, LOG, say
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import TABLE
from vifd.model import Attachment
from vifd.testing import census
from vifd.testing.contract_kill import Scene
from vifd.testing.contract_limits import RULES, held
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs, answers
from vifd.testing.wait import until
from vifd_linuxbridge import telling
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_linuxbridge.testing import quiet_netfilter

pytestmark = pytest.mark.needs("bridge_tracking")


class Grouped(LinuxBridgeProfile):
    """Ports in a security group, with every limit."""

    def attachment(self, number: int) -> Attachment:
        made = held(super().attachment(number), *RULES)
        port = msgspec.structs.replace(made.port, security_groups=[GROUP])
        return msgspec.structs.replace(made, port=port)


@pytest.fixture
def profile() -> Profile:
    return Grouped(LinuxBridgePlugin)


@pytest.fixture
def vifd(ovs: PrivateOvs, profile: Profile, tmp_path: Path) -> Iterator[Vifd]:
    quiet_netfilter()
    options: dict[str, dict[str, object]] = {
        "engine": {"retry_first": 0.05, "check_interval": 0},
        "linuxbridge": dict(profile.options),
    }
    daemon = Vifd(tmp_path / "v", ovs, options)
    yield daemon
    daemon.close()


@pytest.fixture
def scene(nursery: Nursery, vifd: Vifd, profile: Profile) -> Scene:
    return Scene(nursery, vifd, profile)


def in_force(port: int, *members: str) -> bool:
    """Whether the group has a rule for this port alone, and these members."""
    nft = Nft()
    try:
        chains = nft.list_chains(TABLE)
        sets = [n for n in nft.list_sets(TABLE) if n.startswith(f"sg-{GROUP}-")]
        there = {a for found in nft.addresses(TABLE, sets).values() for a in found}
    finally:
        nft.close()
    texts = [str(r) for n, c in chains.items() if GROUP in n for r in c.rules]
    ports = {n for n in (53, 54) for text in texts if f"== {n:#x} " in text}
    return ports == {port} and {*members} <= there


def listed() -> tuple[set[str], set[str]]:
    """The names of the chains and of the sets of vifd's table."""
    nft = Nft()
    try:
        return {*nft.list_chains(TABLE)}, {*nft.list_sets(TABLE)}
    finally:
        nft.close()


def nothing() -> bool:
    """Whether nothing of any group is there."""
    chains, sets = listed()
    return not [n for n in (*chains, *sets) if n.startswith(("sg-", "zone-"))]


def gone() -> None:
    until(nothing, "nothing of the group is left")


def active(scene: Scene) -> None:
    assert scene.vifd.get(scene.path)["status"] == "ACTIVE"


WHEN = pytest.mark.parametrize("when", ["before", "after"])


@WHEN
def test_while_the_first_port_is_plugged(when: str, scene: Scene, vifd: Vifd) -> None:
    def then() -> None:
        scene.plug()
        active(scene)
        assert in_force(53, "10.9.0.1", "fd09::1")

    prepare = lambda: say(vifd, 53, "10.9.0.1", "fd09::1")  # noqa: E731 - one line
    assert each_effect(scene, when, prepare, scene.plug, then, gone) > 2


@WHEN
def test_while_the_last_port_goes(when: str, scene: Scene, vifd: Vifd, ovs: PrivateOvs) -> None:
    with scene.running():
        say(vifd, 53, "10.9.0.1")
        scene.plug()
        scene.unplug()
        empty = census.take(ovs)

    def then() -> None:
        scene.unplug()
        assert nothing()
        assert census.take(ovs).beyond(empty, processes=False) == []

    assert each_effect(scene, when, scene.plug, scene.unplug, then, gone) > 1


@WHEN
def test_while_rules_and_members_change(when: str, scene: Scene, vifd: Vifd) -> None:
    def prepare() -> None:
        say(vifd, 53, "10.9.0.1")
        scene.plug()
        until(lambda: in_force(53, "10.9.0.1"), "the old rules are there")

    def changed() -> bool:
        return in_force(54, "10.9.0.2") and not in_force(54, "10.9.0.1")

    def act() -> None:
        say(vifd, 54, "10.9.0.2")
        until(lambda: changed() or not answers(vifd.socket), "the change is there, or died")

    def then() -> None:
        until(changed, "the change is there")
        active(scene)

    assert each_effect(scene, when, prepare, act, then, gone) > 0


@WHEN
def test_while_a_port_joins(when: str, scene: Scene, vifd: Vifd) -> None:
    """A port that had no groups comes into one, of which it is a member then."""
    joined = scene.document
    own = str(joined["fixed_ips"][0]["ip_address"])
    port: dict[str, Any] = {k: v for k, v in joined["port"].items() if k != "security_groups"}
    bare = {**joined, "port": port}

    def prepare() -> None:
        say(vifd, 53, "10.9.0.1")
        scene.document = bare
        scene.plug()
        assert not in_force(53)

    def act() -> None:
        scene.document = joined
        vifd.call("PUT", f"{scene.path}?wait=active&timeout=60", joined)
        until(lambda: in_force(53, own) or not answers(vifd.socket), "it is in, or died")

    def then() -> None:
        until(lambda: in_force(53, own), "it is in its group")
        active(scene)

    assert each_effect(scene, when, prepare, act, then, gone) > 0


@pytest.mark.parametrize(("when", "comes"), [("after", True), ("before", False)])
def test_while_a_log_comes_or_goes(when: str, scene: Scene, vifd: Vifd, *, comes: bool) -> None:
    def log(*, enabled: bool) -> None:
        status, answer = vifd.call("PUT", LOG, {"enabled": enabled})
        assert status in (200, 201, 202), answer

    def prepare() -> None:
        say(vifd, 53, "10.9.0.1")
        log(enabled=not comes)
        scene.plug()
        until(lambda: logged() is not comes, "it is as before")

    def act() -> None:
        log(enabled=comes)
        until(lambda: logged() is comes or not answers(vifd.socket), "it is there, or died")

    def then() -> None:
        until(lambda: logged() is comes, "it is logged, or not")
        active(scene)

    def all_gone() -> None:
        gone()
        until(lambda: not logged(), "nothing of the log is left")

    assert each_effect(scene, when, prepare, act, then, all_gone) > 0


def logged() -> bool:
    """Whether anything is there that logs want."""
    chains, sets = listed()
    there = [n for n in chains if n in telling.BASE or n.endswith(("-loga", "-logd"))]
    return bool(there or telling.LOGGED in sets)
