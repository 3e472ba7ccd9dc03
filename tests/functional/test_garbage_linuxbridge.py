"""What was removed from a bridge of the kernel comes back: the whole daemon on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_adopt import _tap
from functional.test_garbage import ripe, states
from unit.docs import document, port_id
from vifd.drivers import Bridging
from vifd.store import Journal
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, assert_only, guests
from vifd.testing.machines import LinuxMachine
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.testing import quiet_netfilter


@pytest.fixture
def machine() -> Iterator[LinuxMachine]:
    quiet_netfilter()
    with LinuxMachine() as made:
        yield made
        assert made.drivers.nft is not None
        made.drivers.nft.delete_table(TABLE)
        links = made.drivers.links
        links.delete([link.name for link in links.marked("vifd:")])


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, machine: LinuxMachine) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, {"garbage": {"grace": 0.1, "interval": 0}})
    with daemon:
        yield daemon
        daemon.clear()


def wanted(number: int) -> dict[str, Any]:
    doc = document(number)
    doc["plugin"] = "linuxbridge"
    return doc


def plugged(vifd: Vifd, number: int) -> str:
    """Plug a port; its bridge."""
    status, port = vifd.plug(wanted(number))
    assert status == 201, port
    return str(port["vif"]["bridge"])


def bridging(machine: LinuxMachine) -> Bridging:
    assert machine.drivers.bridging is not None
    return machine.drivers.bridging


def orphaned(vifd: Vifd, *numbers: int) -> None:
    """Ports that the journal does not know any more."""
    vifd.stop()
    journal = Journal.open(vifd.directory / "state" / "journal.db")
    journal.commit({port_id(n): lambda _: None for n in numbers})
    journal.close()
    vifd.start()
    vifd.ready()


def mac(number: int) -> str:
    return str(document(number)["port"]["mac_address"])


def tap(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def hello(one: int, two: int) -> bytes:
    return frames.udp(mac(one), mac(two), f"10.0.0.{one}", f"10.0.0.{two}")


def stands(machine: LinuxMachine, *names: str) -> dict[str, tuple[Any, ...]]:
    """What counts of devices: not their numbers, which are new."""
    found = bridging(machine).get(names)
    index = {device.link.ifindex: name for name, device in found.items()}
    return {
        name: (d.link.alias, d.link.mac, d.link.mtu, d.link.up, d.link.multi_queue, d.link.ipv6,
               index.get(d.master or 0), d.flood, d.learning, d.stp, d.quiet)
        for name, d in found.items()
    }  # fmt: skip


def closed(before: dict[str, tuple[Any, ...]], *names: str) -> dict[str, tuple[Any, ...]]:
    """The same with ports on no bridge, as those are that are closed."""
    return before | {n: (*before[n][:6], None, None, None, *before[n][9:]) for n in names}


def test_undo_puts_a_port_back_closed_and_leaves_it_alone(vifd, machine):
    bridge = plugged(vifd, 1)
    assert plugged(vifd, 2) == plugged(vifd, 3) == bridge
    before = stands(machine, tap(1), bridge)
    assert set(before) == {tap(1), bridge}
    chains = machine.drivers.nft.chains(TABLE, [tap(1)])
    orphaned(vifd, 1)
    (orphan,) = ripe(vifd, 1)
    assert len(vifd.call("POST", "/v1/garbage", {"force": True})[1]["removed"]) == 1
    assert set(stands(machine, tap(1), bridge)) == {bridge}
    vifd.stop()
    vifd.start()
    vifd.ready()
    status, done = vifd.call("POST", "/v1/garbage/undo", {"ids": [orphan]})
    assert (status, done["failed"]) == (200, [])
    assert stands(machine, tap(1), bridge) == closed(before, tap(1))
    assert machine.drivers.nft.chains(TABLE, [tap(1)]) == chains
    until(lambda: states(vifd) == ["kept"], "it is kept")
    with guests(tap(1), tap(2), tap(3)) as (one, two, three):
        forwards(machine, tap(2), tap(3))
        assert_only(two, forbidden=[(one, hello(1, 2))], allowed=(three, hello(3, 2)))
        assert not reaches(two, one, hello(2, 1)), "nor does it hear anything"
        # and it is the port's again as soon as somebody wants it
        assert vifd.plug(wanted(1))[0] == 201
        until(lambda: reaches(one, two, hello(1, 2)), "it passes frames")
    assert vifd.get("/v1/garbage")["orphans"] == []


def forwards(machine: LinuxMachine, *names: str) -> None:
    def there() -> bool:
        return all(d.forwarding for d in bridging(machine).get(names).values())

    until(there, "the bridge takes the guests up")


def reaches(sender: TapGuest, receiver: TapGuest, frame: bytes) -> bool:
    """Whether a frame arrives; a bridge of the kernel has delivered it once it was sent."""
    receiver.drain()
    sender.send(frame)
    return frame in receiver.drain()


def test_the_bridge_comes_back_with_its_port_and_stays_as_long(vifd, machine):
    bridge = plugged(vifd, 1)
    before = stands(machine, tap(1), bridge)
    orphaned(vifd, 1)
    ids = ripe(vifd, 2)
    assert len(vifd.call("POST", "/v1/garbage", {"force": True})[1]["removed"]) == 2
    assert stands(machine, tap(1), bridge) == {}
    (port_orphan,) = [i for i in ids if port_id(1) in i]
    status, done = vifd.call("POST", "/v1/garbage/undo", {"ids": [port_orphan]})
    assert (status, done["failed"]) == (200, [])
    assert stands(machine, tap(1), bridge) == closed(before, tap(1))
    assert states(vifd) == ["kept", "kept"]
    assert states(vifd) == ["kept", "kept"], "a second look changes nothing"
    assert vifd.call("POST", "/v1/garbage", {"force": True})[1]["removed"] == []
    assert stands(machine, tap(1), bridge) == closed(before, tap(1))


def test_a_network_alone_comes_back(vifd, machine):
    bridge = plugged(vifd, 1)
    before = stands(machine, bridge)
    orphaned(vifd, 1)
    ids = ripe(vifd, 2)
    vifd.call("POST", "/v1/garbage", {"force": True})
    (bridge_orphan,) = [i for i in ids if bridge in i]
    status, done = vifd.call("POST", "/v1/garbage/undo", {"ids": [bridge_orphan]})
    assert (status, done["failed"]) == (200, [])
    assert stands(machine, bridge) == before


def test_a_name_that_another_program_took_is_left_to_it(vifd, machine):
    bridge = plugged(vifd, 1)
    orphaned(vifd, 1)
    ids = ripe(vifd, 2)
    vifd.call("POST", "/v1/garbage", {"force": True})
    (port_orphan,) = [i for i in ids if port_id(1) in i]
    _tap(tap(1), persist=True)
    try:
        status, done = vifd.call("POST", "/v1/garbage/undo", {"ids": [port_orphan]})
        assert status == 200
        assert done["restored"] == []
        assert {f["error"]["code"] for f in done["failed"]} == {"E_PLUG_NAME_CLASH"}
        assert machine.drivers.nft.chains(TABLE, [tap(1)]) == {}
        assert stands(machine, bridge) == {}, "nothing half-made is left"
    finally:
        _tap(tap(1), persist=False)
