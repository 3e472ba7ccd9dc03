"""Guests that run on a device they lost."""

from __future__ import annotations

import pytest

from unit.docs import document, port_id
from vifd.guests import finding
from vifd.guests.matching import interface_of, ports_of
from vifd.guests.watch import CONFIRM, ROUND
from vifd.hypervisor import GuestInterface
from vifd.model import Evidence, Phase, Report, Role, Status
from vifd.model.status import status_of
from vifd.testing.wait import PATIENCE
from vifd_vhostuser.health import WAITING


def settle(world):
    """Let the watch look, until what it suspects is confirmed."""
    world.watch.turn()
    world.clock.now += CONFIRM + 0.1
    pause = world.watch.turn()
    world.machine.quiet()
    return pause


def facts(record):
    return {e.fact: e for e in record.report.evidence}


def test_a_guest_that_has_its_device_is_named_in_the_evidence(world):
    world.guest()
    world.watch.start()
    world.watch.stop(60)
    settle(world)
    record = world.checked()
    assert record.phase is Phase.LIVE
    assert facts(record)["guest.name"].have == "vm1 runs with it"
    world.hypervisor.run("00000001-aaaa", running=False)
    assert facts(world.checked())["guest.name"].have == "vm1 is off"


def test_a_port_without_a_guest_has_no_such_evidence(world):
    world.machine.plug(document())
    assert not any(name.startswith("guest") for name in facts(world.checked()))


def test_a_lost_device_is_found_told_and_not_repaired(world, caplog):
    device = world.guest()
    world.taps.make(device, carrier=False)
    world.watch.look_again(port_id(1))
    assert world.watch.turn() <= CONFIRM
    world.machine.quiet()
    assert world.record().phase is Phase.LIVE, "it may be starting or ending at this moment"
    settle(world)
    record = world.record()
    assert status_of(record) is Status.ERROR
    lost = facts(record)[finding.LOST]
    assert record.phase is Phase.DEGRADED
    assert (lost.ok, lost.repairable) == (False, False)
    assert lost.have == f"vm1 runs, and does not have {device} open"
    assert "vifctl port repair" in lost.wanted
    assert f"vifctl port repair {port_id(1)}" in caplog.text
    plugs = len(world.machine.backend.called("plug"))
    settle(world)
    assert len(world.machine.backend.called("plug")) == plugs
    # It is said once, however often the port is read back.
    world.checked()
    world.checked()
    assert caplog.text.count("lost its device") == 1
    assert caplog.text.count("not for vifd to repair") == 1


@pytest.mark.parametrize("queues", [0, 2])
def test_a_carrier_that_somebody_took_is_no_lost_device(world, queues):
    """The guest has it open: taken out of the guest and put back, it would lose its network."""
    device = world.guest()
    world.held |= set() if queues else {device}
    world.taps.make(device, carrier=False, queues=queues)
    world.watch.look_again(port_id(1))
    settle(world)
    assert world.watch.lost == 0
    assert finding.LOST not in facts(world.checked())
    assert world.watch.without_guest(world.record()) is None


def test_it_is_well_again_when_the_guest_has_its_device(world):
    device = world.guest()
    world.taps.make(device, carrier=False)
    world.watch.look_again(port_id(1))
    settle(world)
    world.taps.make(device, carrier=True)
    settle(world)
    assert world.record().phase is Phase.LIVE
    assert finding.LOST not in facts(world.record())


def test_a_guest_that_ended_meanwhile_lost_nothing(world):
    device = world.guest()
    world.taps.make(device, carrier=False)
    world.watch.look_again(port_id(1))
    world.watch.turn()
    world.hypervisor.run("00000001-aaaa", running=False)
    settle(world)
    assert world.record().phase is Phase.LIVE


def test_a_device_that_is_missing_or_down_is_the_ports_own_finding(world):
    device = world.guest()
    world.taps.make(device, carrier=False, up=False)
    world.watch.look_again(port_id(1))
    settle(world)
    assert finding.LOST not in facts(world.checked())
    del world.taps.links[device]
    world.watch.look_again(port_id(1))
    settle(world)
    assert finding.LOST not in facts(world.checked())


def test_a_closed_port_is_not_degraded_by_it(world):
    device = world.guest()
    world.machine.agent.set_role(port_id(1), Role.INACTIVE, "req").done.result(PATIENCE)
    phase = world.record().phase
    world.taps.make(device, carrier=False)
    world.watch.look_again(port_id(1))
    settle(world)
    record = world.checked()
    assert record.phase is phase
    assert facts(record)[finding.LOST].ok


def test_everything_is_looked_at_now_and_then(world):
    device = world.guest()
    world.taps.make(device, carrier=False)  # and no event of it was seen
    world.clock.now += ROUND
    settle(world)
    assert world.record().phase is Phase.DEGRADED


def test_a_repair_of_the_port_does_not_hide_it(world):
    device = world.guest()
    world.taps.make(device, carrier=False)
    world.watch.look_again(port_id(1))
    settle(world)
    world.machine.plug(document(1, network__mtu=1400))
    world.watch.look_again(port_id(1))
    settle(world)
    assert world.record().phase is Phase.DEGRADED
    assert finding.LOST in facts(world.record())


def test_vhost_user_goes_by_what_the_plugin_says(world):
    record = world.machine.plug(document())
    interface = GuestInterface("/s/vhu1", "g", kind="vhostuser")
    assert finding.WAITING == WAITING
    booting, connected = "its device is not driven yet, process 7", "connected, process 7"
    for have, socket, suspect in (
        (WAITING, "a socket", True),
        (booting, "a socket", False),
        (booting, "missing", True),
        (connected, "missing", False),
        (connected, "a socket", False),
    ):
        report = Report([Evidence("guest", have=have), Evidence("socket", have=socket)])
        seen = type(record)(
            **{**{f: getattr(record, f) for f in record.__struct_fields__}, "report": report}
        )
        assert finding.suspicious(seen, interface, None) is suspect


def test_who_is_at_a_socket_is_read_anew_before_it_is_believed(world):
    record = world.machine.plug(document())
    tap = GuestInterface("tap1", "g")
    vhost = GuestInterface("/s/vhu1", "g", kind="vhostuser")
    read_at = record.report.at
    assert finding.outdated(record, vhost, 1.0, read_at + 2.0)
    assert not finding.outdated(record, vhost, 3.0, read_at + 2.0)
    assert not finding.outdated(record, tap, 1.0, read_at + 2.0)


# --- which port ---


@pytest.mark.parametrize("known_as", ["device", "port"])
def test_ports_are_known_by_device_or_by_id(world, known_as):
    device = world.guest()
    records = world.machine.journal.records()
    given = {"device": {"device": device}, "port": {"device": "vnet7", "port": port_id(1)}}
    interface = GuestInterface(guest="g", **given[known_as])
    assert list(ports_of([interface], records)) == [interface.device]
    assert ports_of([GuestInterface("vnet8", "g", port="nobody")], records) == {}


def test_a_port_on_its_way_out_is_nobodys(world):
    device = world.guest()
    world.machine.backend.gate.clear()
    world.machine.drop(1).accepted.result(PATIENCE)
    assert ports_of([GuestInterface(device, "g")], world.machine.journal.records()) == {}
    assert interface_of(world.record(), world.hypervisor.interfaces()) is not None
