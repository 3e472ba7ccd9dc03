"""What is asked about guests: making ready for one, and repairing one."""

from __future__ import annotations

import pytest

from unit.docs import document, port_id
from vifd import errors
from vifd.guests import Guests
from vifd.guests.preparing import Preparer
from vifd.guests.repairing import Repairer
from vifd.hypervisor import GuestInterface
from vifd.model import Phase

WAIT = 60.0


@pytest.fixture
def preparer(world):
    made = Preparer(world.machine.engine, world.machine.journal)
    yield made
    made.stop()


@pytest.fixture
def repairer(world):
    made = Repairer(world.machine.engine, world.machine.journal, world.hypervisor, world.watch)
    yield made
    made.stop()


def prepare(preparer, *devices, timeout=WAIT):
    interfaces = [GuestInterface(device, "vm") for device in devices]
    return preparer.prepare("vm", interfaces, "req-p", timeout).result(WAIT)


def test_ports_that_are_there_are_looked_at_and_strangers_named(world, preparer):
    device = world.guest()
    checks = len(world.machine.backend.called("check"))
    done = prepare(preparer, device, "vnet3")
    assert (done.ok, done.unknown) == (True, ["vnet3"])
    assert [(p.id, p.device, p.ok, p.phase) for p in done.ports] == [
        (port_id(1), device, True, "LIVE")
    ]
    assert len(world.machine.backend.called("check")) > checks


def test_a_guest_of_strangers_is_no_business_of_ours(world, preparer):
    assert prepare(preparer, "vnet1", "vnet2") == prepare(preparer, "vnet1", "vnet2")
    assert prepare(preparer, "vnet1").ok
    assert world.machine.backend.called("check") == []


def test_a_damaged_port_is_repaired_first(world, preparer):
    device = world.guest()
    world.machine.backend.ports[port_id(1)].damage = "it was deleted"
    done = prepare(preparer, device)
    assert done.ok
    assert world.machine.backend.ports[port_id(1)].damage == ""


def test_a_port_that_failed_is_tried_now(world, preparer):
    fault = errors.BackendError(facts={"problem": "down", "backend": "fake"})
    world.machine.backend.faults["plug", port_id(1)] = fault
    with pytest.raises(errors.VifError):
        world.machine.put(document()).done.result(WAIT)
    interface = GuestInterface("vnet0", "vm", port=port_id(1))
    done = preparer.prepare("vm", [interface], "r", WAIT).result(WAIT)
    assert not done.ok
    assert done.ports[0].error["code"] == fault.code
    world.machine.backend.faults.clear()
    assert preparer.prepare("vm", [interface], "r", WAIT).result(WAIT).ok
    assert world.record().phase is Phase.LIVE


def test_a_port_that_takes_too_long_has_that_as_its_error(world, preparer):
    device = world.guest()
    world.machine.backend.gate.clear()
    done = prepare(preparer, device, timeout=0.05)
    assert not done.ok
    assert done.ports[0].error["code"] == "E_STATE_WAIT"
    assert "not ready in time" in done.ports[0].error["message"]


# --- repair ---


def test_repair_takes_out_puts_back_and_proves(world, repairer):
    device = world.guest()
    world.taps.make(device, carrier=False)
    world.hypervisor.on_reattach = lambda i: world.taps.make(i.device, carrier=True)
    done = repairer.repair(port_id(1), "req-r", WAIT).result(WAIT)
    assert done.done
    assert done.text.startswith(f"{device} was taken out of guest vm1 and put back")
    assert world.hypervisor.effects == [f"reattach {device}"]
    assert done.port.phase is Phase.LIVE
    counter = world.machine.metrics.guests.labels("repair", "ok")
    assert counter._value.get() == 1


def test_a_guest_that_has_its_device_is_left_alone(world, repairer):
    world.guest()
    done = repairer.repair(port_id(1), "req-r", WAIT).result(WAIT)
    assert (done.done, world.hypervisor.effects) == (False, [])
    assert "nothing was done" in done.text


def test_what_cannot_be_repaired_so(world, repairer, monkeypatch):
    def refused(number=1):
        return repairer.repair(port_id(number), "req-r", WAIT).result(WAIT)

    with pytest.raises(errors.PortNotFound):
        refused(9)
    world.machine.plug(document())
    with pytest.raises(errors.GuestNotRunning, match="no guest is defined with it"):
        refused()
    world.guest(2, running=False)
    with pytest.raises(errors.GuestNotRunning, match="vm2 is off"):
        refused(2)
    world.hypervisor.up = False
    with pytest.raises(errors.HypervisorError):
        refused(2)
    world.hypervisor.up = True
    device = world.guest(3)
    world.taps.make(device, carrier=False)
    monkeypatch.setattr("vifd.guests.repairing.CARRIER", 0.01)
    with pytest.raises(errors.GuestRepairFailed, match="still without carrier"):
        refused(3)


def test_without_a_hypervisor_everything_has_an_answer(world):
    guests = Guests(world.machine.engine, world.machine.journal)
    guests.start()
    device = world.machine.plug(document()).wiring.device
    assert guests.status()["connected"] is False
    assert guests.prepare("vm", [GuestInterface(device, "vm")], "r", WAIT).result(WAIT).ok
    with pytest.raises(errors.HypervisorError, match="disabled"):
        guests.repair(port_id(1), "r", WAIT).result(WAIT)
    metrics = world.machine.agent.metrics()
    assert b"vifd_hypervisor_up 0.0" in metrics
    assert b"vifd_guests_lost 0.0" in metrics
    guests.stop(60)
