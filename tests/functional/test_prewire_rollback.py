"""A port that was made ahead for vifd-nova, where nova was rolled back: the real stock os-vif plugs
it, with the whole daemon on a real switch, and by frames."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_adopt import mac
from functional.test_hosted import options, phase
from functional.test_sides import compute, instance, network
from support import nova
from support.nova import STOCK, Compute
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import Guest, assert_only, assert_reaches, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("nova")


@pytest.fixture
def bridge(ovs: PrivateOvs) -> Iterator[str]:
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    yield "br-int"
    ovs.vsctl("--if-exists", "del-br", "br-int")


@pytest.fixture
def vifd(ovs: PrivateOvs, bridge: str, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, options(bridge)) as daemon:
        yield daemon
        for number in (1, 2):
            daemon.call("DELETE", f"/v1/ports/{port_id(number)}/instance?wait=gone&timeout=60")
            daemon.call("DELETE", f"/v1/ports/{port_id(number)}/network?wait=gone&timeout=60")


@pytest.fixture
def stock(ovs: PrivateOvs, bridge: str, tmp_path: Path) -> Iterator[Compute]:
    with Compute(nova.stock(tmp_path, ovs)) as made:
        yield made
        for number in (1, 2):
            made.ask("unplug", number, **STOCK)


def device(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def ahead(vifd: Vifd, number: int) -> None:
    """The network service has the port made ahead."""
    path = f"/v1/ports/{port_id(number)}/network?prewire=closed&wait=active&timeout=60"
    status, made = vifd.call("PUT", path, network(number))
    assert (status, made["phase"], made["document"]["prewired"]) == (201, "READY", True)


def ask(stock: Compute, do: str, number: int) -> None:
    answer = stock.ask(do, number, **STOCK)
    assert "error" not in answer, answer


def port(vifd: Vifd, number: int) -> Any:
    return vifd.call("GET", f"/v1/ports/{port_id(number)}")[1]


def theirs(vifd: Vifd, number: int) -> None:
    """Wait until the port is os-vif's, open and proven."""
    until(lambda: phase(vifd, number) == "LIVE", "it is live")
    found = port(vifd, number)
    assert found["status"] == "ACTIVE"
    assert found["document"]["hosted"] == {"device": device(number)}


def hello(one: int, two: int) -> bytes:
    return frames.udp(mac(one), mac(two), f"10.0.0.{one}", f"10.0.0.{two}")


def met(one: Guest, two: Guest) -> None:
    assert_reaches(one, two, hello(1, 2))
    assert_reaches(two, one, hello(2, 1))


def test_its_guest_is_served_and_os_vif_unplugs_and_plugs_it_as_its_own(
    vifd: Vifd, stock: Compute, ovs: PrivateOvs
) -> None:
    assert vifd.plug(document(1))[0] == 201
    ahead(vifd, 2)
    index = socket.if_nametoindex(device(2))
    before = ovs.vsctl("get", "Interface", device(2), "_uuid")
    ask(stock, "plug", 2)
    with guests(device(1), device(2), ovs=ovs) as (one, two):
        theirs(vifd, 2)
        met(one, two)
        lie = frames.udp(mac(2), mac(1), "10.0.0.9", "10.0.0.1")
        assert_only(one, forbidden=[(two, lie)], allowed=(two, hello(2, 1)))
    assert socket.if_nametoindex(device(2)) == index, "the device that os-vif found"
    assert ovs.vsctl("get", "Interface", device(2), "_uuid") == before
    ids = ovs.vsctl("get", "Interface", device(2), "external_ids")
    assert "vifd-" not in ids
    assert document(2)["instance"]["id"] in vifd.log
    # a hard reboot
    ask(stock, "unplug", 2)
    assert device(2) not in {name for _, name in socket.if_nameindex()}
    until(lambda: phase(vifd, 2) == "WAITING", "it waits for compute again")
    assert device(2) not in ovs.vsctl("list-ports", "br-int").split(), "nobody makes it again"
    ask(stock, "plug", 2)
    theirs(vifd, 2)
    with guests(device(1), device(2), ovs=ovs) as (one, two):
        met(one, two)
        # vifd-nova is back: its nova-compute plugs every instance at its start
        path = f"{instance(2)}&owner=nova&take_over=true"
        status, taken = vifd.call("PUT", path, compute(2))
        assert (status // 100, taken["phase"]) == (2, "LIVE"), taken
        met(one, two)
    assert set(port(vifd, 2)["parts"]) == {"network", "compute"}
    assert "hosted" not in port(vifd, 2)["document"]
    assert vifd.log.count("another program (stock os-vif, say) plugged it") == 1
    assert vifd.call("DELETE", f"/v1/ports/{port_id(2)}/instance?wait=gone&timeout=60")[0] == 204
    assert device(2) not in {name for _, name in socket.if_nameindex()}
    assert device(2) not in ovs.vsctl("list-ports", "br-int").split()
