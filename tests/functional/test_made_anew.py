"""A switch port that another program made anew on our tap, with our iface-id and without a mark: it
is the port's, so it is taken back in place, removed with the port, and in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functional.scene import Scene
from vifd.errors import NameClash
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac, port_id
from vifd.testing.guests import assert_reaches
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[Scene]:
    with Scene(ovs) as scene:
        yield scene


def anew(host: Scene, number: int, *, bridge: str = "br-int", iface_id: str | None = "own") -> str:
    """As ``ovs-vsctl del-port`` and ``add-port`` make it."""
    name = host.device(port_id(number))
    host.ovs.vsctl("del-port", name)
    ids = {"own": port_id(number), "other": port_id(99)}.get(iface_id or "")
    more = [f"external_ids:iface-id={ids}"] if ids else []
    tail = ["--", "set", "Interface", name, *more] if more else []
    host.ovs.vsctl("add-port", bridge, name, *tail)

    def heard() -> bool:
        row = host.machine.drivers.ovsdb.port(name)
        return row is not None and "vifd-port" not in row.external_ids and bool(row.ofport)

    until(heard, "the replica has it")
    return name


def both_ways(one: Any, two: Any) -> None:
    for first, second, source, target in ((one, two, 1, 2), (two, one, 2, 1)):
        for address in (ipv4, ipv6):
            frame = f.udp(mac(source), mac(target), address(source), address(target))
            assert_reaches(first, second, frame)


@pytest.mark.parametrize("iface_id", ["own", None])
def test_it_is_taken_back_in_place(host: Scene, iface_id: str | None) -> None:
    one, two = host.guests(attachment(1), attachment(2))
    number, index = host.number(port_id(1)), host.ledger.records[port_id(1)].wiring
    anew(host, 1, iface_id=iface_id)
    assert "ovsdb.external_ids" in host.findings()
    host.heal()
    record = host.ledger.records[port_id(1)]
    assert record.wiring == index, "the same device, the same numbers"
    assert host.number(port_id(1)) == number
    both_ways(one, two)


def test_it_is_taken_back_from_another_bridge(host: Scene) -> None:
    one, two = host.guests(attachment(1), attachment(2))
    host.ovs.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", OF_DATAPATH)
    anew(host, 1, bridge="br-other")
    host.heal()
    both_ways(one, two)


@pytest.mark.parametrize("iface_id", ["own", None])
def test_it_goes_with_the_port_and_the_next_plug_works(host: Scene, iface_id: str | None) -> None:
    host.plug(attachment(1), attachment(2))
    name = anew(host, 1, iface_id=iface_id)
    assert not host.ledger.unplug(port_id(1))
    assert name not in host.ovs.vsctl("list-ports", "br-int").split()
    host.plug(attachment(1))
    both_ways(host.guest(port_id(1)), host.guest(port_id(2)))


def test_one_that_is_left_without_its_device_is_in_nobodys_way(host: Scene) -> None:
    """As an earlier removal left it: our iface-id, our name, no device."""
    host.ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    name = f"tap{port_id(1)[:11]}"
    host.ovs.vsctl(
        "add-port", "br-int", name, "--", "set", "Interface", name,
        f"external_ids:iface-id={port_id(1)}",
    )  # fmt: skip
    until(lambda: host.machine.drivers.ovsdb.port(name), "the replica has it")
    host.plug(attachment(1), attachment(2))
    both_ways(host.guest(port_id(1)), host.guest(port_id(2)))


def test_one_with_the_id_of_another_port_is_not_ours(host: Scene) -> None:
    host.plug(attachment(1))
    name = anew(host, 1, iface_id="other")
    (error,) = host.ledger.carry_out([port_id(1)]).values()
    assert isinstance(error, NameClash)
    assert name in host.ovs.vsctl("list-ports", "br-int").split()
    host.ovs.vsctl("del-port", name)
    until(lambda: host.machine.drivers.ovsdb.port(name) is None, "it is gone")


@pytest.mark.parametrize("opened", [True, False])
def test_a_number_that_another_port_has_now_is_chosen_anew(host: Scene, *, opened: bool) -> None:
    """While the port was away another program got its number: it gets another one, once."""
    host.plug(attachment(1), opened=opened)
    host.plug(attachment(2))
    name, number = host.device(port_id(1)), host.number(port_id(1))
    host.ovs.vsctl("del-port", name)
    host.ovs.vsctl(
        "add-port", "br-int", "theirs", "--", "set", "Interface", "theirs", "type=internal",
        f"ofport_request={number}",
    )  # fmt: skip
    ovsdb = host.machine.drivers.ovsdb

    def taken() -> bool:
        row = ovsdb.port("theirs")
        return ovsdb.port(name) is None and row is not None and row.ofport == number

    until(taken, "the number is theirs")
    assert not host.ledger.carry_out([port_id(1)], opened=opened)
    record = host.ledger.records[port_id(1)]
    assert record.wiring is not None
    got = record.wiring.details["ofport"]
    assert got != number
    assert not host.findings()
    flows = host.ovs.ofctl("dump-flows", "br-int", f"in_port={number}")
    assert "cookie=0x76" not in flows, "nothing of ours concerns their port"
    assert not host.ledger.carry_out([port_id(1)], opened=opened)
    assert host.ledger.records[port_id(1)].wiring == record.wiring
    if opened:
        both_ways(host.guest(port_id(1)), host.guest(port_id(2)))
    host.ovs.vsctl("del-port", "theirs")
