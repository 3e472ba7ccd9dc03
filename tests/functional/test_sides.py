"""Compute's part of a port with the whole daemon on a real switch."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_adopt import _tap, mac, plug_by_hand
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import assert_reaches, guests
from vifd.testing.machines import RealMachine
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

#: Starts of the daemon in every test run; a change of the start is tried with ``VIFD_STARTS=50``.
STARTS = int(os.environ.get("VIFD_STARTS", "4"))


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, {"engine": {"retry_first": 0.05}})
    yield daemon
    daemon.start()
    daemon.ready()
    daemon.clear()
    daemon.close()


def compute(number: int, **more: Any) -> dict[str, Any]:
    return {"version": "1.0", "instance": document(number)["instance"], **more}


def network(number: int, **changes: Any) -> dict[str, Any]:
    return {k: v for k, v in document(number, **changes).items() if k != "instance"}


def instance(number: int, *more: str) -> str:
    query = "&".join(("wait=active", "timeout=60", *more))
    return f"/v1/ports/{port_id(number)}/instance?{query}"


def take_over(vifd: Vifd, number: int) -> None:
    """Until the daemon has heard of what another program plugged."""
    vifd.call("PUT", f"/v1/ports/{port_id(number)}/network", network(number))
    call = instance(number, "take_over=true")
    until(lambda: vifd.call("PUT", call, compute(number))[0] in (200, 201), "the port is proven")


def in_the_first_instant(vifd: Vifd, *calls: tuple[str, str, Any]) -> list[tuple[int, Any]]:
    """Start the daemon and send these calls as soon as somebody takes connections."""
    vifd.process.spawn()
    answers: dict[int, tuple[int, Any]] = {}

    def send(i: int, call: tuple[str, str, Any]) -> None:
        def sent() -> bool:
            try:
                answers[i] = vifd.call(*call)
            except OSError:
                return False
            return True

        until(sent, "the daemon takes the call")

    threads = [threading.Thread(target=send, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return [answers[i] for i in range(len(calls))]


def test_a_plug_in_the_first_instant_is_held_until_the_host_was_looked_at(vifd: Vifd) -> None:
    for _ in range(STARTS):
        whole = f"/v1/ports/{port_id(1)}?wait=active&timeout=60"
        part = f"/v1/ports/{port_id(2)}/network"
        found = in_the_first_instant(
            vifd,
            ("PUT", whole, document(1)),
            ("PUT", part, network(2)),
            ("PUT", instance(2, "take_over=true"), compute(2)),
            ("POST", "/v1/offers", {"attachment": document(3)}),
        )
        refused = [answer for status, answer in found if not 200 <= status < 300]
        assert refused == []
        assert found[0][1]["phase"] == found[2][1]["phase"] == "LIVE"
        ids = [port_id(1), port_id(2)]
        vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": ids})
        vifd.stop()


def test_one_call_plugs_or_takes_over_what_another_program_plugged(
    vifd: Vifd, ovs: PrivateOvs
) -> None:
    """Also after a plain plug ran into the other hand's device, and failed."""
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    vifd.start()
    vifd.ready()
    made: list[str] = []
    name = f"tap{port_id(1)[:11]}"
    with RealMachine(ovs) as machine:
        plug_by_hand(ovs, machine, made, name, 1)
        try:
            index = socket.if_nametoindex(name)
            status, answer = vifd.call("PUT", f"/v1/ports/{port_id(1)}?wait=active", document(1))
            assert answer["code"] == "E_PLUG_NAME_CLASH", (status, answer)
            for number in (1, 2):
                take_over(vifd, number)
            assert socket.if_nametoindex(name) == index, "it is the guest's device still"
            with guests(name, f"tap{port_id(2)[:11]}", ovs=ovs) as (one, two):
                assert_reaches(one, two, frames.arp_request(mac(1), "10.0.0.1", "10.0.0.2"))
        finally:
            vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60",
                      {"ids": [port_id(1), port_id(2)]})  # fmt: skip
            if name in os.listdir("/sys/class/net"):
                _tap(name, persist=False)


def test_the_destination_of_a_migration_stays_closed_until_its_binding_is_active(
    vifd: Vifd, ovs: PrivateOvs
) -> None:
    """Its neighbours here reach the guest where it still runs: no frame for it ends here."""
    vifd.start()
    vifd.ready()
    body = network(1, port__binding_profile={"migrating_to": "here"})
    del body["role"]
    vifd.call("PUT", f"/v1/ports/{port_id(1)}/network", body)
    status, port = vifd.call("PUT", instance(1), compute(1))
    assert (status // 100, port["phase"], port["status"]) == (2, "READY", "DOWN")
    assert port["waits"] == [
        "waits for the network service: whether this host's binding is active is not known yet"
    ]
    status, port = vifd.call("POST", f"/v1/ports/{port_id(1)}/activate?wait=active", None)
    assert (port["phase"], port["waits"]) == ("LIVE", [])
