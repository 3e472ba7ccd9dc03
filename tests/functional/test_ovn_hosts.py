"""Two hosts that one OVN wires: guests reach each other through its tunnel, and a port is ACTIVE on
the one host that OVN has it on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.test_ovn import OPTIONS, doc, logical, tap
from support import ovn
from unit.docs import port_id
from vifd.testing import frames
from vifd.testing.crafted import rarp
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.netns import Namespace, link_up
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("tun")

UNDERLAY = "192.0.2"


class Node:
    """A chassis with a daemon of vifd, in a namespace or in the test's own.

    :param number: the last byte of its tunnel endpoint's address
    :param run: makes a call in the node's namespace
    """

    central: ovn.Central

    def __init__(self, number: int, ovs: PrivateOvs, remote: str, place: Path, run: Any) -> None:
        self.name, self.address, self.run = f"node{number}", f"{UNDERLAY}.{number}", run
        self.ovs = ovs
        self.chassis = ovn.Chassis(ovs, remote, self.name, self.address)
        self.vifd = Vifd(place, ovs, OPTIONS)
        self.vifd.configure(self.chassis.options())

    def start(self, nic: str) -> None:
        """Give it its way to the underlay: the userspace datapath wants it on a bridge."""
        self.ovs.vsctl("add-br", "br-phys", "--", "set", "Bridge", "br-phys",
                       OF_DATAPATH, "--", "add-port", "br-phys", nic)  # fmt: skip
        self.run(self._address)
        self.ovs.appctl("ovs/route/add", f"{UNDERLAY}.0/24", "br-phys")
        self.run(self.chassis.start)
        self.run(self.vifd.start)
        self.vifd.ready()

    def _address(self) -> None:
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="br-phys")
            netlink.addr("add", index=index, address=self.address, prefixlen=24)
        link_up("br-phys")

    def plug(self, number: int, **changes: Any) -> tuple[int, dict[str, Any]]:
        status, answer = self.vifd.plug(doc(number, **changes))
        return status, dict(answer)

    def status(self, number: int) -> str:
        return str(self.vifd.get(f"/v1/ports/{port_id(number)}")["status"])

    def guest(self, number: int) -> TapGuest:
        guest: TapGuest = self.run(TapGuest, tap(number))
        self.ovs.wait_for_carrier(tap(number))
        return guest

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for part in (self.chassis, self.vifd):
                stack.callback(part.close)
            self.vifd.clear()


@pytest.fixture
def nodes(ovs: PrivateOvs, far: Namespace) -> Iterator[tuple[Node, Node]]:
    if reason := ovn.lacking():
        pytest.skip(f"needs ovn: {reason}")
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vo-")))
        central = ovn.Central(place / "c")
        stack.callback(central.close)
        central.start()
        central.switch("net1", *(logical(n) for n in (1, 2)))
        other = PrivateOvs(place / "o")
        stack.callback(other.close)
        far.run(other.start)
        far.veth("u1", "u2")

        def here(call: Any, *arguments: Any) -> Any:
            return call(*arguments)

        one = Node(1, ovs, central.remote, place / "v1", here)
        two = Node(2, other, central.remote, place / "v2", far.run)
        one.central = two.central = central
        for node, nic in ((one, "u1"), (two, "u2")):
            stack.callback(node.close)
            node.start(nic)
        yield one, two


def asks(sender: TapGuest, receiver: TapGuest, number: int) -> None:
    """An ARP request for nobody's address arrives. The tunnel's first frames may be lost while the
    hosts look for each other, as on any network: it is sent until it arrives."""
    _, mac, address = logical(number)
    frame = frames.arp_request(mac, address, "10.0.0.99")

    def arrived() -> bool:
        sender.send(frame)
        return any(got == frame for got in receiver.drain())

    until(arrived, f"the frame of {sender.name} reaches {receiver.name}")


def test_guests_of_two_hosts_reach_each_other(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    assert one.plug(1)[1]["status"] == "ACTIVE"
    assert two.plug(2)[1]["status"] == "ACTIVE"
    with contextlib.closing(one.guest(1)) as first, contextlib.closing(two.guest(2)) as second:
        asks(first, second, 1)
        asks(second, first, 2)


def test_an_inactive_binding_does_not_take_the_port_away(nodes: tuple[Node, Node]) -> None:
    """The destination of a live migration: plugged, closed, and the guest goes on where it is.
    Activation moves the port."""
    one, two = nodes
    one.plug(1)
    two.plug(2)
    path = f"/v1/ports/{port_id(1)}"
    status, answer = two.vifd.call("PUT", f"{path}?timeout=60", doc(1, role="INACTIVE"))
    assert status in (200, 201, 202), answer
    until(lambda: two.vifd.get(path)["phase"] == "READY", "the destination is ready",
          told=lambda: two.vifd.get(path))  # fmt: skip
    assert one.status(1) == "ACTIVE"
    assert aspects(two, one.vifd.get(path)) == set()
    unlike = one.vifd.get(path)
    unlike["document"]["fixed_ips"] = []
    unlike["vif"]["queues"] = 4
    assert aspects(two, unlike) == {"addresses", "queues"}
    with contextlib.closing(one.guest(1)) as first, contextlib.closing(two.guest(2)) as second:
        asks(first, second, 1)
        asks(second, first, 2)
    one.vifd.call("POST", f"{path}/deactivate?timeout=60")
    two.vifd.call("POST", f"{path}/activate?wait=active&timeout=60")
    until(lambda: two.status(1) == "ACTIVE", "it is active where it was moved to")
    until(lambda: moves(two) == [("done", "api", port_id(1))], "the move is on record")
    with contextlib.closing(two.guest(1)) as first, contextlib.closing(two.guest(2)) as second:
        asks(first, second, 1)


def moves(node: Node) -> list[tuple[str, str, str]]:
    """Those to this host: what became of them, who said it first, the port."""
    known = node.vifd.get("/v1/migrations")["migrations"]
    return [(one["state"], one["trigger"], one["port"]) for one in known]


def aspects(node: Node, source: dict[str, Any]) -> set[str]:
    """What speaks against a move of port 1 to this host."""
    status, answer = node.vifd.call("POST", f"/v1/ports/{port_id(1)}/precheck", source)
    assert status == 200, answer
    assert answer["ok"] is not bool(answer["reasons"])
    return {reason["facts"]["aspect"] for reason in answer["reasons"]}


def test_ovn_itself_holds_the_destination_closed_until_the_guest_speaks(
    nodes: tuple[Node, Node],
) -> None:
    """With ``activation-strategy=rarp``: wired before its binding is active, open with the first
    RARP of the guest, which nobody has to wait for."""
    one, two = nodes
    one.plug(1)
    two.plug(2)
    one.central.nbctl("lsp-set-options", port_id(1), "requested-chassis=node1,node2",
                      "activation-strategy=rarp")  # fmt: skip
    held = f"logical_port={port_id(1)}"
    until(lambda: "rarp" in one.central.sbctl("find", "Port_Binding", held), "OVN knows of it")
    path = f"/v1/ports/{port_id(1)}"
    two.vifd.call("PUT", f"{path}?timeout=60", doc(1, role="INACTIVE"))
    until(lambda: two.vifd.get(path)["phase"] == "READY", "the destination is ready",
          told=lambda: two.vifd.get(path))  # fmt: skip
    named = two.ovs.vsctl("get", "Interface", tap(1), "external_ids:iface-id")
    assert named.strip().strip('"') == port_id(1)
    until(
        lambda: "true" in two.ovs.vsctl("get", "Interface", tap(1), "external_ids"), "it is wired"
    )
    assert one.status(1) == "ACTIVE"
    assert two.status(1) == "DOWN"
    with (
        contextlib.closing(one.guest(1)) as source,
        contextlib.closing(two.guest(1)) as destination,
        contextlib.closing(two.guest(2)) as neighbour,
    ):
        asks(source, neighbour, 1)
        _, mac, address = logical(1)
        lie = frames.arp_request(mac, address, "10.0.0.98")
        destination.send(lie)
        asks(source, neighbour, 1)
        assert lie not in neighbour.drain(), "the guest runs elsewhere"
        assert destination.drain() == []
        # It has moved: QEMU announces it.
        destination.send(rarp(3, mac))
        asks(destination, neighbour, 1)
        asks(neighbour, destination, 2)
        two.vifd.call("POST", f"{path}/activate?wait=active&timeout=60")
        until(lambda: two.status(1) == "ACTIVE", "the network service said so as well",
              told=lambda: two.vifd.get(path))  # fmt: skip
        asks(destination, neighbour, 1)
