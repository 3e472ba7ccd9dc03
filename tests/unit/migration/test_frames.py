"""When a guest's last frame left it, and when the first one passed, by counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from unit.docs import document, port_id
from vifd.migration.book import Book, Watched
from vifd.migration.frames import Counts, Followed, FrameWatch, of_device, through_at_once
from vifd.migration.timeline import Migration, Time
from vifd.model import Phase, PortRecord, decode
from vifd.plugin import Advert
from vifd.testing.wait import until

ID = port_id(1)


def test_the_guest_that_leaves_sent_last_between_two_looks() -> None:
    one = Followed("tap1", False, 1.0)
    for now, counts in ((1.0, Counts(5, 9)), (1.5, Counts(7, 9)), (2.0, Counts(7, 20))):
        assert one.saw(now, counts, opened=True) is None
    assert one.last == Time(1.5, 0.5)


def test_what_the_guest_is_given_passed_and_what_it_sends_once_the_port_is_open() -> None:
    one = Followed("tap1", True, 1.0)
    assert one.saw(1.0, Counts(0, 3), opened=False) is None
    assert one.saw(1.1, Counts(4, 3), opened=False) is None, "its RARPs at the closed port"
    assert one.saw(1.2, None, opened=False) is None
    assert one.saw(1.3, Counts(5, 3), opened=True) == Time(1.3, 1.3 - 1.1)
    assert one.saw(1.4, Counts(5, 4), opened=True) is not None


def test_a_port_that_somebody_else_wires_need_not_let_through_what_its_guest_sends() -> None:
    adverts = {"ovs": Advert(("ovs",)), "ovn": Advert(("ovs",), compute_suffices=True)}
    for plugin, at_once in (("ovs", True), ("ovn", False), ("gone", True)):
        record = PortRecord(doc=decode(document(1)), plugin=plugin, vif_type="ovs")
        assert through_at_once(record, adverts) is at_once
    assert through_at_once(None, adverts)


def test_a_device_that_is_not_there_has_no_counters() -> None:
    assert of_device("no-such-device") is None
    assert of_device("lo") is not None


@dataclass
class Host:
    """One port's counters."""

    counts: dict[str, Counts] = field(default_factory=lambda: {"tap1": Counts(1, 1)})
    now: float = 100.0
    first: list[tuple[str, Time]] = field(default_factory=list)
    opened: bool = False
    known: bool = True

    def __post_init__(self) -> None:
        self.watch = FrameWatch(
            self._passed, lambda _port: self.opened, self.counts.get, lambda: self.now
        )

    def _passed(self, port: str, at: Time) -> bool:
        self.first.append((port, at))
        return self.known

    def turn(self, now: float, *counts: int) -> bool:
        self.now = now
        self.counts["tap1"] = Counts(*counts)
        return self.watch.turn()


def test_a_source_says_since_when_its_guest_is_quiet() -> None:
    host = Host()
    host.watch.follow(ID, "tap1", coming=False)
    assert host.turn(100.0, 1, 1)
    assert host.turn(100.1, 2, 1)
    host.now = 100.4
    quiet = host.watch.quiet(ID)
    assert quiet is not None
    assert (round(quiet.at, 3), round(quiet.within, 3)) == (0.3, 0.1)
    assert host.watch.quiet(ID) is None
    assert not host.watch.turn(), "nobody is followed any more"


def test_nothing_is_said_of_a_guest_that_sent_nothing_or_of_a_socket() -> None:
    host = Host()
    host.watch.follow(ID, "/run/vhu1", coming=True)
    assert not host.turn(100.0, 1, 1)
    host.watch.follow(ID, "tap1", coming=False)
    assert host.turn(100.0, 1, 1)
    assert host.watch.quiet(ID) is None


def test_the_first_frame_is_told_once_and_a_guest_that_never_comes_is_forgotten() -> None:
    host = Host()
    host.watch.follow(ID, "tap1", coming=True)
    host.turn(100.0, 1, 1)
    assert not host.turn(100.2, 1, 2)
    assert [port for port, _ in host.first] == [ID]
    host.watch.follow(ID, "tap1", coming=True)
    assert host.turn(101.0, 1, 2)
    host.watch.forget(ID)
    assert not host.turn(102.0, 1, 2)
    host.watch.follow(ID, "tap1", coming=True)
    assert host.turn(102.0 + 500, 1, 2)
    host.watch.follow(ID, "tap1", coming=True)
    assert host.turn(102.0 + 1000, 1, 2), "it was heard of anew"
    assert not host.turn(102.0 + 1200, 1, 2)
    assert len(host.first) == 1


def test_a_frame_that_is_of_no_move_does_not_end_the_looking() -> None:
    """One that strays to the device before anybody asks for the port."""
    host = Host(known=False)
    host.watch.follow(ID, "tap1", coming=True)
    host.turn(100.0, 1, 1)
    assert host.turn(100.1, 1, 2)
    host.known = True
    assert not host.turn(100.2, 1, 3)
    assert [round(at.at, 1) for _, at in host.first] == [100.1, 100.2]


def test_the_thread_looks_while_somebody_moves() -> None:
    host = Host()
    host.watch.start()
    host.watch.follow(ID, "tap1", coming=True)
    until(lambda: host.watch._followed.get(ID, Followed("", True, 0)).seen, "it looks")
    host.counts["tap1"] = Counts(1, 2)
    until(lambda: host.first, "it is told")
    host.watch.stop(60)


# --- the book ---


def book() -> tuple[Book, list[Migration]]:
    known = PortRecord(
        doc=decode(document(1, role="INACTIVE")), plugin="p", vif_type="t", phase=Phase.READY
    )
    gaps: list[Migration] = []
    return Book(Watched(lambda _port: known, gap=gaps.append)), gaps


def test_the_gap_is_from_the_last_frame_there_to_the_first_one_here() -> None:
    made, gaps = book()
    made.left(ID, Time(9.9, 0.01))
    made.noted(ID, "asked", 10.0, "peer-host1")
    assert not made.opened(ID)
    made.noted(ID, "opened", 10.1)
    assert made.opened(ID)
    made.passed(ID, Time(10.2, 0.005))
    (one,) = made.all()
    assert one.trigger == "source's agent"
    assert one.gap is not None
    assert (round(one.gap.at, 3), round(one.gap.within, 3)) == (0.3, 0.015)
    assert [g.id for g in gaps] == [one.id]


def test_a_first_frame_that_comes_after_the_record_counts_too() -> None:
    made, gaps = book()
    made.left(ID, Time(9.9, 0.01))
    for step in ("asked", "opened", "recorded"):
        made.noted(ID, step, 10.0, "peer-host1")
    made.passed(ID, Time(12.0, 0.0))
    assert round(gaps[0].gap.at if gaps[0].gap else 0, 3) == 2.1


def test_without_a_peers_word_the_gap_is_not_known() -> None:
    made, gaps = book()
    made.noted(ID, "asked", 10.0, "libvirt-resumed")
    made.noted(ID, "opened", 10.1)
    assert made.passed(ID, Time(10.2, 0.0))
    assert not made.passed(port_id(2), Time(10.2, 0.0))
    assert made.all()[0].gap is None
    assert made.all()[0].first == Time(10.2, 0.0)
    assert gaps == []


def test_a_guest_that_left_and_comes_back_has_a_migration_of_its_own() -> None:
    made, _ = book()
    for what, at in (("resumed: migrated", 5.0), ("suspended: migrated", 6.0),
                     ("started: migrated", 9.0)):  # fmt: skip
        made.guest(ID, what, at)
    made.noted(ID, "asked", 10.0, "libvirt-resumed")
    made.guest(ID, "resumed: migrated", 10.0)
    assert made.all()[0].began == 9.0
    assert [m.what for m in made.all()[0].guest] == ["started: migrated", "resumed: migrated"]


def test_what_is_said_of_a_guest_that_comes_again_is_not_of_its_last_time() -> None:
    made, _ = book()
    for step in ("asked", "opened", "recorded"):
        made.noted(ID, step, 10.0, "peer-host1")
    made.guest(ID, "started: migrated", 20.0)
    made.guest(ID, "resumed: migrated", 21.0)
    made.noted(ID, "asked", 21.1, "libvirt-resumed")
    first, second = made.all()
    assert first.guest == ()
    assert [m.at for m in second.guest] == [20.0, 21.0]
