"""A port that is made ahead of compute, with the whole daemon on a real switch and by frames."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.test_adopt import mac
from functional.test_sides import compute, instance, network
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_only, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs) as daemon:
        yield daemon
        ids = [port_id(number) for number in range(1, 5)]
        daemon.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": ids})


def device(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def state(vifd: Vifd, number: int) -> tuple[str, str]:
    port = vifd.get(f"/v1/ports/{port_id(number)}")
    return port["phase"], port["status"]


def test_it_is_closed_until_compute_comes_over_a_crash_and_goes_where_nobody_does(
    vifd: Vifd, ovs: PrivateOvs
) -> None:
    """The guest that holds its device unasked is one that another program plugged."""
    for number in (1, 3):
        assert vifd.plug(document(number))[0] == 201
    path = f"/v1/ports/{port_id(2)}/network?prewire=closed&wait=active&timeout=60"
    status, made = vifd.call("PUT", path, network(2))
    assert (status, made["phase"], made["document"]["prewired"]) == (201, "READY", True)
    assert made["waits"][0].startswith("waits for compute: made ahead")
    index = socket.if_nametoindex(device(2))
    ask = frames.arp_request(mac(2), "10.0.0.2", "10.0.0.1")
    call = frames.arp_request(mac(1), "10.0.0.1", "10.0.0.2")
    with guests(device(1), device(2), device(3), ovs=ovs) as (one, two, three):
        beside = frames.arp_request(mac(3), "10.0.0.3", "10.0.0.1")
        assert_only(one, forbidden=[(two, ask)], allowed=(three, beside))
        vifd.configure({"engine": {"prewire_timeout": 0.1}})
        os.kill(vifd.process.pid or 0, signal.SIGHUP)
        told = f"(process {os.getpid()}) uses it: it stays, closed"
        until(lambda: told in vifd.log, "it is told, and not taken")
        vifd.kill()
        vifd.start()
        vifd.ready()
        assert state(vifd, 2) == ("READY", "DOWN")
        assert_only(one, forbidden=[(two, ask)], allowed=(three, beside))
        status, used = vifd.call("PUT", instance(2), compute(2))
        assert (status, used["phase"], used["waits"]) == (200, "LIVE", [])
        # what the datapath remembers of the closed port may meet the first frame
        assert_only(one, forbidden=[], allowed=(two, ask), rounds=1)
        assert_only(two, forbidden=[], allowed=(one, call), rounds=1)
    assert socket.if_nametoindex(device(2)) == index
    path = f"/v1/ports/{port_id(4)}/network?prewire=closed&wait=active&timeout=60"
    assert vifd.call("PUT", path, network(4))[0] == 201
    until(lambda: state(vifd, 4) == ("WAITING", "DOWN"), "it is taken down")
    left = {name for _, name in socket.if_nameindex()} | {
        *ovs.vsctl("list-ports", "br-int").split()
    }
    assert device(4) not in left
    status, used = vifd.call("PUT", instance(4), compute(4))
    assert (status, used["phase"]) == (201, "LIVE")
