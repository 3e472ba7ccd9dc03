"""The guests kept in memory: what is read, when, and what happens when libvirt goes away."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest

from unit.hypervisor.binding import Binding, libvirtError
from vifd import errors
from vifd.hypervisor import Rest, library, libvirt
from vifd.hypervisor.libvirt import LibvirtHypervisor
from vifd.hypervisor.swap import Owed
from vifd.testing.wait import until

WAIT = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "RETRY", (0.005, 0.01))
    monkeypatch.setattr("vifd.hypervisor.swap._AGAIN", (0.001, 0.001))


@pytest.fixture
def binding() -> Binding:
    return Binding()


@pytest.fixture
def hypervisor(binding: Binding) -> Iterator[LibvirtHypervisor]:
    made = LibvirtHypervisor("test:///", load=lambda: binding)
    yield made
    binding.gate.set()
    made.close(WAIT)
    assert not made._thread.is_alive()


def connected(hypervisor):
    if not hypervisor._thread.ident:
        hypervisor.start()
    until(hypervisor.connected, "it is connected")


def test_guests_are_read_at_the_start_and_by_events(binding, hypervisor):
    connected(hypervisor)
    told: list[str] = []
    hypervisor.subscribe(told.append)
    domain = binding.domain(1, "tap1", "tap2", running=True, auto=1)
    until(lambda: len(hypervisor.interfaces()) == 2, "it is known")
    tap = hypervisor.interfaces()["tap1"]
    assert (tap.guest, tap.mac, tap.running) == (domain.id, "52:54:00:00:00:00", True)
    assert hypervisor.guests()[domain.id].autostart
    assert set(told) == {"tap1", "tap2"}
    domain.running = False
    binding.announce(domain)
    until(lambda: not hypervisor.interfaces()["tap1"].running, "it is off")
    assert hypervisor.facts()["guests_defined"] == 1
    del binding.domains[domain.id]
    binding.announce(domain)
    until(lambda: not hypervisor.interfaces(), "it is gone")


def test_a_device_of_the_definition_alone_is_held_by_nobody(binding, hypervisor):
    domain = binding.domain(1, "tap1", running=True, later={"tap9": "52:54:00:00:00:99"})
    connected(hypervisor)
    running = {d: i.running for d, i in hypervisor.interfaces().items()}
    assert running == {"tap1": True, "tap9": False}
    assert len(hypervisor.guests()[domain.id].interfaces) == 2
    # Of two guests with one device, the one that runs has it.
    binding.domain(2, "tap1")
    until(lambda: len(hypervisor.guests()) == 2, "both are known")
    assert hypervisor.interfaces()["tap1"].guest == domain.id


@pytest.mark.parametrize(
    ("state", "rest"),
    [((5, 6), Rest.FAILED), ((5, 1), Rest.OFF), ((5, 2), Rest.OFF), ((5, 0), Rest.UNKNOWN),
     ((5, 3), Rest.CRASHED), ((6, 1), Rest.CRASHED)],
)  # fmt: skip
def test_why_a_guest_is_off(binding, hypervisor, state, rest):
    domain = binding.domain(1, rest=state)
    connected(hypervisor)
    assert hypervisor.guests()[domain.id].rest is rest


def test_the_last_answers_stand_while_libvirt_is_down(binding, hypervisor, caplog):
    binding.domain(1, "tap1", running=True)
    connected(hypervisor)
    binding.die()
    until(lambda: not hypervisor.connected(), "it has noticed")
    assert hypervisor.interfaces()["tap1"].running
    with pytest.raises(errors.HypervisorError):
        hypervisor.refresh("any").result(WAIT)
    with pytest.raises(errors.HypervisorError, match=r"Failed to connect|libvirt closed"):
        hypervisor.start_guest("any")
    until(lambda: "Failed to connect" in hypervisor.facts()["problem"], "it says why")
    binding.domains.clear()
    binding.up = True
    connected(hypervisor)
    assert not hypervisor.interfaces()
    lost = [r for r in caplog.records if "is lost" in r.message]
    assert [r.levelno for r in lost] == [logging.WARNING]


def test_a_libvirt_that_does_not_answer_is_not_connected(binding, hypervisor, monkeypatch):
    domain = binding.domain(1, "tap1")
    connected(hypervisor)
    monkeypatch.setattr(libvirt, "PATIENCE", 0.02)
    binding.gate.clear()
    future = hypervisor.refresh(domain.id)
    until(lambda: not hypervisor.connected(), "it is called hanging")
    assert "no answer" in hypervisor.facts()["problem"]
    assert "tap1" in hypervisor.interfaces()
    binding.gate.set()
    future.result(WAIT)
    assert hypervisor.connected()


def test_without_the_module_it_says_so_and_rests(caplog):
    def missing():
        raise library.NotInstalled("no module named libvirt")

    caplog.set_level(logging.INFO)
    made = LibvirtHypervisor("test:///", load=missing)
    made.start()
    made._thread.join(WAIT)
    assert not made.connected()
    assert made.facts()["problem"] == "no module named libvirt"
    assert "vifd goes on without it" in caplog.text


def test_refresh_is_done_when_it_was_read(binding, hypervisor):
    domain = binding.domain(1)
    connected(hypervisor)
    domain.running = True  # and no event came
    hypervisor.refresh(domain.id).result(WAIT)
    assert hypervisor.guests()[domain.id].running


def test_a_start(binding, hypervisor):
    domain = binding.domain(1)
    connected(hypervisor)
    hypervisor.start_guest(domain.id)
    hypervisor.start_guest(domain.id)
    assert binding.calls.count(f"create {domain.id}") == 1
    with pytest.raises(errors.HypervisorError, match="no domain"):
        hypervisor.start_guest("00000000-0000-4000-8000-00000000dead")


@pytest.mark.parametrize(
    "denied",
    [
        ("authentication unavailable: no polkit agent available to authenticate action", 79),
        ("Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied", 38),
    ],
)
def test_without_the_right_to_act_guests_are_read(binding, hypervisor, caplog, denied):
    caplog.set_level("INFO")
    binding.denied = libvirtError(*denied)
    domain = binding.domain(1, "tap1", running=True)
    connected(hypervisor)
    assert binding.calls.count("read only") == 1
    assert hypervisor.facts()["access"] == "read-only"
    assert hypervisor.interfaces()["tap1"].running
    domain.running = False
    binding.announce(domain)
    until(lambda: not hypervisor.interfaces()["tap1"].running, "events come")
    with pytest.raises(errors.HypervisorError, match="read guests and not act") as caught:
        hypervisor.start_guest(domain.id)
    assert "50-vifd.rules" in caught.value.hint
    assert f"create {domain.id}" not in binding.calls
    assert "libvirt lets vifd read guests and not act on them" in caplog.text


def test_a_repair_without_the_right_takes_nothing_out(binding, hypervisor):
    binding.denied = libvirtError("authentication unavailable", 79)
    _, tap = running(binding, hypervisor)
    with pytest.raises((errors.HypervisorError, errors.GuestRepairFailed)):
        hypervisor.reattach(tap, 1)
    assert "detach" not in binding.calls


def test_with_the_right_it_may_act(binding, hypervisor):
    connected(hypervisor)
    assert hypervisor.facts()["access"] == "read-write"
    assert "read only" not in binding.calls


# --- taking out and putting back ---


def running(binding, hypervisor, **state):
    domain = binding.domain(1, "tap1", "tap2", running=True, **state)
    connected(hypervisor)
    return domain, hypervisor.interfaces()["tap1"]


def test_a_reattach_puts_the_same_interface_back(binding, hypervisor):
    domain, tap = running(binding, hypervisor)
    hypervisor.reattach(tap, WAIT)
    assert binding.calls.count("detach") == binding.calls.count("attach") == 1
    assert set(domain.devices) == {"tap1", "tap2"}
    until(lambda: hypervisor.interfaces()["tap1"].running, "it is known to be back")


def test_an_attach_that_fails_is_tried_again(binding, hypervisor):
    domain, tap = running(binding, hypervisor, attach_fails=2)
    hypervisor.reattach(tap, WAIT)
    assert "tap1" in domain.devices


def test_an_interface_that_cannot_be_put_back_is_in_the_error(binding, hypervisor):
    domain, tap = running(binding, hypervisor, attach_fails=99)
    with pytest.raises(errors.GuestRepairFailed, match="no free PCI slot") as failed:
        hypervisor.reattach(tap, WAIT)
    assert "tap1" in failed.value.facts["interface"]
    assert "tap1" not in domain.devices
    domain.attach_fails = 0
    hypervisor.refresh(domain.id).result(WAIT)
    until(lambda: "tap1" in domain.devices, "it is still owed, and put back once that is possible")


def test_a_guest_that_lets_go_late_gets_its_interface_back_all_the_same(
    binding, hypervisor, caplog
):
    domain, tap = running(binding, hypervisor, lets_go=False)
    with pytest.raises(errors.GuestRepairFailed, match="did not let go"):
        hypervisor.reattach(tap, 0.05)
    assert set(domain.devices) == {"tap1", "tap2"}
    domain.let_go()
    until(lambda: "tap1" in domain.devices, "it is put back")
    until(lambda: "let go of tap1 late" in caplog.text, "and said")


class Notes:
    """The journal's notes, as they are on disk."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def remember(self, name, value):
        self.kept[name] = msgspec.json.encode(value)

    def note(self, name, kind):
        return msgspec.json.decode(self.kept[name], type=kind) if name in self.kept else None


@pytest.fixture
def killed(binding):
    """A daemon that is gone before the guest has let go; and its successor, not started yet."""
    notes = Notes()
    before, after = (
        LibvirtHypervisor("test:///", load=lambda: binding, notes=notes) for _ in range(2)
    )
    domain = binding.domain(1, "tap1", "tap2", running=True, lets_go=False)
    connected(before)
    with pytest.raises(errors.GuestRepairFailed):
        before.reattach(before.interfaces()["tap1"], 0.02)
    before.close(WAIT)
    yield domain, after, notes
    after.close(WAIT)


def owed(notes):
    return notes.note(libvirt.NOTE, list[Owed])


def test_what_was_taken_out_is_put_back_by_the_next_daemon(binding, killed):
    domain, after, notes = killed
    assert [o.interface.device for o in owed(notes)] == ["tap1"]
    domain.let_go()
    assert "tap1" not in domain.devices
    connected(after)
    until(lambda: "tap1" in domain.devices, "it is put back")
    until(lambda: owed(notes) == [], "and nothing is owed any more")


def test_an_interface_that_never_left_is_forgotten(binding, killed):
    domain, after, notes = killed
    connected(after)
    until(lambda: owed(notes) == [], "nothing is owed")
    domain.let_go()
    refreshed = after.refresh(domain.id)
    refreshed.result(WAIT)
    assert "tap1" not in domain.devices


def test_a_guest_that_is_gone_is_owed_nothing(binding, killed):
    domain, after, notes = killed
    del binding.domains[domain.id]
    connected(after)
    until(lambda: owed(notes) == [], "nothing is owed")


def test_a_journal_that_cannot_be_written_takes_nothing_out(binding):
    class Full(Notes):
        def remember(self, name, value):
            raise errors.JournalError(facts={"path": "j", "problem": "disk full"})

    made = LibvirtHypervisor("test:///", load=lambda: binding, notes=Full())
    _, tap = running(binding, made)
    with pytest.raises(errors.JournalError):
        made.reattach(tap, WAIT)
    assert "detach" not in binding.calls
    made.close(WAIT)


def test_two_repairs_of_one_interface_do_not_meet(binding, hypervisor):
    domain, tap = running(binding, hypervisor, lets_go=False)
    with pytest.raises(errors.GuestRepairFailed):
        hypervisor.reattach(tap, 0.02)
    # One that was given up may be tried again.
    domain.lets_go = True
    hypervisor.reattach(tap, WAIT)
    assert set(domain.devices) == {"tap1", "tap2"}


def test_an_interface_that_is_another_one_by_now_is_left_alone(binding, hypervisor):
    domain, tap = running(binding, hypervisor)
    domain.devices["tap1"] = "52:54:00:00:00:77"
    with pytest.raises(errors.HypervisorError, match="no interface tap1 with MAC"):
        hypervisor.reattach(tap, WAIT)
    assert "detach" not in binding.calls
