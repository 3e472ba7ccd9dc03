"""The links driver on the kernel: the contract, and what only a kernel shows."""

import contextlib
import errno
import fcntl
import gc
import itertools
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute, NetlinkError
from pyroute2.netlink.rtnl.ifinfmsg import IFF_PROMISC

from support.links_suite import LinksContract, a_tap, made
from support.meddler import has_altname
from vifd.drivers import MARK, Tap, netlink, rtnl, tap
from vifd.drivers.links import Links
from vifd.errors import DeviceError, NameClash, PrivilegeMissing
from vifd.migration import abandoned
from vifd.safety import holders
from vifd.testing.guests import guests
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


@pytest.fixture
def rename(oracle: IPRoute) -> Callable[[str, str], None]:
    def call(name: str, new: str) -> None:
        (index,) = oracle.link_lookup(ifname=name)
        oracle.link("set", index=index, state="down")
        oracle.link("set", index=index, ifname=new)
        oracle.link("set", index=index, state="up")

    return call


@pytest.fixture
def altname() -> Callable[[str, str], None]:
    return has_altname


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


@pytest.mark.parametrize("promiscuous", [True, False])
def test_a_tap_is_promiscuous_before_it_belongs_to_a_switch(
    links: Links, oracle: IPRoute, promiscuous: bool
) -> None:
    made(links.create_taps([a_tap(promiscuous=promiscuous)])["tap1"])
    assert bool(info(oracle, "tap1")["flags"] & IFF_PROMISC) == promiscuous


def test_a_mark_that_somebody_took_is_put_back_by_ifindex(links: Links, oracle: IPRoute) -> None:
    link = made(links.create_taps([a_tap()])["tap1"])
    oracle.link("set", index=link.ifindex, ifalias="somebody")
    links.remark({"tap1": (link.ifindex + 1, link.alias)})
    assert links.get(["tap1"])["tap1"].alias == "somebody"
    links.remark({"tap1": (link.ifindex, link.alias)})
    assert links.get(["tap1"])["tap1"] == link


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


def test_every_kind_of_device_is_read_as_pyroute2_reads_it(
    links: Links, oracle: IPRoute, foreign: Callable[[str], None]
) -> None:
    foreign("other0")
    oracle.link("add", ifname="bridge0", kind="bridge")
    made(links.create_taps([a_tap(owner=7)])["tap1"])
    try:
        found = {link.name: link for link in links.marked("")}
        assert {"lo", "other0", "other0-peer", "bridge0", "tap1"} <= set(found)
        for shown in oracle.get_links():
            link = found.pop(shown.get_attr("IFLA_IFNAME"))
            assert (link.ifindex, link.up) == (shown["index"], bool(shown["flags"] & 1))
            assert link.mac == shown.get_attr("IFLA_ADDRESS")
            assert link.mtu == shown.get_attr("IFLA_MTU")
            assert link.carrier == bool(shown.get_attr("IFLA_CARRIER"))
            assert link.alias == (shown.get_attr("IFLA_IFALIAS") or "")
            assert link.kind == (shown.get(("linkinfo", "kind")) or "")
            assert links.get([link.name]) == {link.name: link}
        assert found == {}
    finally:
        oracle.link("del", ifname="bridge0")


@pytest.mark.parametrize(
    "kind", ["bridge", "veth", "ifb", "dummy", "vxlan", "vlan", "macvtap", "ipvlan", "sit", "tun"]
)
def test_both_readers_see_the_same_in_every_kind_of_device(oracle: IPRoute, kind: str) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "vxlan": {"vxlan_id": 7, "vxlan_port": 4789},
        "vlan": {"vlan_id": 7},
        "sit": {"sit_local": "127.0.0.1", "sit_remote": "127.0.0.2"},
    }
    options = wanted.get(kind, {})
    oracle.link("add", ifname="below0", kind="veth", peer={"ifname": "below1"})
    below = oracle.link_lookup(ifname="below0")[0]
    if kind in ("vlan", "macvtap", "ipvlan"):
        options["link"] = below
    try:
        if kind == "tun":
            oracle.link("add", ifname="kind0", kind="tuntap", mode="tun", uid=7)
        else:
            oracle.link("add", ifname="kind0", kind=kind, **options)
    except NetlinkError as error:
        oracle.link("del", index=below)
        pytest.skip(f"this kernel makes no {kind}: {error}")
    try:
        oracle.link("set", index=oracle.link_lookup(ifname="kind0")[0], state="up")
        with contextlib.closing(netlink.Socket(netlink.ROUTE)) as kernel:
            (message,) = kernel.ask([rtnl.get("kind0")])
        assert isinstance(message, bytes)
        link = rtnl.link(message)
        assert (link.name, link.kind, link.up) == ("kind0", kind, True)
        full = rtnl.link_in_full(message)
        # pyroute2 writes four bytes as an IPv4 address.
        assert link == (replace(full, mac=link.mac) if "." in full.mac else full)
    finally:
        oracle.link("del", ifname="kind0")
        oracle.link("del", index=below)


def test_the_longest_name_and_alias(links: Links) -> None:
    alias = MARK + "a" * (255 - len(MARK))
    link = made(links.create_taps([a_tap(name="fifteen-letters", alias=alias)])["fifteen-letters"])
    assert (link.name, link.alias) == ("fifteen-letters", alias)


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

    gc.collect()
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = os.open("/dev/null", os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (top + 8, old[1]))
    held = [top]
    try:
        # What counts is the highest number: every gap below is filled, and one is left.
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        os.close(held.pop())
        outcome = links.create_taps([a_tap(number) for number in range(1, 9)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
        for number in held:
            os.close(number)
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
        assert there.get(["tap1"])["tap1"].ipv6 is False
        there.set("tap1", mtu=1000)
        assert there.set("tap1", mtu=1500).ipv6 is False
        there.delete(["tap1"])


def test_calls_from_many_threads(links: Links) -> None:
    def work(number: int) -> None:
        taps = [a_tap(100 * number + i) for i in range(5)]
        for _ in range(1):
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
        thread.join(60)
    assert errors == []
    assert links.marked(MARK) == []


def test_a_call_on_another_thread_uses_the_same_socket(links: Links) -> None:
    made(links.create_taps([a_tap()])["tap1"])

    def files() -> set[str]:
        return {path for path in map(linked, os.listdir("/proc/self/fd")) if "socket:" in path}

    def linked(file: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return os.readlink(f"/proc/self/fd/{file}")
        return ""

    before = files()
    during = []

    def work() -> None:
        links.get(["tap1"])
        links.set("tap1", mtu=1400)
        links.marked(MARK)
        during.append(files())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(during) == 3
    assert all(seen <= before for seen in during), (before, during)


def test_close_ends_every_call() -> None:
    driver = Links()
    driver.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        driver.get(["lo"])
    with pytest.raises(RuntimeError):
        driver.create_taps([a_tap()])


def test_a_tap_that_is_as_it_should_be_is_not_touched(
    links: Links, foreign: Callable[[str], None]
) -> None:
    first = made(links.create_taps([a_tap()])["tap1"])
    heard: list[str] = []
    links.subscribe(lambda name, exists: heard.append(name))
    assert made(links.create_taps([a_tap()])["tap1"]) == first
    foreign("other0")
    until(lambda: "other0" in heard, "what came after it is heard")
    assert "tap1" not in heard


def test_what_belongs_to_a_device_is_told_as_its_change(links: Links, oracle: IPRoute) -> None:
    """A guard that is removed, and IPv6 that is turned on for all devices: neither is a change of
    the device itself."""
    links.create_taps([a_tap()])
    (index,) = oracle.link_lookup(ifname="tap1")
    oracle.tc("add", "clsact", index)
    heard: list[str] = []
    with guests("tap1"):
        until(lambda: made(links.get(["tap1"])["tap1"]).carrier, "it has a carrier")
        links.subscribe(lambda name, exists: heard.append(name))
        oracle.tc("del", "clsact", index)
        until(lambda: "tap1" in heard, "the filter that is gone is told")
        heard.clear()
        switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
        before = switch.read_text()
        try:
            switch.write_text("0")
            until(lambda: "tap1" in heard, "that IPv6 is on is told")
        finally:
            switch.write_text(before)


def test_lost_events_are_told(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, bool]] = []
    held = threading.Event()

    def slow(name: str, exists: bool) -> None:
        heard.append((name, exists))
        held.wait(60)

    monkeypatch.setattr("vifd.drivers.linkevents._BUFFER", 2048)
    links.subscribe(slow)
    taps = [a_tap(number) for number in range(1, 101)]
    links.create_taps(taps)
    links.delete([wanted.name for wanted in taps])
    held.set()
    until(lambda: ("", True) in heard, "the loss is told")

    def heard_again() -> bool:
        number, before = next(numbers), len(heard)
        links.create_taps([a_tap(number)])
        told = (f"tap{number}", True)
        # So small a buffer may overrun again; then that is told, and told after it.
        until(lambda: {told, ("", True)} & set(heard[before:]), "no change goes untold")
        return told in heard

    numbers = itertools.count(500)
    until(heard_again, "later events are heard again")


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
        foreign("other1")
        until(lambda: ("other1", True) in heard, "what came after it is heard")
        assert ("other0", True) in heard
        assert ("other0", False) not in heard
    finally:
        oracle.link("del", ifname="bridge0")


def test_without_the_capability_the_error_says_so() -> None:
    script = """
import os, sys
from vifd.drivers.links import Links
from support.links_suite import a_tap
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
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "create tap1" in done.stdout


@pytest.mark.needs("program:unshare")
def test_root_of_a_user_namespace_can_do_everything() -> None:
    script = """
from vifd.drivers import MARK
from vifd.drivers.links import Links
from support.links_suite import a_tap, made
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
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_fresh_names_after_delete_are_new_devices(links: Links) -> None:
    wanted: Tap = a_tap()
    first = made(links.create_taps([wanted])["tap1"])
    links.delete(["tap1"])
    assert made(links.create_taps([wanted])["tap1"]).ifindex != first.ifindex


#: Takes each of these taps down once, as soon as it is up: as a switch does that waits for a
#: device, and writes the flags which it read a moment before.
_TAKE_DOWN = """
import fcntl, socket, struct, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready", flush=True)
for name in sys.argv[1:]:
    while True:
        request = struct.pack("16sH22x", name.encode(), 0)
        try:
            flags = struct.unpack_from("16xH", fcntl.ioctl(sock, 0x8913, request))[0]
        except OSError:
            continue
        if flags & 1:
            fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", name.encode(), flags & ~1))
            break
"""


def test_a_device_that_a_waiting_switch_takes_down_is_up_all_the_same(links: Links) -> None:
    taps = [a_tap(n) for n in range(40)]
    argv = [sys.executable, "-c", _TAKE_DOWN, *(wanted.name for wanted in taps)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            for wanted in taps:
                made(links.create_taps([wanted])[wanted.name])
            other.wait(600)
        finally:
            other.kill()


@pytest.mark.parametrize("multi_queue", [False, True])
def test_who_has_a_tap_open_is_known_without_its_carrier(links: Links, multi_queue: bool) -> None:
    made(links.create_taps([a_tap(multi_queue=multi_queue)])["tap1"])
    assert not abandoned.in_use("tap1")
    with guests("tap1", multi_queue=multi_queue):
        assert abandoned.in_use("tap1")
        until(lambda: links.get(["tap1"])["tap1"].carrier, "the guest has its carrier")
        argv = ["ip", "link", "set", "tap1", "carrier", "off"]
        subprocess.run(argv, check=True, capture_output=True, timeout=600)
        assert not links.get(["tap1"])["tap1"].carrier
        assert links.opened("tap1")
        assert abandoned.in_use("tap1")
        assert "tap1" in holders.taps()
    until(lambda: not links.opened("tap1"), "the guest is gone")
    assert not abandoned.in_use("tap1")
    assert "tap1" not in holders.taps()
