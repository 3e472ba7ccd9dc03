"""What the driver of links must do: one suite for the real one and the fake.

Subclass in a test module and supply the fixtures that are named in the class.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vifd.drivers import MARK, Link, Links, Tap
from vifd.errors import DeviceError, NameClash
from vifd.openflow.counts import Traffic
from vifd.testing.wait import until

Make = Callable[[str], object]
Alternative = Callable[[str, str], object]


def a_tap(number: int = 1, **changes: object) -> Tap:
    """A tap that can be made."""
    settings: dict[str, object] = {
        "name": f"tap{number}",
        "mac": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
        "mtu": 1450,
        "alias": f"{MARK}port-{number}",
    }
    return Tap(**{**settings, **changes})  # type: ignore[arg-type]


def made(outcome: Link | Exception) -> Link:
    """The device; a failure is raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class LinksContract:
    """Fixtures: ``links``, ``foreign(name)``, which makes a device that is not ours, and
    ``altname(device, name)``, which has it answer to another name as well."""

    def test_a_tap_is_what_was_asked_for(self, links: Links) -> None:
        link = made(links.create_taps([a_tap()])["tap1"])
        assert (link.mac, link.mtu, link.alias) == ("fa:16:3e:00:00:01", 1450, "vifd:port-1")
        assert (link.up, link.kind, link.multi_queue, link.ipv6) == (True, "tun", False, False)
        assert (link.owner, link.group) == (None, None)
        assert links.get(["tap1"]) == {"tap1": link}

    def test_what_a_device_has_counted(self, links: Links) -> None:
        made(links.create_taps([a_tap()])["tap1"])
        assert links.traffic(["tap1", "nosuch", "no/name"]) == {"tap1": Traffic(0, 0, 0, 0)}

    @pytest.mark.parametrize("multi_queue", [False, True])
    def test_the_queue_flag_is_set_and_shown(self, links: Links, multi_queue: bool) -> None:
        tap = a_tap(multi_queue=multi_queue)
        assert made(links.create_taps([tap])["tap1"]).multi_queue is multi_queue

    def test_owner_and_group_are_set_and_shown(self, links: Links) -> None:
        link = made(links.create_taps([a_tap(owner=0, group=0)])["tap1"])
        assert (link.owner, link.group) == (0, 0)

    def test_capital_letters_in_a_mac_do_not_matter(self, links: Links) -> None:
        link = made(links.create_taps([a_tap(mac="FA:16:3E:00:00:0A")])["tap1"])
        assert link.mac == "fa:16:3e:00:00:0a"

    def test_making_it_again_leaves_the_same_device(self, links: Links) -> None:
        first = links.create_taps([a_tap()])
        assert links.create_taps([a_tap()]) == first

    def test_one_of_ours_is_brought_to_the_wanted_state(self, links: Links) -> None:
        first = made(links.create_taps([a_tap()])["tap1"])
        links.set("tap1", up=False)
        link = made(links.create_taps([a_tap(mtu=1400, mac="fa:16:3e:00:00:99")])["tap1"])
        assert (link.mtu, link.mac, link.up) == (1400, "fa:16:3e:00:00:99", True)
        assert link.ifindex == first.ifindex

    def test_another_queue_flag_on_one_of_ours_is_an_error(self, links: Links) -> None:
        links.create_taps([a_tap()])
        error = links.create_taps([a_tap(multi_queue=True)])["tap1"]
        assert isinstance(error, DeviceError)
        assert error.facts["field"] == "multi_queue"
        assert links.get(["tap1"])["tap1"].multi_queue is False

    def test_a_foreign_device_is_refused_and_left_alone(self, links: Links, foreign: Make) -> None:
        foreign("tap1")
        before = links.get(["tap1"])
        error = links.create_taps([a_tap()])["tap1"]
        assert isinstance(error, NameClash)
        assert error.facts["name"] == "tap1"
        assert error.facts["have_alias"] == ""
        assert links.get(["tap1"]) == before

    def test_another_name_of_a_device_is_no_device(
        self, links: Links, foreign: Make, altname: Alternative
    ) -> None:
        foreign("other0")
        altname("other0", "tap1")
        before = links.get(["other0"])
        assert links.get(["tap1"]) == {} == links.traffic(["tap1"])
        error = links.create_taps([a_tap()])["tap1"]
        assert isinstance(error, NameClash)
        assert "tap1 cannot be had: it is another name (altname) of device other0" in str(error)
        assert "ip link property del dev other0 altname tap1" in error.hint
        with pytest.raises(DeviceError):
            links.set("tap1", mtu=1300)
        assert links.get(["other0"]) == before

    def test_another_name_of_a_tap_of_ours_removes_nothing(
        self, links: Links, altname: Alternative
    ) -> None:
        links.create_taps([a_tap()])
        altname("tap1", "tap2")
        links.delete(["tap2"])
        assert not links.opened("tap2")
        assert list(links.get(["tap1", "tap2"])) == ["tap1"]

    def test_the_tap_of_another_port_is_refused(self, links: Links) -> None:
        links.create_taps([a_tap()])
        error = links.create_taps([a_tap(alias=f"{MARK}other")])["tap1"]
        assert isinstance(error, NameClash)
        assert error.facts["have_alias"] == "vifd:port-1"

    def test_a_mark_is_put_back_on_the_very_tap_alone(self, links: Links, foreign: Make) -> None:
        foreign("tap1")
        foreign("tap2")
        first = made(links.create_taps([a_tap(3)])["tap3"])
        before = links.get(["tap1", "tap2", "tap3"])
        other = f"{MARK}other"
        taken = {name: (link.ifindex, other) for name, link in before.items()}
        links.remark({**taken, "tap9": (9, other)})
        assert links.get(["tap1", "tap2", "tap3"]) == before, "no tap, and one of another port"
        assert first.alias == "vifd:port-3"

    def test_a_tap_is_given_its_name_again(
        self, links: Links, rename: Callable[[str, str], object], foreign: Make
    ) -> None:
        """By whatever name it goes: a guest holds the device. Nothing else is renamed."""
        before = made(links.create_taps([a_tap(3)])["tap3"])
        rename("tap3", "else")
        links.remark({"tap3": (before.ifindex, f"{MARK}another")})
        links.remark({"tap3": (before.ifindex + 1, before.alias)})
        assert links.get(["tap3", "else"]).keys() == {"else"}
        links.remark({"tap3": (before.ifindex, before.alias)})
        assert links.get(["tap3", "else"]) == {"tap3": before}
        foreign("tap1")
        there = links.get(["tap1"])["tap1"]
        links.remark({"tap9": (there.ifindex, there.alias)})
        assert links.get(["tap1"]) == {"tap1": there}, "no tap of ours"

    @pytest.mark.parametrize(
        "name",
        ["sixteen-letters-", "", ".", "..", "a/b", "a b", "a:b", "tap%d", "é" * 8],
    )
    def test_a_name_that_the_kernel_does_not_take_is_an_error(
        self, links: Links, name: str
    ) -> None:
        before = links.marked("")
        assert isinstance(links.create_taps([a_tap(name=name)])[name], DeviceError)
        assert links.get([name]) == {}
        assert links.marked("") == before

    @pytest.mark.parametrize(
        "bad", [{"mac": "01:00:00:00:00:01"}, {"mac": "nonsense"}, {"mtu": 70000}, {"alias": "x"}]
    )
    def test_one_failure_in_the_middle_of_a_batch_leaves_the_others(
        self, links: Links, bad: dict[str, object]
    ) -> None:
        taps = [a_tap(number) for number in range(1, 101)]
        taps[49] = a_tap(50, **bad)
        outcome = links.create_taps(taps)
        failed = [name for name, result in outcome.items() if isinstance(result, Exception)]
        assert failed == ["tap50"]
        assert isinstance(outcome["tap50"], DeviceError)
        assert len(links.marked(MARK)) == 99
        assert "tap50" not in links.get([tap.name for tap in taps])

    def test_a_name_twice_in_a_batch_is_refused_without_effect(self, links: Links) -> None:
        with pytest.raises(ValueError, match="twice"):
            links.create_taps([a_tap(), a_tap()])
        assert links.marked(MARK) == []

    def test_an_empty_batch_is_nothing(self, links: Links) -> None:
        assert links.create_taps([]) == {}
        assert links.get([]) == {}
        links.delete([])

    def test_get_knows_only_what_exists(self, links: Links) -> None:
        links.create_taps([a_tap(1), a_tap(2)])
        assert sorted(links.get(["tap1", "nosuch", "tap2"])) == ["tap1", "tap2"]

    def test_marked_lists_by_the_beginning_of_the_alias(self, links: Links, foreign: Make) -> None:
        foreign("other0")
        links.create_taps([a_tap(1), a_tap(2)])
        assert sorted(link.name for link in links.marked(MARK)) == ["tap1", "tap2"]
        assert [link.name for link in links.marked("vifd:port-2")] == ["tap2"]
        assert links.marked("port-2") == []

    def test_set_changes_what_is_named_and_reads_it_back(self, links: Links) -> None:
        first = made(links.create_taps([a_tap()])["tap1"])
        assert links.set("tap1", mtu=9000).mtu == 9000
        assert links.set("tap1", up=False).up is False
        link = links.set("tap1", mac="fa:16:3e:00:00:07", up=True)
        assert (link.mac, link.mtu, link.up) == ("fa:16:3e:00:00:07", 9000, True)
        assert link.ifindex == first.ifindex

    def test_set_of_an_absent_device_is_an_error(self, links: Links) -> None:
        with pytest.raises(DeviceError):
            links.set("nosuch", mtu=1400)

    def test_delete_removes_and_may_be_repeated(self, links: Links) -> None:
        links.create_taps([a_tap()])
        links.delete(["tap1"])
        links.delete(["tap1"])
        assert links.get(["tap1"]) == {}

    def test_bulk_delete_leaves_others_untouched(self, links: Links, foreign: Make) -> None:
        foreign("other0")
        taps = [a_tap(number) for number in range(1, 102)]
        links.create_taps(taps)
        before = links.get(["tap101", "other0"])
        links.delete([tap.name for tap in taps[:100]] + ["nosuch"])
        assert [link.name for link in links.marked(MARK)] == ["tap101"]
        assert links.get(["tap101", "other0"]) == before

    def test_delete_refuses_a_foreign_device_and_removes_the_rest(
        self,
        links: Links,
        foreign: Make,
    ) -> None:
        foreign("other0")
        links.create_taps([a_tap(1), a_tap(2)])
        with pytest.raises(NameClash) as caught:
            links.delete(["tap1", "other0", "tap2"])
        assert caught.value.facts["name"] == "other0"
        assert list(links.get(["tap1", "other0", "tap2"])) == ["other0"]

    def test_changes_are_announced(self, links: Links) -> None:
        heard: list[tuple[str, bool]] = []
        links.subscribe(lambda name, exists: heard.append((name, exists)))
        links.create_taps([a_tap()])
        until(lambda: ("tap1", True) in heard, "the tap is announced")
        heard.clear()
        links.set("tap1", mtu=1400)
        until(lambda: ("tap1", True) in heard, "the change is announced")
        links.delete(["tap1"])
        until(lambda: ("tap1", False) in heard, "the removal is announced")

    def test_a_failing_subscriber_does_not_silence_the_others(self, links: Links) -> None:
        heard: list[str] = []

        def fails(name: str, exists: bool) -> None:
            heard.append("failed")
            raise RuntimeError(name)

        links.subscribe(fails)
        links.subscribe(lambda name, exists: heard.append(name))
        links.create_taps([a_tap()])
        until(lambda: "tap1" in heard and "failed" in heard, "both were called")
