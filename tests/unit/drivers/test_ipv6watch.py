"""Which devices are looked at for IPv6 that is turned on, and when it is told."""

from __future__ import annotations

from pathlib import Path

from vifd.drivers.ipv6watch import AGE, PERIOD, SELDOM, Ipv6Watch
from vifd.drivers.link import MARK, Link


def link(name: str, *, carrier: bool = False, ipv6: bool | None = False, ours: bool = True) -> Link:
    alias = f"{MARK}x" if ours else ""
    return Link(name, 1, "02:00:00:00:00:01", 1500, True, carrier, alias, ipv6=ipv6)


def test_a_change_is_told_once_until_it_is_off_again(tmp_path: Path) -> None:
    now, there = [0.0], [link("a"), link("b", carrier=True), link("c", ours=False)]
    watch = Ipv6Watch(lambda: there, setting=f"{tmp_path}/{{}}", clock=lambda: now[0])
    for name in "abc":
        (tmp_path / name).write_text("1\n")

    def look(after: float = 2 * PERIOD) -> bool:
        now[0] += after
        return watch.turned_on()

    assert not look()
    (tmp_path / "b").write_text("0\n")
    (tmp_path / "c").write_text("0\n")
    assert not look(), "these tell by themselves, or are not ours"
    (tmp_path / "a").write_text("0\n")
    assert not look(PERIOD / 2), "not so often"
    assert look()
    assert not look()
    assert look(2.0), "it may have been off in between"
    assert not look(1.0)
    (tmp_path / "a").write_text("1\n")
    assert not look(10.0)
    (tmp_path / "a").write_text("0\n")
    assert look()
    (tmp_path / "a").unlink()
    (tmp_path / "d").write_text("1\n")
    there[:] = [link("d")]
    assert not look()
    assert not look(AGE), "another one is found"
    (tmp_path / "d").write_text("0\n")
    assert look()


def test_what_is_on_when_it_is_seen_first_is_told(tmp_path: Path) -> None:
    now = [0.0]
    watch = Ipv6Watch(tuple, setting=f"{tmp_path}/{{}}", clock=lambda: now[0])
    (tmp_path / "a").write_text("0\n")
    assert not watch.turned_on()
    watch.note([link("a", ipv6=True)])
    now[0] += PERIOD
    assert watch.turned_on()


def test_all_devices_are_read_only_where_some_may_be_found(tmp_path: Path) -> None:
    now, read, there = [0.0], [0], [link(name) for name in "abcdef"]

    def every() -> list[Link]:
        read[0] += 1
        return there

    watch = Ipv6Watch(every, setting=f"{tmp_path}/{{}}", clock=lambda: now[0])
    for name in "abcdef":
        (tmp_path / name).write_text("1\n")

    def reads(after: float) -> int:
        before = read[0]
        now[0] += after
        watch.turned_on()
        return read[0] - before

    assert reads(2 * PERIOD) == 1
    assert reads(10 * AGE) == 0, "enough are known"
    watch.note([link(name, carrier=True) for name in "abcdef"])
    there[:] = [link(name, carrier=True) for name in "abcdef"]
    assert reads(AGE) == 1
    assert reads(AGE) == 0, "all had a carrier"
    watch.note([link("f")])
    (tmp_path / "f").write_text("0\n")
    now[0] += 2 * PERIOD
    assert watch.turned_on(), "one that lost it is known at once"
    assert reads(SELDOM) == 1
