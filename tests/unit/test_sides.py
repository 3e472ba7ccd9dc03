"""A port that is said in parts: who owns which field, what is waited for, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import NETWORK as NET
from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from unit.sides import compute, drop, network, put
from vifd import errors
from vifd.engine import Settings
from vifd.model import Part, Parts, Phase, PortRecord, Role, Side, assembling, decode, partreading
from vifd.model import parts as model_parts
from vifd.plugin import Advert, Health, Probe
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin

NETWORK, COMPUTE = Side.NETWORK, Side.COMPUTE
PAIR = {"ip_address": "10.9.9.9"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    settings = Settings(verify=5.0, retry_first=0.01, retry_longest=0.05, hostname="here")
    machine = Machine(tmp_path, FakeBackend(), settings)
    machine.boot()
    yield machine
    machine.halt()


def done(machine: Machine, side: Side, body: dict[str, Any], **more: Any) -> PortRecord:
    return put(machine, side, 1, body, **more).done.result(WAIT)


@pytest.mark.parametrize("first", [NETWORK, COMPUTE])
def test_both_parts_in_any_order_make_the_port(machine: Machine, first: Side) -> None:
    bodies = {NETWORK: network(), COMPUTE: compute()}
    waiting = put(machine, first, 1, bodies.pop(first))
    assert waiting.kept.result(WAIT) is not None
    (lacks,) = assembling.missing(machine.agent.waiting()[port_id(1)])
    assert lacks.startswith("waits for compute" if first is NETWORK else "waits for the network")
    assert machine.backend.called("plug") == []
    ((second, body),) = bodies.items()
    assert put(machine, second, 1, body).done.result(WAIT).phase is Phase.LIVE
    assert waiting.done.result(WAIT).phase is Phase.LIVE
    assert machine.record(1).doc.raw == document(1)
    assert machine.agent.waiting() == {}


def test_compute_takes_no_field_of_the_network_away(machine: Machine) -> None:
    pairs = [PAIR]
    machine.plug(document(1, port__allowed_address_pairs=pairs))
    calls = len(machine.backend.called("plug"))
    record = done(machine, COMPUTE, compute(mac_address="FA:16:3E:00:00:01"))
    assert record.doc.raw["port"]["allowed_address_pairs"] == pairs
    assert len(machine.backend.called("plug")) == calls, "a port that stands costs nothing"


def test_what_compute_does_not_say_of_the_same_instance_stays(machine: Machine) -> None:
    specs = {"hw:cpu_policy": "dedicated"}
    machine.plug(document(1, instance__vcpus=4, instance__flavor_extra_specs=specs))
    record = done(machine, COMPUTE, compute())
    assert record.doc.raw["instance"]["vcpus"] == 4
    assert record.doc.raw["instance"]["flavor_extra_specs"] == specs


def test_the_network_takes_no_field_of_compute_away(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute(queues=4))
    done(machine, NETWORK, network())
    record = done(machine, NETWORK, network(network__mtu=1400))
    assert record.doc.raw["instance"]["vcpus"] == 4
    assert record.doc.attachment.network.mtu == 1400


def test_computes_unplug_keeps_the_networks_part(machine: Machine) -> None:
    put(machine, NETWORK, 1, network(), 7)
    done(machine, COMPUTE, compute())
    drop(machine, COMPUTE, 1).done.result(WAIT)
    assert machine.backend.ports == {}
    kept = machine.agent.waiting()[port_id(1)]
    assert kept.network is not None
    assert (kept.network.revision, kept.network.owner) == (7, "network owner")
    assert done(machine, COMPUTE, compute()).phase is Phase.LIVE


def test_a_whole_document_comes_apart_when_compute_unplugs(machine: Machine) -> None:
    machine.plug(document(1))
    drop(machine, COMPUTE, 1).done.result(WAIT)
    assert machine.agent.waiting()[port_id(1)].network is not None
    assert done(machine, COMPUTE, compute()).doc.raw == document(1)


def test_unplugging_twice_and_what_never_was(machine: Machine) -> None:
    with pytest.raises(errors.PortNotFound):
        drop(machine, COMPUTE, 1).accepted.result(WAIT)
    put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    for _ in range(2):
        with pytest.raises(errors.PortNotFound):
            drop(machine, COMPUTE, 1).accepted.result(WAIT)
    assert machine.agent.waiting() == {}


def test_plugging_again_while_the_port_still_goes(machine: Machine) -> None:
    put(machine, NETWORK, 1, network())
    done(machine, COMPUTE, compute())
    machine.backend.gate.clear()
    going = drop(machine, COMPUTE, 1)
    going.accepted.result(WAIT)
    again = put(machine, COMPUTE, 1, compute())
    machine.backend.gate.set()
    going.done.result(WAIT)
    assert again.done.result(WAIT).phase is Phase.LIVE


def test_the_network_takes_its_part_away(machine: Machine) -> None:
    put(machine, NETWORK, 1, network())
    done(machine, COMPUTE, compute())
    drop(machine, NETWORK, 1).done.result(WAIT)
    assert machine.backend.ports == {}
    kept = machine.agent.waiting()[port_id(1)]
    assert (kept.network, kept.compute is None) == (None, False)


def test_a_whole_unplug_forgets_both_parts(machine: Machine) -> None:
    put(machine, NETWORK, 1, network())
    done(machine, COMPUTE, compute())
    machine.drop(1).done.result(WAIT)
    assert machine.agent.waiting() == {}
    ticket = put(machine, COMPUTE, 2, compute(2))
    ticket.kept.result(WAIT)
    machine.drop(2)
    with pytest.raises(errors.Superseded):
        ticket.done.result(WAIT)
    assert machine.agent.waiting() == {}


def test_a_late_part_never_undoes_a_newer_one(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute())
    done(machine, NETWORK, network(network__mtu=1400), revision=5)
    with pytest.raises(errors.PartStale) as caught:
        done(machine, NETWORK, network(), revision=4)
    assert caught.value.facts == {"side": "network", "wanted": 4, "have": 5}
    with pytest.raises(errors.PartStale):
        drop(machine, NETWORK, 1, 4).done.result(WAIT)
    assert machine.record(1).doc.attachment.network.mtu == 1400
    drop(machine, NETWORK, 1, 6).done.result(WAIT)
    with pytest.raises(errors.PartStale):
        put(machine, NETWORK, 1, network(), 5).kept.result(WAIT)
    assert done(machine, NETWORK, network(), revision=7).phase is Phase.LIVE


def test_the_same_again_writes_nothing(machine: Machine) -> None:
    put(machine, NETWORK, 1, network(), 3)
    done(machine, COMPUTE, compute())
    changes = machine.journal._db.total_changes
    assert done(machine, COMPUTE, compute()).phase is Phase.LIVE
    assert done(machine, NETWORK, network(), revision=3).phase is Phase.LIVE
    assert machine.journal._db.total_changes == changes


# --- roles ---


def role_less(**changes: Any) -> dict[str, Any]:
    body = network(**changes)
    del body["role"]
    return body


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({}, Phase.READY),
        ({"port__binding_host_id": "elsewhere"}, Phase.READY),
        ({"port__binding_host_id": "here"}, Phase.LIVE),
        ({"port__binding_profile": {"migrating_to": "here"}}, Phase.READY),
        (
            {"port__binding_host_id": "here", "port__binding_profile": {"migrating_to": "here"}},
            Phase.READY,
        ),
    ],
)
def test_a_role_that_is_not_said_leaves_the_port_closed(
    machine: Machine, changes: dict[str, Any], phase: Phase
) -> None:
    """And compute's plug returns: the port is where it shall be."""
    put(machine, NETWORK, 1, role_less(**changes))
    record = done(machine, COMPUTE, compute())
    assert record.phase is phase
    assert machine.backend.ports[port_id(1)].open is (phase is Phase.LIVE)


def test_a_role_that_comes_later_opens_the_port(machine: Machine) -> None:
    put(machine, NETWORK, 1, role_less())
    assert done(machine, COMPUTE, compute()).phase is Phase.READY
    assert done(machine, NETWORK, network()).phase is Phase.LIVE
    drop(machine, COMPUTE, 1).done.result(WAIT)
    assert machine.agent.waiting()[port_id(1)].network is not None


def test_a_role_of_a_port_that_waits_is_kept(machine: Machine) -> None:
    put(machine, NETWORK, 1, network())
    machine.agent.set_role(port_id(1), Role.INACTIVE, "r")
    assert done(machine, COMPUTE, compute()).phase is Phase.READY
    machine.agent.set_role(port_id(1), Role.ACTIVE, "r").done.result(WAIT)
    machine.halt()
    machine.boot()
    assert machine.record(1).role is Role.ACTIVE
    assert done(machine, COMPUTE, compute()).role is Role.ACTIVE


def test_a_whole_document_on_its_way_here_is_closed(machine: Machine) -> None:
    moving = document(1, port__binding_profile={"migrating_to": "here"})
    del moving["role"]
    assert machine.plug(moving).phase is Phase.READY


def test_a_guest_that_is_about_to_leave_goes_on(machine: Machine) -> None:
    """The source of a migration hears of it as well."""
    machine.plug(document(1))
    moving = document(1, port__binding_profile={"migrating_to": "there"})
    del moving["role"]
    assert machine.plug(moving).phase is Phase.LIVE


# --- refusals ---


def test_another_mac_address_than_the_networks_is_refused(machine: Machine) -> None:
    put(machine, NETWORK, 1, network())
    with pytest.raises(errors.PartsDisagree, match="MAC address fa:16:3e:00:00:ff"):
        done(machine, COMPUTE, compute(mac_address="fa:16:3e:00:00:ff"))
    assert machine.agent.waiting()[port_id(1)].compute is None, "nothing of it is kept"
    early = put(machine, COMPUTE, 2, compute(2, mac_address="fa:16:3e:00:00:ff"))
    early.kept.result(WAIT)
    put(machine, NETWORK, 2, network(2))
    with pytest.raises(errors.PartsDisagree):
        early.done.result(WAIT)
    refused = machine.agent.waiting()[port_id(2)]
    assert refused.error is not None
    assert refused.error["code"] == "E_STATE_PARTS_DIFFER"
    assert refused.network is not None, "what the network service says holds all the same"


def test_a_refusal_reaches_whoever_waits_for_the_other_part(machine: Machine) -> None:
    waiting = put(machine, COMPUTE, 1, compute())
    waiting.kept.result(WAIT)
    with pytest.raises(errors.PluginMissing, match="'none'"):
        done(machine, NETWORK, network() | {"plugin": "none"})
    with pytest.raises(errors.PluginMissing):
        waiting.done.result(WAIT)
    explained = machine.agent.explainer.explain(port_id(1)).result(WAIT)
    assert explained.broken == "choice"
    assert done(machine, NETWORK, network()).phase is Phase.LIVE


def test_why_a_port_is_not_made_is_explained(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    found = machine.agent.explainer.explain(port_id(1)).result(WAIT)
    assert found.broken == "intent"
    assert "port not bound to this host yet" in found.sentence


def test_compute_may_not_be_in_the_networks_part() -> None:
    with pytest.raises(errors.BadDocument, match="instance"):
        partreading.said(NETWORK, document(1), port_id(1))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "version"),
        ({"version": "1.0"}, "instance"),
        ({"version": "1.0", "instance": {"id": "x"}}, "instance.id"),
        (compute(queues=0), "queues"),
        (compute(mac_address="x"), "mac_address"),
        ([], "(document)"),
    ],
)
def test_bad_parts_name_the_field(body: Any, field: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        partreading.said(COMPUTE, body, port_id(1))
    assert caught.value.facts["field"] == field


# --- time and disk ---


def test_parts_survive_a_restart(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute(), 3).kept.result(WAIT)
    machine.halt()
    machine.boot()
    assert machine.agent.waiting()[port_id(1)].compute is not None
    assert done(machine, NETWORK, network()).phase is Phase.LIVE


def test_parts_survive_a_damaged_and_a_lost_file(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    put(machine, NETWORK, 2, network(2))
    put(machine, COMPUTE, 2, compute(2)).done.result(WAIT)
    path = machine.path / "journal.db"
    path.unlink()
    put(machine, COMPUTE, 3, compute(3)).kept.exception(WAIT)
    machine.halt()
    again = Journal.open(path)
    assert set(again.all_parts()) >= {port_id(1), port_id(2)}
    again._db.execute("UPDATE ports SET sum = sum + 1")
    again.close()
    saved = Journal.open(path)
    assert saved.set_aside is not None
    assert set(saved.all_parts()) >= {port_id(1), port_id(2)}
    saved.close()
    machine.boot()


def test_a_journal_that_cannot_be_written_keeps_nothing(machine: Machine) -> None:
    put(machine, NETWORK, 1, network()).kept.result(WAIT)
    before = machine.agent.waiting()
    with machine.journal._disk.lock:
        machine.journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(errors.JournalError):
        put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    with machine.journal._disk.lock:
        machine.journal._db.execute("PRAGMA query_only = OFF")
    assert machine.agent.waiting() == before


def test_a_port_can_be_awaited_without_asking_for_anything(machine: Machine) -> None:
    with pytest.raises(errors.PortNotFound):
        machine.agent.awaited(port_id(1), "r")
    put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    ticket = machine.agent.awaited(port_id(1), "r")
    put(machine, NETWORK, 1, network())
    assert ticket.done.result(WAIT).phase is Phase.LIVE
    assert machine.agent.awaited(port_id(1), "r").done.result(WAIT).phase is Phase.LIVE


def test_a_port_may_be_made_before_compute_uses_it(machine: Machine) -> None:
    assert done(machine, NETWORK, network(), alone=True).phase is Phase.LIVE
    assert done(machine, COMPUTE, compute()).doc.attachment.instance is not None
    assert len(machine.backend.called("activate")) == 1, "it stays open"


def test_a_port_that_shall_wait_for_compute_after_all_goes(machine: Machine) -> None:
    done(machine, NETWORK, network(), alone=True)
    put(machine, NETWORK, 1, network(), alone=False)
    until(lambda: machine.journal.get(port_id(1)) is None)
    assert machine.agent.waiting()[port_id(1)].network is not None
    assert done(machine, COMPUTE, compute()).phase is Phase.LIVE


# --- the first moments ---


def test_a_plug_in_the_first_moments_waits_for_the_look_at_the_host(machine: Machine) -> None:
    machine.halt()
    machine.backend.gate.clear()
    machine.journal = Journal.open(machine.path / "journal.db")
    blocked = Machine(machine.path, machine.backend, machine.settings)
    machine.journal.close()
    boot_without_waiting(blocked)
    whole = blocked.put(document(1))
    part = put(blocked, NETWORK, 2, network(2))
    both = put(blocked, COMPUTE, 2, compute(2))
    until(lambda: blocked.engine.intake.early.waits(port_id(1)))
    late = blocked.put(document(1, network__mtu=1400))
    assert not whole.accepted.done()
    machine.backend.gate.set()
    assert whole.done.exception(WAIT) is None
    assert late.done.result(WAIT).doc.attachment.network.mtu == 1400, "in their order"
    assert part.done.result(WAIT).phase is Phase.LIVE
    assert both.done.result(WAIT).phase is Phase.LIVE
    blocked.halt()
    machine.boot()


def test_the_networks_part_waits_for_the_first_look_as_well(machine: Machine) -> None:
    """Said after compute's: it is its refusal that would end the wait."""
    machine.halt()
    machine.backend.gate.clear()
    blocked = Machine(machine.path, machine.backend, machine.settings)
    boot_without_waiting(blocked)
    plug = put(blocked, COMPUTE, 1, compute())
    plug.kept.result(WAIT)
    bound = put(blocked, NETWORK, 1, network())
    until(lambda: blocked.engine.intake.early.waits(port_id(1)) or plug.done.done())
    machine.backend.gate.set()
    assert plug.done.result(WAIT).phase is Phase.LIVE
    assert bound.done.result(WAIT).phase is Phase.LIVE
    blocked.halt()
    machine.boot()


def test_an_unplug_overtakes_what_waits_for_the_first_look(machine: Machine) -> None:
    machine.halt()
    machine.backend.gate.clear()
    blocked = Machine(machine.path, machine.backend, machine.settings)
    boot_without_waiting(blocked)
    whole = blocked.put(document(1))
    until(lambda: blocked.engine.intake.early.waits(port_id(1)))
    gone = blocked.drop(1)
    with pytest.raises(errors.Superseded):
        whole.done.result(WAIT)
    with pytest.raises(errors.PortNotFound):
        gone.done.result(WAIT)
    machine.backend.gate.set()
    blocked.halt()
    machine.boot()
    assert machine.journal.records() == {}


def test_a_host_that_lacks_something_still_refuses(machine: Machine) -> None:
    machine.engine.probed("fake", Probe(Health.UNAVAILABLE, ["no switch"]))
    with pytest.raises(errors.VifError, match="no switch"):
        done(machine, NETWORK, network(), alone=True)


def test_what_was_refused_is_made_once_the_host_can(machine: Machine) -> None:
    """Nobody says it again: a network service has no reason to."""
    machine.backend.health = Probe(Health.UNAVAILABLE, ["no switch"])
    machine.engine.probed("fake", machine.backend.health)
    with pytest.raises(errors.VifError, match="no switch"):
        done(machine, NETWORK, network(), alone=True)
    machine.backend.health = Probe(Health.READY)
    machine.engine.probed("fake", machine.backend.health)
    until(lambda: port_id(1) in machine.journal.records())
    until(lambda: machine.record(1).phase is Phase.LIVE)


def test_what_compute_was_refused_is_not_made_behind_its_back(machine: Machine) -> None:
    waits = put(machine, COMPUTE, 1, compute())
    waits.kept.result(WAIT)
    machine.engine.probed("fake", Probe(Health.UNAVAILABLE, ["no switch"]))
    put(machine, NETWORK, 1, network())
    with pytest.raises(errors.VifError, match="no switch"):
        waits.done.result(WAIT)
    machine.engine.probed("fake", Probe(Health.READY))
    machine.plug(document(2))  # decided after what was refused
    assert port_id(1) not in machine.journal.records()
    assert machine.plug(document(1)).phase is Phase.LIVE


def boot_without_waiting(machine: Machine) -> None:
    """As :meth:`Machine.boot`, for a host that cannot be looked at yet."""
    ready, machine.wait_ready = machine.wait_ready, False
    machine.boot()
    machine.wait_ready = ready


def test_parts_that_a_newer_vifd_wrote_are_refused_with_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    import sqlite3

    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(errors.JournalTooNew):
        Journal.open(path)


def test_taking_a_part_away_is_pure() -> None:
    parts = Parts(Part("n", network(), 3), Part("c", compute()), alone=True)
    left = model_parts.taken_away(parts, COMPUTE, None)
    assert (left.compute, left.alone, left.gone) == (None, False, {})
    assert model_parts.taken_away(left, NETWORK, 4).gone == {"network": 4}
    assert model_parts.parts_of(decode(document(1))).network is not None
    assert replace(parts, alone=False) != parts


def test_what_a_side_does_not_list_goes_within_the_limits_of_garbage(machine: Machine) -> None:
    for number in range(1, 6):
        machine.plug(document(number))
    ask = machine.agent.compare
    kept = [port_id(n) for n in (1, 2)]
    assert ask(COMPUTE, None, kept, "r", remove=False, force=False).stale == [
        port_id(n) for n in (3, 4, 5)
    ]
    assert len(machine.journal.records()) == 5
    with pytest.raises(errors.GarbageLimit):
        ask(COMPUTE, None, [], "r", remove=True, force=False)
    assert ask(COMPUTE, None, kept, "r", remove=True, force=False).removed
    until(lambda: set(machine.journal.records()) == set(kept))
    assert set(machine.agent.waiting()) == {port_id(n) for n in (3, 4, 5)}


# --- hosts that somebody else wires ---


class Wired(FakePlugin):
    """As on a host that OVN wires."""

    @classmethod
    def describe(cls) -> Advert:
        return dataclasses.replace(super().describe(), compute_suffices=True)


def wired(tmp_path: Path, **more: Any) -> Machine:
    settings = Settings(verify=5.0, retry_first=0.01, retry_longest=0.05, **more)
    machine = Machine(tmp_path, FakeBackend(), settings, make=Wired)
    machine.boot()
    return machine


USED: dict[str, Any] = {"mac_address": "fa:16:3e:00:00:01", "network_id": NET, "mtu": 1400}


def test_where_somebody_else_wires_compute_suffices(tmp_path: Path) -> None:
    machine = wired(tmp_path)
    try:
        record = done(machine, COMPUTE, compute(**USED))
        assert (record.phase, record.doc.attachment.network.mtu) == (Phase.LIVE, 1400)
        changes = machine.journal._db.total_changes
        done(machine, COMPUTE, compute(**USED))
        assert machine.journal._db.total_changes == changes
        drop(machine, COMPUTE, 1).done.result(WAIT)
        assert machine.agent.waiting() == {}, "it goes with what it was made of"
        done(machine, COMPUTE, compute(**USED))
        record = done(machine, NETWORK, network(port__name="said"))
        assert record.doc.raw["port"]["name"] == "said", "the network service knows better"
        without = put(machine, COMPUTE, 2, compute(2))
        assert without.kept.result(WAIT) is not None
        assert port_id(2) in machine.agent.waiting()
    finally:
        machine.halt()


def test_a_network_service_that_is_reported_to_has_its_say(tmp_path: Path) -> None:
    machine = wired(tmp_path, alone=False)
    try:
        put(machine, COMPUTE, 1, compute(**USED)).kept.result(WAIT)
        assert port_id(1) in machine.agent.waiting()
    finally:
        machine.halt()
