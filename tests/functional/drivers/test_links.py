"""The links driver on the kernel: the contract, and what only a kernel shows."""

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from vifd.drivers import MARK, Tap, tap
from vifd.drivers.links import Links
from vifd.errors import DeviceError, NameClash, PrivilegeMissing
from vifd.testing.driver_contract import LinksContract, a_tap, made
from vifd.testing.netns import Namespace
from vifd.testing.wait import until


@pytest.fixture
def links() -> Iterator[Links]:
    with contextlib.closing(Links()) as driver:
        yield driver
        driver.delete([link.name for link in driver.marked(MARK)])


@pytest.fixture
def oracle() -> Iterator[IPRoute]:
    with IPRoute() as netlink:
        yield netlink


@pytest.fixture
def foreign(oracle: IPRoute) -> Iterator[Callable[[str], None]]:
    names = []

    def make(name: str) -> None:
        oracle.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}-peer"})
        names.append(name)

    yield make
    for name in names:
        oracle.link("del", ifname=name)


def info(oracle: IPRoute, name: str) -> Any:
    """What the kernel says of a device, by the library's own decoder."""
    (message,) = oracle.get_links(oracle.link_lookup(ifname=name)[0])
    return message


def tun(oracle: IPRoute, name: str) -> dict[str, int]:
    linkinfo = info(oracle, name).get_attr("IFLA_LINKINFO")
    return {
        key.removeprefix("IFLA_TUN_").lower(): value
        for key, value in linkinfo.get_attr("IFLA_INFO_DATA")["attrs"]
    }


class TestLinks(LinksContract):
    pass


def test_the_kernel_shows_every_setting(links: Links, oracle: IPRoute) -> None:
    made(links.create_taps([a_tap(owner=1001, group=1002)])["tap1"])
    shown = info(oracle, "tap1")
    assert shown.get_attr("IFLA_ADDRESS") == "fa:16:3e:00:00:01"
    assert shown.get_attr("IFLA_MTU") == 1450
    assert shown.get_attr("IFLA_IFALIAS") == "vifd:port-1"
    assert shown["state"] == "up"
    shown = tun(oracle, "tap1")
    assert (shown["owner"], shown["group"]) == (1001, 1002)
    assert (shown["pi"], shown["persist"], shown["multi_queue"]) == (0, 1, 0)
    assert shown["type"] == 2


def test_ipv6_is_off(links: Links, oracle: IPRoute) -> None:
    made(links.create_taps([a_tap()])["tap1"])
    assert Path("/proc/sys/net/ipv6/conf/tap1/disable_ipv6").read_text().strip() == "1"
    links.set("tap1", mtu=1000)
    assert links.set("tap1", mtu=1500).ipv6 is False
    assert oracle.get_addr(index=oracle.link_lookup(ifname="tap1")[0]) == ()


def test_ipv6_of_a_foreign_device_is_shown_and_kept(
    links: Links, foreign: Callable[[str], None]
) -> None:
    foreign("other0")
    assert links.set("other0", up=True).ipv6 is True


@pytest.mark.parametrize("multi_queue", [False, True])
def test_a_guest_can_open_it_the_way_it_was_made(links: Links, multi_queue: bool) -> None:
    made(links.create_taps([a_tap(multi_queue=multi_queue)])["tap1"])
    assert not links.get(["tap1"])["tap1"].carrier
    right, wrong = (0x1002, 0x1102) if not multi_queue else (0x1102, 0x1002)
    with open("/dev/net/tun", "r+b", buffering=0) as file:
        fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"tap1", right))
        assert links.get(["tap1"])["tap1"].carrier
        with pytest.raises(OSError) as caught, open("/dev/net/tun", "r+b", buffering=0) as other:  # noqa: PT011
            fcntl.ioctl(other, 0x400454CA, struct.pack("16sH22x", b"tap1", wrong))
        assert caught.value.errno in (errno.EINVAL, errno.EBUSY)
    assert "tap1" in links.get(["tap1"])


def test_a_tap_in_use_is_taken_as_it_is_and_can_be_deleted(links: Links) -> None:
    first = made(links.create_taps([a_tap()])["tap1"])
    with open("/dev/net/tun", "r+b", buffering=0) as file:
        fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"tap1", 0x1002))
        again = made(links.create_taps([a_tap(mtu=1400)])["tap1"])
        assert (again.ifindex, again.mtu) == (first.ifindex, 1400)
        links.delete(["tap1"])
    assert links.get(["tap1"]) == {}


def test_a_device_that_appears_meanwhile_is_not_attached_to(
    links: Links, foreign: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = tap.create

    def late(name: str, *, multi_queue: bool) -> int:
        foreign(name)
        return create(name, multi_queue=multi_queue)

    monkeypatch.setattr(tap, "create", late)
    assert isinstance(links.create_taps([a_tap()])["tap1"], NameClash)
    assert links.get(["tap1"])["tap1"].kind == "veth"


def test_a_failure_after_the_tap_persists_removes_it(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    persist = tap.persist

    def fails(file: int, *, owner: int | None, group: int | None) -> None:
        persist(file, owner=owner, group=group)
        raise OSError(errno.EIO, "late")

    monkeypatch.setattr(tap, "persist", fails)
    assert isinstance(links.create_taps([a_tap()])["tap1"], DeviceError)
    assert links.get(["tap1"]) == {}


def test_nothing_is_made_where_ipv6_cannot_be_turned_off(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(name: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tap, "ipv6_off", read_only)
    error = links.create_taps([a_tap()])["tap1"]
    assert isinstance(error, PrivilegeMissing)
    assert "IPv6" in error.message
    assert links.get(["tap1"]) == {}


def test_a_missing_tun_device_says_how_to_mend_it(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap, "TUN", "/dev/net/nosuch")
    error = links.create_taps([a_tap()])["tap1"]
    assert isinstance(error, DeviceError)
    assert "missing" in error.message
    assert "module" in error.hint


def test_too_few_files_is_an_error_that_leaves_nothing(links: Links) -> None:
    import resource

    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What counts is the highest number, not how many files are open.
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, old[1]))
    try:
        outcome = links.create_taps([a_tap(number) for number in range(1, 9)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    failed = [name for name, result in outcome.items() if isinstance(result, Exception)]
    assert failed
    assert len(links.marked(MARK)) == 8 - len(failed)


def test_more_taps_than_are_made_in_one_go(links: Links) -> None:
    taps = [a_tap(number) for number in range(1, 301)]
    assert all(made(result).up for result in links.create_taps(taps).values())
    assert len(links.get([wanted.name for wanted in taps])) == 300
    links.delete([wanted.name for wanted in taps])
    assert links.marked(MARK) == []


def test_the_kernel_takes_a_tap_back_whose_maker_dies(links: Links) -> None:
    file = tap.create("tap1", multi_queue=False)
    assert "tap1" in links.get(["tap1"])
    os.close(file)
    until(lambda: not links.get(["tap1"]), "the tap is gone")


def test_the_driver_stays_in_the_namespace_it_was_made_in(far: Namespace) -> None:
    there = far.run(Links)
    here = Links()
    heard: list[str] = []
    with contextlib.closing(here), contextlib.closing(there):
        there.subscribe(lambda name, exists: heard.append(name))
        made(there.create_taps([a_tap()])["tap1"])
        until(lambda: "tap1" in heard, "the tap is announced")
        assert here.get(["tap1"]) == {}
        assert "ipv6=False" in repr(there.get(["tap1"])["tap1"])
        there.delete(["tap1"])


def test_calls_from_many_threads(links: Links) -> None:
    def work(number: int) -> None:
        taps = [a_tap(100 * number + i) for i in range(5)]
        for _ in range(5):
            assert all(made(result).up for result in links.create_taps(taps).values())
            links.get([wanted.name for wanted in taps])
        links.delete([wanted.name for wanted in taps])

    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert links.marked(MARK) == []


def test_lost_events_are_told(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, bool]] = []
    held = threading.Event()

    def slow(name: str, exists: bool) -> None:
        heard.append((name, exists))
        held.wait(20)

    monkeypatch.setattr("vifd.drivers.linkevents._BUFFER", 2048)
    links.subscribe(slow)
    taps = [a_tap(number) for number in range(1, 101)]
    links.create_taps(taps)
    links.delete([wanted.name for wanted in taps])
    held.set()
    until(lambda: ("", True) in heard, "the loss is told")
    links.create_taps([a_tap(500)])
    until(lambda: ("tap500", True) in heard, "later events are heard again")


def test_a_port_that_leaves_a_bridge_still_exists(
    links: Links, oracle: IPRoute, foreign: Callable[[str], None]
) -> None:
    foreign("other0")
    oracle.link("add", ifname="bridge0", kind="bridge")
    try:
        bridge = oracle.link_lookup(ifname="bridge0")[0]
        port = oracle.link_lookup(ifname="other0")[0]
        heard: list[tuple[str, bool]] = []
        oracle.link("set", index=port, master=bridge)
        links.subscribe(lambda name, exists: heard.append((name, exists)))
        oracle.link("set", index=port, master=0)
        oracle.link("set", index=port, mtu=1300)
        until(lambda: len([h for h in heard if h[0] == "other0"]) >= 2, "the changes are heard")
        assert ("other0", False) not in heard
    finally:
        oracle.link("del", ifname="bridge0")


def test_without_the_capability_the_error_says_so() -> None:
    script = """
import os, sys
from vifd.drivers.links import Links
from vifd.testing.driver_contract import a_tap
os.setresuid(65534, 65534, 65534)
links = Links()
error = links.create_taps([a_tap()])["tap1"]
assert type(error).__name__ == "PrivilegeMissing", error
print(error.message)
links.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "create tap1" in done.stdout


@pytest.mark.needs("program:unshare")
def test_root_of_a_user_namespace_can_do_everything() -> None:
    script = """
from vifd.drivers import MARK
from vifd.drivers.links import Links
from vifd.testing.driver_contract import a_tap, made
links = Links()
for result in links.create_taps([a_tap(1), a_tap(2, multi_queue=True)]).values():
    link = made(result)
    assert (link.up, link.ipv6) == (True, False), link
links.delete(["tap1", "tap2"])
assert links.marked(MARK) == []
links.close()
"""
    probe = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no user namespaces: {probe.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_fresh_names_after_delete_are_new_devices(links: Links) -> None:
    wanted: Tap = a_tap()
    first = made(links.create_taps([wanted])["tap1"])
    links.delete(["tap1"])
    assert made(links.create_taps([wanted])["tap1"]).ifindex != first.ifindex
