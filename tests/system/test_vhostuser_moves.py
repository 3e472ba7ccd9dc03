"""A guest on a vhost-user port moves to another one, with QEMU and the switch as they are on a host
with DPDK.

Both ports are on one machine, and so on two networks, or their MAC would be there twice. Nobody
says that the guest has arrived but its first frame, which the switch makes for it (vhost-user's
SEND_RARP) or which it sends itself.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from system.echo import EchoGuest
from system.test_vhostuser import LARGE, World, _instance, a_world
from unit.docs import document
from vifd.testing.census import Census
from vifd.testing.vm import Vm
from vifd.testing.wait import PATIENCE, until

pytestmark = pytest.mark.needs("dpdk", "vm", "tun")

#: Of the place that the guest moves to.
ELSEWHERE = "0d1e0000-0000-4000-8000-000000000002"
HERE, PEER, THERE, PEER_THERE = 1, 2, 3, 4
MAC, PEER_MAC = (str(document(n)["port"]["mac_address"]) for n in (HERE, PEER))


@pytest.fixture
def world(leaks: Census) -> Iterator[World]:
    with a_world() as made:
        made.vifd.stop()
        made.vifd.configure({"migration": {"guest_frames": "true"}})
        made.vifd.start()
        made.vifd.ready()
        yield made


def ask(path: Path, command: str, **arguments: Any) -> Any:
    """QEMU's answer to one command."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()
        _said(stream, "qmp_capabilities", {})
        return _said(stream, command, arguments)


def _said(stream: IO[str], command: str, arguments: dict[str, Any]) -> Any:
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if {"return", "error"} & answer.keys():
            return answer["return"]


def guest(world: World, number: int, *more: str) -> Vm:
    """QEMU on the socket of a port."""
    control = f"unix:{world.directory}/q{number},server=on,wait=off"
    vm = Vm(
        world.directory / f"vm{number}", socket=world.port(number)["vif"]["socket_path"], mac=MAC,
        address="10.0.0.1/24", peer="10.0.0.2", more=("-qmp", control, *more),
    )  # fmt: skip
    world.guests.append(vm)
    vm.start()
    return vm


def place(world: World) -> None:
    """The closed port that it moves to, and somebody there who answers as here."""
    addresses = [{"ip_address": "10.0.0.1"}]
    status, port = world.plug(
        THERE, "vhostuser", instance=_instance(LARGE), role="INACTIVE", network__id=ELSEWHERE,
        port__mac_address=MAC, fixed_ips=addresses,
    )  # fmt: skip
    assert (status, port["phase"]) == (201, "READY"), port
    status, port = world.plug(
        PEER_THERE, "ovs", network__id=ELSEWHERE, port__mac_address=PEER_MAC,
        fixed_ips=[{"ip_address": "10.0.0.2"}],
    )  # fmt: skip
    assert (status, port["phase"]) == (201, "LIVE"), port
    world.guests.append(EchoGuest(port["vif"]["device"], PEER_MAC, "10.0.0.2"))


def may_move(world: World) -> None:
    """By what its guest and the switch agreed upon; with a feature more, which is off here, not."""
    until(lambda: "VERSION_1" in world.facts(HERE).get("guest.features", ()), "it is read back")
    off = world.facts(THERE)["guest.features.withheld"]
    assert not set(world.facts(HERE)["guest.features"]) & set(off)
    source = world.port(HERE)
    (fact,) = (one for one in source["evidence"] if one["fact"] == "guest.features")
    # both are on one switch, and so on two networks
    of_network = aspects(world, source)
    fact["have"].append("HOST_TSO4")
    assert aspects(world, source) - of_network == {"virtio feature HOST_TSO4"}


def aspects(world: World, source: Any) -> set[str]:
    """What speaks against a move of the guest."""
    there = {**source, "document": world.port(THERE)["document"]}
    path = f"/v1/ports/{world.port(THERE)['id']}/precheck"
    status, answer = world.vifd.call("POST", path, there)
    assert status == 200, answer
    return {reason["facts"]["aspect"] for reason in answer["reasons"]}


def test_a_guest_moves_and_its_own_word_opens_its_port(world: World) -> None:
    world.vhost(HERE)
    world.echo(PEER)
    place(world)
    here = guest(world, HERE)
    until(lambda: here.answers >= 2, "the guest's pings are answered")
    way = world.directory / "way"
    there = guest(world, THERE, "-incoming", f"unix:{way}")
    until(way.exists, "QEMU waits for the guest")
    assert world.port(THERE)["phase"] == "READY"
    assert there.answers == 0
    may_move(world)

    control = world.directory / f"q{HERE}"
    ask(control, "migrate", uri=f"unix:{way}")
    ended = ("completed", "failed", "cancelled")
    until(lambda: ask(control, "query-migrate").get("status") in ended, "it has moved")
    assert ask(control, "query-migrate")["status"] == "completed"
    until(lambda: there.answers >= 2, "the guest's pings are answered there")
    until(lambda: world.port(THERE)["phase"] == "LIVE", "it is on record")
    (move,) = world.vifd.get("/v1/migrations")["migrations"]
    assert move["trigger"] == "guest's frame"
    assert move["port"] == world.port(THERE)["id"]
