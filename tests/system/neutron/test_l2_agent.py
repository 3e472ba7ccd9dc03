"""What Neutron's own functional tests ask of a layer 2 agent, judged by traffic: machines on a host
of vifd and machines beyond its physical bridge."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE, VifdHost
from support.cloud.walker import Machine, Ping
from vifd.testing.sandbox import OF_DATAPATH
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

KINDS: dict[str, dict[str, Any]] = {
    "vlan": {"provider:network_type": "vlan", "provider:segmentation_id": 901},
    "flat": {"provider:network_type": "flat"},
}
#: Ways to end the daemon.
ENDS: dict[str, Callable[[VifdHost], object]] = {
    "told to end": lambda host: host.vifd.stop(),
    "killed": lambda host: host.vifd.kill(),
}


def _switch(host: VifdHost) -> bool:
    host.ovs.vswitchd.kill()
    host.ovs.vswitchd.start()
    return True


def _database(host: VifdHost) -> bool:
    host.ovs.ovsdb.kill()
    host.ovs.ovsdb.start()
    return False


def _both(host: VifdHost) -> bool:
    host.ovs.vswitchd.kill()
    _database(host)
    host.ovs.vswitchd.start()
    return True


#: What is started anew; whether internal ports are other devices afterwards.
AGAIN: dict[str, Callable[[VifdHost], bool]] = {
    "the switch": _switch, "its database": _database, "both": _both,
}  # fmt: skip


class Place:
    """A network, a machine of it on the host, and one beyond the physical bridge."""

    def __init__(self, cloud: Cloud, host: VifdHost, kind: str, stack: ExitStack) -> None:
        self.cloud, self.host, self._stack = cloud, host, stack
        given = {**KINDS[kind], "provider:physical_network": "physnet1"}
        self.network = str(cloud.make("network", name=kind, **given)["id"])
        stack.callback(cloud.remove, "network", self.network)
        subnet = cloud.make("subnet", network_id=self.network, cidr="10.30.0.0/24", ip_version=4,
                            enable_dhcp=False)  # fmt: skip
        stack.callback(cloud.remove, "subnet", subnet["id"])
        self.here = self.machine()
        self.beyond = self._beyond(KINDS[kind].get("provider:segmentation_id"))
        self.reached()

    def machine(self) -> Machine:
        """A port that is bound here, and its machine."""
        port = self.cloud.show("port", self.host.bind(self.network, port_security_enabled=False))
        self._stack.callback(self._remove, port["id"])
        made = Machine(
            self.host.ovs, "br-int", port["id"], f"m{port['id'][:8]}", port["mac_address"],
            port["fixed_ips"][0]["ip_address"],
        )  # fmt: skip
        self._stack.callback(made.close)
        self.host.told(self.network, [port["id"]], "ACTIVE")
        return made

    def _remove(self, port: str) -> None:
        if port in self.cloud.ports(self.network):
            self.cloud.remove("port", port)

    def _beyond(self, vlan: int | None) -> Machine:
        made = Machine(
            self.host.ovs, "br-phys", "nobody", "beyond", "02:00:00:00:99:01", "10.30.0.250"
        )
        self._stack.callback(made.close)
        if vlan is not None:
            self.host.ovs.vsctl("set", "port", "beyond", f"tag={vlan}")
        return made

    def ping(self, one: Machine, two: Machine) -> Ping:
        """Begun; it ends with the test at the latest."""
        made = Ping(one, two)
        self._stack.callback(made.close)
        return made

    def reached(self) -> None:
        """Wait until both reach each other."""
        self._reached(self.here, self.beyond)
        self._reached(self.beyond, self.here)

    def _reached(self, one: Machine, two: Machine) -> None:
        until(lambda: one.reaches(two), f"{one.device} to {two.device}", PATIENCE,
              lambda: self.host.vifd.log[-3000:])  # fmt: skip


@pytest.fixture(params=KINDS)
def place(cloud: Cloud, host: VifdHost, request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(cloud, host, request.param, stack)


def numbers(host: VifdHost) -> dict[str, str]:
    """Ports between bridges, and their numbers."""
    rows = host.ovs.vsctl("--format=csv", "--no-headings", "--columns=name,ofport", "find",
                          "interface", "type=patch").splitlines()  # fmt: skip
    return dict(row.split(",", 1) for row in rows)


@pytest.mark.parametrize("end", ENDS)
def test_a_start_loses_no_ping_and_changes_no_number(place: Place, end: str):
    host = place.host
    pings = [place.ping(place.here, place.beyond), place.ping(place.beyond, place.here)]
    before = numbers(host)
    assert before
    ENDS[end](host)
    host.vifd.start()
    host.vifd.ready()
    host.proven([place.here.port])
    known = host.cloud.agent(host.name)["heartbeat_timestamp"]
    until(lambda: host.cloud.agent(host.name)["heartbeat_timestamp"] != known, "a report", PATIENCE)
    assert numbers(host) == before
    place.reached()
    counts = [ping.stop() for ping in pings]
    assert all(sent > 20 and not lost for sent, lost in counts), counts


def test_a_port_that_goes_leaves_no_flow(place: Place):
    host = place.host
    gone = place.machine()
    until(lambda: gone.reaches(place.here), "it is reached", PATIENCE)
    number = host.ovs.vsctl("get", "interface", gone.device, "ofport").strip()
    traces = re.compile(
        rf"in_port={number}\b|in_port=\"?{gone.device}|{gone.mac}|output:{number}\b"
    )
    assert traces.search(host.ovs.ofctl("dump-flows", "br-int", "--no-names"))
    # Its machine goes first, as with nova; then Neutron's port.
    gone.close()
    host.told(place.network, [gone.port], "DOWN")
    place.cloud.remove("port", gone.port)
    until(lambda: not host.phase(gone.port), "it is forgotten", PATIENCE)
    assert not traces.search(host.ovs.ofctl("dump-flows", "br-int", "--no-names"))
    assert place.here.reaches(place.beyond)


def test_networks_on_one_bridge_do_not_meet(place: Place):
    """The same addresses on both: who is answered is on the same network."""
    cloud, host = place.cloud, place.host
    other = str(cloud.make("network", name="o", **{
        "provider:network_type": "vlan", "provider:physical_network": "physnet1",
        "provider:segmentation_id": 902})["id"])  # fmt: skip
    with ExitStack() as stack:
        stack.callback(cloud.remove, "network", other)
        subnet = cloud.make("subnet", network_id=other, cidr="10.30.0.0/24", ip_version=4,
                            enable_dhcp=False)  # fmt: skip
        stack.callback(cloud.remove, "subnet", subnet["id"])
        made = []
        for number in (101, 102):
            fixed = [{"ip_address": f"10.30.0.{number}"}]
            port = cloud.show(
                "port", host.bind(other, port_security_enabled=False, fixed_ips=fixed)
            )
            stack.callback(cloud.remove, "port", port["id"])
            made.append(Machine(host.ovs, "br-int", port["id"], f"o{number}", port["mac_address"],
                                f"10.30.0.{number}"))  # fmt: skip
            stack.callback(made[-1].close)
        host.told(other, [m.port for m in made], "ACTIVE")
        until(lambda: made[0].reaches(made[1]), "on one network", PATIENCE)
        assert not made[0].reaches(place.here)
        assert not made[0].reaches(place.beyond)
        assert not place.here.reaches(made[0])
        assert place.here.reaches(place.beyond)


def test_a_port_that_is_switched_off_and_on(place: Place):
    cloud, host = place.cloud, place.host
    cloud.change("port", place.here.port, admin_state_up=False)
    host.told(place.network, [place.here.port], "DOWN")
    until(lambda: not place.here.reaches(place.beyond), "nothing passes", PATIENCE)
    cloud.change("port", place.here.port, admin_state_up=True)
    place.reached()
    host.told(place.network, [place.here.port], "ACTIVE")


@pytest.mark.parametrize("again", AGAIN)
def test_a_switch_that_starts_anew(place: Place, again: str):
    """Its internal ports are other devices afterwards, which their users move into their namespaces
    again; flows and numbers follow by themselves."""
    host = place.host
    if AGAIN[again](host):
        for machine in (place.here, place.beyond):
            machine.move_in()
    place.reached()
    host.proven([place.here.port])
    host.told(place.network, [place.here.port], "ACTIVE")
    # one that comes afterwards is heard of
    late = place.machine()
    until(lambda: late.reaches(place.beyond), "the next one", PATIENCE)


def test_a_port_on_a_bridge_of_others_is_theirs(place: Place):
    """The stock agent tells such ports, on bridges that it does not steer, as working: nothing was
    proven of them."""
    cloud, host, ovs = place.cloud, place.host, place.host.ovs
    port = cloud.show("port", host.bind(place.network, port_security_enabled=False))
    ovs.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", OF_DATAPATH)
    try:
        other = Machine(ovs, "br-other", port["id"], "other", port["mac_address"], "10.30.0.200")
        before = [ovs.ofctl("dump-flows", "br-other", "--no-stats"), *_row(host, "other")]
        next_ = place.machine()
        # What was there before this one was seen by then.
        until(lambda: next_.reaches(place.here), "it is reached", PATIENCE)
        assert [ovs.ofctl("dump-flows", "br-other", "--no-stats"), *_row(host, "other")] == before
        assert cloud.status(port["id"]) != "ACTIVE"
        assert host.phase(port["id"]) in ("", "WAITING")
        other.close()
    finally:
        ovs.vsctl("del-br", "br-other")
        cloud.remove("port", port["id"])


def _row(host: VifdHost, device: str) -> list[str]:
    """What the database has of a port, but for what counts up."""
    columns = "name,ofport,external_ids,options,mac,type"
    return [
        host.ovs.vsctl(f"--columns={columns}", "list", "interface", device),
        host.ovs.vsctl("list", "port", device),
    ]
