"""Migrations that fail, one after the other between the same two hosts: by an abort, without a
device there, by a power cut there, and by one here. What was there before stands afterwards, and
nothing is left where the guest did not come.

``VIFD_MOVES=all`` (``make test-migration``) cuts the power at each moment, not at the worst alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from support.moving.move import TAP, Ears, migrate
from support.moving.world import MovingHost, World, as_peers, of_guest
from system.test_migration import joined, merged, reached, talks
from unit.docs import port_id
from vifd.testing.wait import PATIENCE, until

pytestmark = pytest.mark.needs("libvirt")

ALL = os.environ.get("VIFD_MOVES") == "all"
COPYING, STOPPED = "while its memory is copied", "as the guest stops at the source"
MOMENTS = [COPYING, STOPPED] if ALL else [STOPPED]
#: So often a cut may come too late, when the guest runs there already.
TRIES = 3


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with joined("vlan", lambda n: merged(as_peers(n), "remove_failed", 1)) as made:
        yield made


@pytest.fixture
def hosts(world: World) -> tuple[MovingHost, MovingHost]:
    """Both on, and the guest on the first; a guest under TCG may have died of an earlier test."""
    for host in world.hosts:
        if not host.host.pid:
            host.up()
    source, target = world.hosts
    if world.machine.gave_up or not runs(source):
        with contextlib.suppress(Exception):
            source.connection.lookupByUUIDString(of_guest()).destroy()
        until(lambda: source.port()["phase"] == "LIVE", "its port is open")
        world.start_guest()
    return source, target


def runs(host: MovingHost) -> bool:
    """Whether libvirt there has the guest, and it runs."""
    return any(d.UUIDString() == of_guest() and d.isActive() and d.state()[0] == 1
               for d in host.connection.listAllDomains())  # fmt: skip


@contextlib.contextmanager
def moving(hosts: tuple[MovingHost, MovingHost], *, slowly: bool) -> Iterator[list[str]]:
    """While libvirt moves the guest; what libvirt answered, which is empty if it has moved."""
    import libvirt

    refused: list[str] = []

    def move() -> None:
        try:
            migrate(*hosts, slowly=slowly)
        except libvirt.libvirtError as error:
            refused.append(str(error))

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield refused
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive(), "libvirt answers"


@contextlib.contextmanager
def domain_of(host: MovingHost) -> Iterator[Any]:
    """The guest, by a connection of its own: another one waits for the move."""
    connection = host.host.connection()
    try:
        yield connection.lookupByUUIDString(of_guest())
    finally:
        connection.close()


def copied(domain: Any) -> bool:
    """Whether some of its memory is on the way."""
    return bool(domain.jobStats().get("data_processed"))


def talks_on(world: World) -> None:
    """The guest is reached, and its connection is the one that it had."""
    heard = world.third.listening()
    sent, talked = len(heard.sent), len(heard.tcp)
    until(lambda: talks(world, sent), "it is reached")
    until(lambda: len(world.third.listening().tcp) > talked + 20, "its connection goes on")
    assert world.third.listening().ends == []


def nothing_is_left(host: MovingHost) -> None:
    until(lambda: not host.vifd.get("/v1/ports")["ports"], "its port there is gone")
    assert TAP not in host.host.run("ip", "-brief", "link")
    assert TAP not in host.ovs.vsctl("list-ports", "br-int")
    assert host.connection.listAllDomains() == []


def test_a_closed_port_elsewhere_disturbs_nobody(
    world: World, hosts: tuple[MovingHost, MovingHost]
) -> None:
    """It is made, proven and unplugged again while the guest is talked with at its old host."""
    source, target = hosts
    first = max(world.third.listening().sent)
    target.plug("INACTIVE")
    target.vifd.unplug(port_id(1))
    last = max(world.third.listening().sent)

    def answered() -> bool:
        return {n for n, _ in world.third.listening().answers} >= set(range(first, last))

    until(answered, "every ping meanwhile was answered")
    assert source.port()["phase"] == "LIVE"
    nothing_is_left(target)


def test_without_a_device_there_nothing_moves(
    world: World, hosts: tuple[MovingHost, MovingHost]
) -> None:
    source, target = hosts
    with moving(hosts, slowly=False) as refused:
        pass
    assert "specified dev doesn't exist" in refused[0]
    assert source.port()["phase"] == "LIVE"
    talks_on(world)
    nothing_is_left(target)


def test_an_abort_leaves_the_source_as_it_was_and_nothing_there(
    world: World, hosts: tuple[MovingHost, MovingHost]
) -> None:
    source, target = hosts
    target.plug("INACTIVE")
    with moving(hosts, slowly=True) as refused, domain_of(source) as domain:
        until(lambda: copied(domain), "its memory is on the way")
        domain.abortJob()
    assert refused
    assert source.port()["phase"] == "LIVE"
    talks_on(world)
    nothing_is_left(target)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_destination_loses_its_power(
    world: World, hosts: tuple[MovingHost, MovingHost], moment: str
) -> None:
    """The guest goes on where it was; the host comes back without network service, finds that the
    guest did not come, and gives up its port."""
    source, target = hosts
    for _ in range(TRIES):
        target.plug("INACTIVE")
        if cut_at(moment, hosts, target) and runs(source):
            break
        after_too_late(world, hosts)
    else:
        pytest.skip(f"the power was cut too late {TRIES} times")
    assert source.port()["phase"] == "LIVE"
    talks_on(world)
    target.up()
    nothing_is_left(target)
    talks_on(world)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_source_loses_its_power(
    world: World, hosts: tuple[MovingHost, MovingHost], moment: str
) -> None:
    """The guest is lost with its host: the port that waited for it is closed again and goes. The
    host that comes back has its port open before anybody asks, and the guest can start there."""
    source, target = hosts
    for _ in range(TRIES):
        target.plug("INACTIVE")
        if cut_at(moment, hosts, source) and not runs(target):
            break
        after_too_late(world, hosts)
    else:
        pytest.skip(f"the power was cut too late {TRIES} times")
    nothing_is_left(target)
    source.up()
    until(lambda: source.port()["phase"] == "LIVE", "its port is open again")
    world.start_guest()
    sent = len(world.third.listening().sent)
    until(lambda: talks(world, sent), "it is reached")
    nothing_is_left(target)


def cut_at(moment: str, hosts: tuple[MovingHost, MovingHost], whom: MovingHost) -> bool:
    """Cut a host's power at a moment of a move; whether the move failed by it."""
    source, _target = hosts
    with moving(hosts, slowly=moment == COPYING) as refused, contextlib.ExitStack() as stack:
        if moment == COPYING:
            domain = stack.enter_context(domain_of(source))
            until(lambda: copied(domain), "its memory is on the way")
        else:
            ears = stack.enter_context(Ears([source]).listening())
            until(lambda: ears.at(source.number, "suspended: migrated"), "the guest stopped")
        whom.cut()
    return bool(refused)


def after_too_late(world: World, hosts: tuple[MovingHost, MovingHost]) -> None:
    """The guest was there already: everything as before the move."""
    for host in hosts:
        if not host.host.pid:
            host.up()
        for domain in host.connection.listAllDomains():
            domain.destroy()
    source, target = hosts
    target.vifd.unplug(port_id(1))
    source.plug("ACTIVE")
    world.start_guest()


def test_a_device_that_is_deleted_meanwhile_is_an_error_and_can_be_given_back(
    world: World, hosts: tuple[MovingHost, MovingHost]
) -> None:
    """libvirt calls that a success; the guest is cut off. The last one here: the guest moves."""
    source, target = hosts
    for _ in range(TRIES):
        target.plug("INACTIVE")
        with moving(hosts, slowly=True) as refused, domain_of(source) as domain:
            until(lambda: copied(domain), "its memory is on the way")
            target.host.run("ip", "link", "delete", TAP)
            domain.migrateSetMaxSpeed(1024)
        assert refused == []
        until(lambda: target.port()["status"] == "ERROR" or world.machine.gave_up, "it is told")
        status, done = target.vifd.call("POST", f"/v1/ports/{port_id(1)}/repair?timeout=60")
        if reached(world):
            assert (status, done["done"]) == (200, True), done
            assert target.port()["status"] == "ACTIVE"
            return
        after_too_late(world, hosts)
    pytest.skip(f"{TRIES} guests died under TCG, one after the other")
