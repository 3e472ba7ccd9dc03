"""The port of a real guest with an open connection changes its back end: from nova's hybrid
plugging onto the switch and back, and from there to a bridge of the kernel and back. It is the same
guest all the time; it also sends what it may not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from functional.movescene import left_on_bridges, left_on_switch
from support import stockhybrid
from support.leaving import nothing_left
from support.moving import wire
from support.moving.figures import MAC, longest
from support.moving.move import TAP
from support.moving.wire import Seen
from support.moving.world import MTU, Mover, World
from unit.docs import port_id
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt", "module:os_vif")

PORT = port_id(1)
PATH = f"/v1/ports/{PORT}"
BRIDGE, INNER, OUTER, _ = stockhybrid.names(PORT)
#: To the physical network, for bridges of the kernel.
CARD = "eth2"
OPTIONS: dict[str, Any] = {
    "plugins": {"enabled_plugins": "ovs,linuxbridge"},
    "linuxbridge": {"physical_interface_mappings": f"physnet1:{CARD}"},
    "garbage": {"grace": 0.1, "interval": 0},
}
#: A busy machine may hold up a guest under TCG for longer than a move takes: so often one is tried.
TRIES = 4
SECOND = 1000.0


class HybridGuest(Mover):
    """As nova defines one: libvirt makes its tap, and puts it on the bridge of its port."""

    def __init__(self, world: World) -> None:
        vif = {"type": "bridge", "mac_address": MAC, "model": "virtio", "mtu": MTU}
        super().__init__(world.hosts[0].host, 1, vif)
        self._line += " vifd.lies=10.0.0.66"

    def _end(self) -> str:
        return f"<source bridge='{BRIDGE}'/><target dev='{TAP}'/>"


class Here(World):
    """One host with a card for each back end, and a port that nova plugged there."""

    def __init__(self, disk: Path) -> None:
        super().__init__(disk, "flat", lambda _number: OPTIONS, [1])
        (self.host,) = self.hosts
        self.host.cables[CARD] = ("uplink", "x1")
        self.host.prepare = self._as_nova_has_it

    def _as_nova_has_it(self) -> None:
        # the host's IP filters leave bridged frames alone
        each = "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done"
        self.host.host.run("sh", "-c", each)
        stockhybrid.stock_bridge(self.host.ovs, "br-up")
        stockhybrid.plug(self.host.ovs, PORT, MAC, MTU, self.host.host.enter)

    def guest(self) -> Any:
        self.machine = HybridGuest(self)
        self.third.talk()
        domain = self.start_guest()
        self.host.write_down("eth0", CARD, TAP)
        return domain

    # --- what is seen ---

    def goes_on(self) -> None:
        """It is reached from now on, and its connection is the one that it had."""
        heard = self.third.listening()
        sent, talked = len(heard.sent), len(heard.tcp)
        until(lambda: any(n > sent + 20 for n, _ in self.third.listening().answers[-9:]),
              "it is reached")  # fmt: skip
        until(lambda: len(self.third.listening().tcp) > talked + 20, "its connection goes on")
        assert self.third.listening().ends == []

    def lies(self, since: float, until_: float = float("inf")) -> tuple[int, int]:
        """Of what the guest may not send: how much it sent in a time, and how much passed."""
        found = [one for one in wire.read(self.host.seen)
                 if since < one.at < until_ and one.source == MAC and _asks(one)]  # fmt: skip
        sent = sum(one.device == TAP and not one.out for one in found)
        return sent, sum(one.device != TAP and one.out for one in found)

    def refused(self, since: float) -> None:
        """It sent what it may not, and nothing of that passed."""
        until(lambda: self.lies(since)[0] > 0, "it sends what it may not")
        self.goes_on()
        assert self.lies(since)[1] == 0

    def devices(self) -> set[str]:
        names = self.host.host.run("ip", "-brief", "link").split()
        return {name.partition("@")[0] for name in names} & {BRIDGE, INNER, OUTER, TAP}


def _asks(one: Seen) -> bool:
    """Everything else that it sends is an answer, or of its connection."""
    return one.kind.startswith("request:")


class Change(NamedTuple):
    """What one change of the back end was like; milliseconds.

    :param told: vifd's own figure; 0 where none is asked for
    :param refused: frames that the guest may not send and sent meanwhile
    """

    what: str
    gap: float
    told: float
    tcp: float
    refused: int
    passed: int

    @property
    def short(self) -> bool:
        return max(self.gap, self.told) < SECOND


def changed(world: Here, what: str, call: Callable[[], Any]) -> Change:
    """Change it while the guest is talked with."""
    world.goes_on()
    began = time.time()
    answer = call()
    ended = time.time()
    world.goes_on()
    heard = world.third.listening()
    gap, tcp = (
        longest([at for at in times if at > began - 0.5])[0] * 1000
        for times in ([at for _, at in heard.answers], heard.tcp)
    )
    told = answer["gap_ms"] if answer else 0.0
    # where no frame came for a second after it, vifd tells none
    told = float("inf") if told is None else told
    one = Change(what, gap, told, tcp, *world.lies(began, ended))
    print(f"{what}: gap {gap:.0f} ms (told: {told:.0f}), tcp silent for {tcp:.0f} ms, "
          f"{one.refused} frames that are refused, {one.passed} passed")  # fmt: skip
    return one


@pytest.fixture
def world() -> Iterator[Here]:
    with nothing_left("m-") as directory, Here(directory) as made:
        made.up()
        made.guest()
        yield made


def move(world: Here, target: str, **more: Any) -> Any:
    """Its answer."""
    body = {"to": target, **more}
    status, answer = world.host.vifd.call("POST", f"{PATH}/backend?timeout=60", body)
    assert (status, answer.get("done"), answer.get("left")) == (200, True, ""), answer
    port = world.host.port()
    assert (port["plugin"], port["phase"], port["status"]) == (target, "LIVE", "ACTIVE")
    assert port["findings"] == []
    return answer


def onto_the_switch(world: Here) -> Any:
    """From nova's hybrid plugging."""
    wanted = world.host.wanted("ACTIVE")

    def known() -> bool:
        body = {"to": "ovs", "document": wanted, "dry_run": True}
        answer = world.host.vifd.call("POST", f"{PATH}/backend", body)[1]
        return bool(answer.get("code") != "E_ADOPT_ABSENT")

    until(known, "vifd has heard of it")
    return move(world, "ovs", document=wanted)


def given_back(world: Here) -> None:
    """It is nova's again."""
    status, answer = world.host.vifd.call("POST", f"{PATH}/release?wait=gone&timeout=60", {})
    assert status == 204, answer


def test_a_real_guest_keeps_its_connection_on_every_way(world: Here) -> None:
    host, began = world.host, time.time()
    until(lambda: world.lies(began)[1] > 0, "nobody refuses what it sends while it is nova's")
    hybrid_and_back(world)
    onto_the_switch(world)
    served = time.time()
    bridge_and_back(world)
    world.refused(served)
    assert host.vifd.get("/v1/garbage")["orphans"] == []
    assert not world.machine.gave_up


def hybrid_and_back(world: Here) -> None:
    """Nothing of it is left on the switch, and all of it is there again afterwards."""
    ports = world.host.ovs.vsctl("list-ports", "br-int").split()
    best: list[list[Change]] = [[], []]
    for _ in range(TRIES):
        best[0].append(changed(world, "hybrid to native", lambda: onto_the_switch(world)))
        served = time.time()
        assert world.devices() == {TAP}
        now = world.host.ovs.vsctl("list-ports", "br-int").split()
        assert OUTER not in now
        assert TAP in now
        world.refused(served)
        best[1].append(changed(world, "native to hybrid", lambda: given_back(world)))
        assert world.devices() == {BRIDGE, INNER, OUTER, TAP}
        assert set(world.host.ovs.vsctl("list-ports", "br-int").split()) >= set(ports)
        assert TAP not in world.host.ovs.vsctl("list-ports", "br-int").split()
        assert MAC not in world.host.ovs.ofctl("dump-flows", "br-int", "--no-stats")
        if all(any(one.short for one in way) for way in best):
            return
    raise AssertionError(f"none was short: {best}")


def bridge_and_back(world: Here) -> None:
    """Nothing is left on the one that it left, each time."""
    best: list[list[Change]] = [[], []]
    host = world.host
    for _ in range(TRIES):
        best[0].append(changed(world, "Open vSwitch to Linux bridge",
                               lambda: move(world, "linuxbridge")))  # fmt: skip
        assert left_on_switch(host.ovs) == []
        best[1].append(changed(world, "Linux bridge to Open vSwitch", lambda: move(world, "ovs")))
        assert left_on_bridges(TAP, lambda *argv: host.host.attempt(*argv).stdout) == []
        assert world.devices() == {TAP}
        if all(any(one.short for one in way) for way in best):
            return
    raise AssertionError(f"none was short: {best}")
