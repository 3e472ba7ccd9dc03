"""Real guests of a real libvirt on a host that loses its power, and what else happens to them.

One host and its two guests serve all tests; the guests ping each other through the daemon's flows.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.leaving import nothing_left
from unit.docs import document, port_id
from vifd.testing.bootable import Host, Machine
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt")

#: The numbers of the guests.
PAIR = (1, 2)


class World:
    """A host, two ports, and a guest on each."""

    def __init__(self, disk: Path) -> None:
        self.host = Host(disk)
        self.host.install_hook()
        self.guests: dict[int, Machine] = {}
        self._connections: list[Any] = []

    def build(self) -> None:
        """Plug the ports and start the guests for the first time."""
        self.boot_network()
        for number, peer in (PAIR, PAIR[::-1]):
            status, port = self.host.vifd.plug(document(number))
            assert status == 201, port
            self.guests[number] = Machine(self.host, number, peer, port["vif"])
        self.host.libvirtd.start()
        connection = self.connect()
        for guest in self.guests.values():
            guest.define(connection, autostart=True).create()
        self.all_answer()

    def boot_network(self) -> None:
        """Power on; the switch and vifd start, and nothing else does."""
        self.host.boot()
        self.host.ovs.start()
        self.host.vifd.start()
        self.host.vifd.ready()

    def connect(self) -> Any:
        """A connection to its libvirt."""
        self._connections.append(self.host.connection())
        return self._connections[-1]

    def cut(self) -> None:
        self.disconnect()
        self.host.cut()

    def disconnect(self) -> None:
        import libvirt

        while self._connections:
            with contextlib.suppress(libvirt.libvirtError):
                self._connections.pop().close()

    def domain(self, number: int) -> Any:
        """A guest, asked of libvirt itself."""
        return self.connect().lookupByUUIDString(self.guests[number].id)

    def both_run(self) -> None:
        """Start a guest that another test left off."""
        for number in PAIR:
            domain = self.domain(number)
            if not domain.isActive():
                domain.create()
        self.all_answer()

    def all_answer(self) -> None:
        for guest in self.guests.values():
            guest.answered()

    def port(self, number: int) -> Any:
        return self.host.vifd.get(f"/v1/ports/{port_id(number)}")

    def findings(self, number: int) -> list[str]:
        return [fact["fact"] for fact in self.port(number)["findings"]]

    def hypervisor(self) -> Any:
        return self.host.vifd.get("/v1/status")["hypervisor"]

    def log(self) -> str:
        """What vifd logged since its last start."""
        return self.host.vifd.log.rpartition("API on ")[2]

    def close(self) -> None:
        self.disconnect()
        self.host.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with nothing_left("h-") as directory:
        made = World(directory)
        try:
            made.build()
            yield made
        finally:
            made.close()


def test_after_a_power_cut_guests_come_up_with_no_other_service(world: World) -> None:
    """No compute and no network service: the journal knows the ports, libvirt its guests."""
    world.cut()
    world.boot_network()
    # Ready means that the devices are there, before libvirt looks for them.
    assert {world.port(n)["phase"] for n in PAIR} == {"LIVE"}
    assert "tap00000001-00" in world.host.run("ip", "-brief", "link")
    assert world.hypervisor()["connected"] is False
    world.host.libvirtd.start()
    world.all_answer()
    until(lambda: world.hypervisor()["guests_running"] == 2, "vifd knows that they run")
    assert "started guest" not in world.log()


def test_libvirt_first_then_vifd_starts_what_failed(world: World) -> None:
    world.cut()
    world.host.boot()
    world.host.libvirtd.start()
    domains = [world.domain(number) for number in PAIR]
    failed = [5, 6]  # VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED
    until(lambda: [d.state() for d in domains] == [failed, failed], "their autostart failed")
    world.host.ovs.start()
    world.host.vifd.start()
    world.all_answer()
    for number in PAIR:
        guest = world.guests[number]
        said = f"started guest {guest.name} ({guest.id}): its autostart had failed"
        until(lambda said=said: said in world.log(), said)  # type: ignore[misc]


def test_a_guest_that_was_shut_down_stays_so_when_vifd_starts_again(world: World) -> None:
    world.both_run()
    world.domain(1).destroy()
    until(lambda: world.hypervisor()["guests_running"] == 1, "vifd has heard of it")
    world.host.vifd.kill()
    began = time.time()
    world.host.vifd.start()
    until(lambda: world.hypervisor()["connected"], "vifd has found libvirt again")
    # What would be started, would be within half a second: once the other guest's port was proven.
    until(lambda: world.port(2)["checked_at"] > began, "the ports are proven")
    until(lambda: time.time() > began + 1.5, "a round of looking for guests is over")
    assert not world.domain(1).isActive()
    assert world.domain(2).isActive()


def test_a_tap_deleted_under_a_guest_is_found_and_repaired_on_request(world: World) -> None:
    world.both_run()
    host, port = world.host, port_id(1)
    before = interface_xml(world.domain(1))
    host.run("ip", "link", "delete", "tap00000001-00")
    until(lambda: world.findings(1) == ["guest.device"], "vifd finds that the guest lost it")
    until(lambda: world.port(1)["phase"] == "DEGRADED", "it is degraded")
    found = world.port(1)
    assert found["status"] == "ERROR", "made again, and no frame of the guest passes"
    (fact,) = found["findings"]
    assert "guest1 runs, and does not have tap00000001-00 open" in fact["have"]
    assert "vifctl port repair" in fact["wanted"]
    assert host.vifd.get(f"/v1/ports/{port}/explain")["broken"] == "guest"
    # vifd made the device again, and does not touch the guest by itself
    assert "NO-CARRIER" in host.run("ip", "link", "show", "tap00000001-00")

    status, done = host.vifd.call("POST", f"/v1/ports/{port}/repair?timeout=60")
    assert (status, done["done"]) == (200, True), done
    assert "was taken out of guest guest1 and put back" in done["text"]
    assert (done["port"]["phase"], done["port"]["findings"]) == ("LIVE", [])
    assert done["port"]["status"] == "ACTIVE"
    assert interface_xml(world.domain(1)) == before
    world.all_answer()

    status, again = host.vifd.call("POST", f"/v1/ports/{port}/repair?timeout=60")
    assert (status, again["done"]) == (200, False)
    assert "nothing was done" in again["text"]
    assert world.port(2)["phase"] == "LIVE"


def interface_xml(domain: Any) -> str:
    text = str(domain.XMLDesc(0))
    return text[text.index("<interface") : text.index("</interface>")]


def test_libvirt_killed_costs_the_ports_nothing_and_is_found_again(world: World) -> None:
    world.both_run()
    host = world.host
    host.libvirtd.kill()
    until(lambda: not world.hypervisor()["connected"], "vifd has noticed")
    assert world.hypervisor()["problem"]
    assert world.hypervisor()["guests_running"] == 2
    status, error = host.vifd.call("POST", f"/v1/ports/{port_id(1)}/repair")
    assert (status, error["code"]) == (503, "E_GUEST_HYPERVISOR")
    assert {world.port(n)["phase"] for n in PAIR} == {"LIVE"}
    status, port = host.vifd.plug(document(3))
    assert (status, port["phase"]) == (201, "LIVE")
    assert host.vifd.unplug(port_id(3))[0] == 204
    host.libvirtd.start()
    until(lambda: world.hypervisor()["connected"], "vifd has found it again")
    world.all_answer()


# --- the hook -------------------------------------------------------------------------------------


def test_the_hook_has_the_device_made_that_is_missing(world: World) -> None:
    world.both_run()
    host = world.host
    domain = world.domain(1)
    domain.destroy()
    # vifd cannot see it go, nor make it again by itself
    host.vifd.process.pause()
    host.run("ip", "link", "delete", "tap00000001-00")
    started: list[object] = []
    starting = threading.Thread(target=lambda: started.append(domain.create()))
    starting.start()
    starting.join(1.0)
    assert starting.is_alive(), "libvirt waits for the hook, and the hook for vifd"
    host.vifd.process.resume()
    starting.join(60.0)
    assert started == [0]
    until(lambda: "is about to start" in world.log(), "it is in the log")
    world.all_answer()


def test_a_device_that_cannot_be_made_stops_the_start_with_the_reason(world: World) -> None:
    import libvirt

    world.both_run()
    host = world.host
    domain = world.domain(1)
    domain.destroy()
    host.vifd.process.pause()
    host.run("ip", "link", "delete", "tap00000001-00")
    host.run("ip", "link", "add", "tap00000001-00", "type", "veth", "peer", "name", "foreign")
    threading.Timer(0.5, host.vifd.process.resume).start()
    with pytest.raises(libvirt.libvirtError, match="vifd: tap00000001-00: E_") as refused:
        domain.create()
    assert "Next:" in str(refused.value)
    host.run("ip", "link", "delete", "tap00000001-00")
    until(lambda: world.port(1)["phase"] == "LIVE", "vifd has made it again")


def test_guests_without_a_port_of_ours_start_while_vifd_is_away(world: World) -> None:
    import libvirt

    host = world.host
    host.vifd.kill()
    host.run("ip", "tuntap", "add", "other0", "mode", "tap")
    vif = {"type": "ethernet", "managed": False, "device": "other0", "model": "virtio",
           "mac_address": "52:54:00:00:00:09", "mtu": 1500}  # fmt: skip
    other = Machine(host, 9, 8, vif)
    domain = world.connect().createXML(other.xml(), libvirt.VIR_DOMAIN_START_PAUSED)
    assert domain.isActive()
    domain.destroy()
    host.run("ip", "link", "delete", "other0")
    host.vifd.start()
    host.vifd.ready()


_TARGET = "<target dev='tap00000003-00' managed='no'/>"
_OVS = "<source bridge='br-int'/><virtualport type='openvswitch'/>"
#: Definitions that are not what vifd answered for the port: what libvirt makes of them.
MISTAKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "the tap is libvirt's to make": (
        lambda xml: xml.replace(_TARGET, _TARGET.replace(" managed='no'", "")), "already exists",
    ),
    "libvirt plugs it into the switch": (
        lambda xml: xml.replace("type='ethernet'", "type='bridge'").replace(
            _TARGET, _OVS + _TARGET.replace(" managed='no'", "")
        ), ".",
    ),
    "more queues than the tap has": (
        lambda xml: xml.replace("<model type='virtio'/>",
                                "<model type='virtio'/><driver name='qemu' queues='4'/>"), ".",
    ),
    "a tap of another name": (lambda xml: xml.replace("tap00000003-00", "tap-nobody"), "dev"),
}  # fmt: skip


def test_a_guest_that_is_defined_otherwise_costs_its_port_nothing(world: World) -> None:
    """libvirt refuses it, and deletes our tap or our port of the switch in some cases on its way:
    they are back before anybody asks, and the neighbours' are left alone."""
    import libvirt

    status, port = world.host.vifd.plug(document(3))
    assert status == 201, port
    xml = Machine(world.host, 3, 1, port["vif"]).xml()
    assert _TARGET in xml
    for case, (mistaken, why) in MISTAKEN.items():
        with pytest.raises(libvirt.libvirtError, match=why):
            world.connect().createXML(mistaken(xml), 0)
        until(lambda: whole(world), f"the port is as it was: {case}")
    assert [world.port(n)["phase"] for n in PAIR] == ["LIVE", "LIVE"]
    world.host.vifd.unplug(port_id(3))


def whole(world: World) -> bool:
    """Whether port 3 has all that it needs, by what others say of it."""
    tap = "tap00000003-00"
    link = tap in world.host.run("ip", "-brief", "link")
    plugged = tap in world.host.ovs.vsctl("list-ports", "br-int").split()
    port = world.port(3)
    return link and plugged and port["phase"] == "LIVE" and not port["findings"]
