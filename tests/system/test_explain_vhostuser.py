"""``port explain`` on vhost-user ports that were broken by hand, on a real Open vSwitch with DPDK:
the first broken step is the cause. A real guest is connected, and the daemon repairs nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from system.test_vhostuser import LARGE, World
from unit.docs import document, port_id
from vifd.testing.wait import PATIENCE, Expired, until

pytestmark = pytest.mark.needs("dpdk", "vm", "tun")

FROZEN = {"repair": "false", "check_interval": 0, "verify_timeout": 20}
DEVICE = f"vhu{port_id(1)[:11]}"
INSTANCE = {"id": "00000000-0000-4000-8000-0000000000aa", "flavor_extra_specs": LARGE}


class Frozen(World):
    """A port with a guest; what is broken stays broken until somebody asks for the port anew."""

    def start(self) -> None:
        self.vifd.configure({"engine": FROZEN})
        super().start()
        self.vhost(1)
        self.guest = self.vm(1, peer=2)
        self.connected()

    def connected(self) -> None:
        until(self.is_connected, "the guest is connected")

    def is_connected(self) -> bool:
        return self.facts(1).get("vhost.link_state") == "up"

    def meet(self) -> None:
        """Wait for the guest. A switch that restarts may miss a guest that connects meanwhile; a
        daemon that repairs adds the port once more, this one does not."""
        try:
            until(self.is_connected, "the guest is connected", PATIENCE)
        except Expired:
            self.vsctl("del-port", DEVICE)
            self.heal()
            self.connected()

    def facts(self, number: int) -> dict[str, Any]:
        """Read now."""
        steps = self.explain()["steps"]
        return {e["fact"]: e["have"] for s in steps for e in s["facts"]}

    def explain(self) -> dict[str, Any]:
        return dict(self.vifd.get(f"/v1/ports/{port_id(1)}/explain"))

    def heal(self) -> None:
        """What is asked for is carried out although nothing is repaired."""
        self.ovs.start()
        until(lambda: self.vifd.get("/v1/status")["ready"], "vifd answers")

        def healed() -> bool:
            wanted = document(1, instance=INSTANCE) | {"plugin": "vhostuser"}
            for name in ("broken", "healed"):
                wanted["port"] = {**wanted["port"], "name": name}
                self.vifd.plug(wanted)
            return bool(self.explain()["healthy"])

        until(healed, "the port is as wanted", told=lambda: self.explain()["sentence"])

    def vsctl(self, *arguments: str) -> None:
        self.ovs.vsctl(*arguments)


@pytest.fixture(scope="module")
def frozen(isolated: None) -> Iterator[Frozen]:
    with tempfile.TemporaryDirectory(prefix="vx-") as directory:
        made = Frozen(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.close()


def port_removed(world: Frozen) -> None:
    world.vsctl("del-port", DEVICE)


def tag_changed(world: Frozen) -> None:
    world.vsctl("set", "Port", DEVICE, "tag=77")


def number_changed(world: Frozen) -> None:
    world.vsctl("set", "Interface", DEVICE, "ofport_request=99")


def socket_elsewhere(world: Frozen) -> None:
    world.vsctl("set", "Interface", DEVICE, "options:vhost-server-path=/nowhere/vhu")


def mtu_changed(world: Frozen) -> None:
    world.vsctl("set", "Interface", DEVICE, "mtu_request=1300")


def flow_deleted(world: Frozen) -> None:
    number = world.port(1)["wiring"]["details"]["ofport"]
    world.ovs.ofctl("del-flows", "br-int", f"table=120,in_port={number}")


def flows_deleted(world: Frozen) -> None:
    world.ovs.ofctl("del-flows", "br-int")


def switch_dead(world: Frozen) -> None:
    world.ovs.vswitchd.kill()


def database_dead(world: Frozen) -> None:
    world.ovs.ovsdb.kill()


def bridge_deleted(world: Frozen) -> None:
    world.vsctl("del-br", "br-int")


@pytest.mark.parametrize(
    ("breaks", "step", "words"),
    [
        (port_removed, "port", ("no port", DEVICE)),
        (tag_changed, "port", ("77",)),
        (number_changed, "port", ("99",)),
        (socket_elsewhere, "port", ("/nowhere/vhu",)),
        (mtu_changed, "port", ("1300", "1450")),
        (flow_deleted, "flows", ("table=120",)),
        (flows_deleted, "flows", ("missing",)),
        (switch_dead, "switch", ("ovs-vswitchd", "br-int")),
        (database_dead, "switch", ("ovsdb-server",)),
        (bridge_deleted, "switch", ("br-int", "does not exist")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_broken_step(
    frozen: Frozen, breaks: Callable[[Frozen], None], step: str, words: tuple[str, ...]
) -> None:
    found = frozen.explain()
    assert (found["healthy"], found["broken"]) == (True, None), found["sentence"]
    try:
        breaks(frozen)

        def named() -> dict[str, Any]:
            """Not at once: a device that is made anew is down for a moment."""
            found = frozen.explain()
            told = all(word in found["sentence"] for word in words)
            return found if found["broken"] == step and told else {}

        found = until(named, f"{step} is named", told=lambda: frozen.explain()["sentence"])
        # who is known to be away is asked no more, and that says who
        assert found["asked"] or (step == "switch" and words[0] in found["unasked"])
        assert found["hint"]
    finally:
        frozen.heal()
        frozen.meet()


def step(found: dict[str, Any], name: str) -> dict[str, Any]:
    (chosen,) = (s for s in found["steps"] if s["name"] == name)
    return dict(chosen)


def test_the_guest(frozen: Frozen) -> None:
    """What lies with the guest; runs last, because the guest ends."""
    assert frozen.explain()["healthy"]
    socket = Path(frozen.port(1)["vif"]["socket_path"])

    socket.unlink()
    found = frozen.explain()
    assert found["healthy"]
    assert "was deleted" in step(found, "device")["sentence"]

    frozen.ovs.vswitchd.kill()
    frozen.ovs.start()
    until(lambda: frozen.explain()["broken"] == "device", "the socket is named",
          told=lambda: frozen.explain()["sentence"])  # fmt: skip
    found = frozen.explain()
    assert str(socket) in found["sentence"]
    assert "deleted under its guest" in found["sentence"]
    assert "port repair" in found["hint"]

    frozen.guest.close()
    frozen.guests.remove(frozen.guest)
    frozen.heal()  # the flows, which the switch lost
    found = frozen.explain()
    assert "makes its socket" in step(found, "device")["sentence"]
    assert "waiting for guest" in step(found, "guest")["sentence"]

    private = frozen.vm(1, peer=2, memory="private")
    until(lambda: frozen.explain()["broken"] == "guest", "the guest's memory is named",
          told=lambda: frozen.explain()["sentence"])  # fmt: skip
    found = frozen.explain()
    assert "private, 96 MiB" in found["sentence"]
    assert "hw:mem_page_size" in found["hint"]
    private.close()
    frozen.guests.remove(private)

    socket.unlink(missing_ok=True)
    socket.write_text("in the way")
    until(lambda: frozen.explain()["broken"] == "device", "the file is named",
          told=lambda: frozen.explain()["sentence"])  # fmt: skip
    assert "no socket" in frozen.explain()["sentence"]
    socket.unlink()
    until(lambda: frozen.explain()["healthy"], "all is well again")
