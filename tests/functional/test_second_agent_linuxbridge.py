"""Two daemons with journals of their own on bridges of the kernel: the second is refused in words
that name the first, touches nothing, and has the bridges once the first does not run any more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contract import linuxbridge as make
from functional.test_daemon import FAST, all_live, hello
from functional.test_garbage_linuxbridge import forwards, machine, tap, wanted  # noqa: F401
from unit.docs import port_id
from vifd.drivers import Nft
from vifd.drivers.nft.objects import Change
from vifd.errors import BridgeTaken
from vifd.plugin import Health, Host, identity
from vifd.plugin.identity import Identity
from vifd.testing.attachments import attachment
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_reaches, guests
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine, LinuxMachine
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge import tenancy
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.ruleset import TABLE

EAGER = {**FAST, "garbage": {"grace": 0.1, "interval": 0}}


@pytest.fixture
def first(ovs: PrivateOvs, tmp_path: Path, machine: LinuxMachine) -> Iterator[Vifd]:  # noqa: F811
    with Vifd(tmp_path / "a", ovs, EAGER) as daemon:
        yield daemon


@pytest.fixture
def second(first: Vifd, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "b", ovs, EAGER)
    yield daemon
    first.stop()
    daemon.process.start(60)
    daemon.ready()
    daemon.call("POST", "/v1/host/refresh")
    for number in (1, 2, 3):
        daemon.unplug(port_id(number))
    daemon.close()


def state(vifd: Vifd) -> tuple[str, str]:
    vifd.call("POST", "/v1/host/refresh")
    (plugin,) = [p for p in vifd.get("/v1/plugins")["plugins"] if p["name"] == "linuxbridge"]
    return plugin["state"], "; ".join(plugin["reasons"])


def works(vifd: Vifd) -> bool:
    return state(vifd)[0] in ("ready", "degraded")


def nft_of(machine: LinuxMachine) -> Nft:  # noqa: F811
    assert machine.drivers.nft is not None
    return machine.drivers.nft


def test_the_second_is_refused_and_touches_nothing(
    first: Vifd, second: Vifd, machine: LinuxMachine  # noqa: F811
) -> None:  # fmt: skip
    for number in (1, 2):
        assert first.plug(wanted(number))[0] == 201
    before = nft_of(machine).list_chains(TABLE)
    second.start()
    until(lambda: state(second)[0] == "unavailable", "it is noticed")
    reasons = state(second)[1]
    assert str(first.directory / "state") in reasons
    assert f"process {first.process.pid}" in reasons
    assert f"nft delete chain bridge {TABLE} {tenancy.CHAIN}" in reasons
    assert second.get("/v1/ports")["ports"] == [], "nor does it take their marks for its own"
    assert second.get("/v1/garbage")["orphans"] == [], "nor for garbage"
    status, error = second.call("GET", f"/v1/ports/{port_id(1)}/explain")
    assert (status, error["code"]) == (404, "E_STATE_NOT_FOUND")
    assert str(first.directory / "state") in error["message"], "it says why it cannot tell"
    assert "Traceback" not in second.log
    # one that it would make itself, and one that the first one has
    for number in (3, 1):
        status, error = second.plug(wanted(number))
        assert (status, error["code"]) == (503, "E_PLUGIN_UNHEALTHY")
        assert str(first.directory / "state") in json.dumps(error)
    second.unplug(port_id(1))
    assert nft_of(machine).list_chains(TABLE) == before
    with guests(tap(1), tap(2)) as (one, two):
        forwards(machine, tap(1), tap(2))
        assert_reaches(one, two, hello(1, 2))
        # a restart of the first keeps what it has
        first.stop()
        first.start()
        first.ready()
        assert works(first)
        assert state(second)[0] == "unavailable"
        # the first is gone: the second may have it, with its ports as they stand
        first.stop()
        until(lambda: works(second), "it is free")
        until(lambda: all_live(second, 2), "it took them over")
        assert second.plug(wanted(3))[0] == 201
        assert_reaches(one, two, hello(1, 2))
        assert_reaches(two, one, hello(2, 1))
        first.start()
        until(lambda: state(first)[0] == "unavailable", "now the other one is the second")
        first.unplug(port_id(1))
        assert_reaches(one, two, hello(1, 2))


def test_a_flush_does_not_give_the_bridges_away(
    first: Vifd, second: Vifd, machine: LinuxMachine  # noqa: F811
) -> None:  # fmt: skip
    assert first.plug(wanted(1))[0] == 201
    nft_of(machine).delete_table(TABLE)
    until(lambda: tenancy.CHAIN in nft_of(machine).list_chains(TABLE), "the mark is back")
    second.start()
    until(lambda: state(second)[0] == "unavailable", "it is noticed")


# --- every verb, over fakes and the kernel ---


@pytest.fixture(params=["fake", "kernel"])
def host(request: pytest.FixtureRequest) -> Iterator[FakeMachine | LinuxMachine]:
    if request.param == "fake":
        yield FakeMachine()
        return
    yield request.getfixturevalue("machine")


def plugin_of(host: FakeMachine | LinuxMachine, own: Identity) -> tuple[Ledger, LinuxBridgePlugin]:
    made: list[LinuxBridgePlugin] = []

    def factory(known: Host) -> LinuxBridgePlugin:
        made.append(make.plugin(Host(known.drivers, known.ledger, identity=own)))
        return made[0]

    return Ledger(host.drivers, factory), made[0]


def test_every_verb_that_changes_or_claims_is_refused(
    host: FakeMachine | LinuxMachine, tmp_path: Path
) -> None:
    own = identity.here(tmp_path)
    began = identity._started(os.getppid())
    assert began is not None
    other = replace(own, id="x", pid=os.getppid(), started=began, state="/there" + "/x" * 300)
    theirs, _ = plugin_of(host, other)
    assert not theirs.plug(attachment(1))
    mine, plugin = plugin_of(host, own)
    mine.records.update(theirs.records)
    items = [theirs.records[attachment(1).id].item()]
    before = host.drivers.nft and host.drivers.nft.list_chains(TABLE)
    verbs: list[Callable[[], Any]] = [
        lambda: plugin.activate(items), lambda: plugin.deactivate(items),
        lambda: plugin.unplug(items), plugin.observe, plugin.inventory,
        lambda: plugin.recall(attachment(1), {}), lambda: plugin.discard([]),
        lambda: plugin.restore([]),
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(BridgeTaken) as refused:
            verb()
        assert refused.value.facts["state_path"] == other.state
    (failed,) = mine.plug(attachment(2)).values()
    assert failed.code == BridgeTaken.code
    # the same port: what is undone would be the other one's
    (failed,) = mine.plug(attachment(1)).values()
    assert failed.code == BridgeTaken.code
    probed = plugin.probe()
    assert probed.health is Health.UNAVAILABLE
    assert other.state in probed.reasons[0]
    assert (host.drivers.nft and host.drivers.nft.list_chains(TABLE)) == before
    # it ends: the next one has it, and says so
    ended, successor = plugin_of(host, replace(own, pid=own.pid, started=own.started))
    assert host.drivers.nft is not None
    host.drivers.nft.apply(TABLE, Change(chains=[tenancy._chain(replace(other, started=0))]))
    assert not ended.plug(attachment(1))
    assert tenancy._marked(host.drivers.nft) == own
    assert successor.probe().health is not Health.UNAVAILABLE
    assert not ended.unplug()
