"""A host of vifd and a host of the stock agent in one cloud: machines on both reach each other over
VLAN and VXLAN, and a security group lets in who is in it on the other host, and nobody else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.cloud.beside import BRIDGES, Beside
from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE
from support.cloud.walker import Machine
from support.tunnelswitch import Switch
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

KINDS: dict[str, dict[str, Any]] = {
    "vlan": {"provider:network_type": "vlan", "provider:physical_network": "physnet1"},
    "vxlan": {"provider:network_type": "vxlan"},
}


@pytest.fixture(scope="module", params=[True, False], ids=["l2pop", "flooding"])
def beside(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Beside]:
    names = (f"ours-{request.param}".lower(), f"theirs-{request.param}".lower())
    with tempfile.TemporaryDirectory(prefix="b") as directory, Switch() as ovs:
        found = Beside(Path(directory), cloud, ovs, names, populated=request.param)
        try:
            found.start()
            yield found
        finally:
            found.close()


@pytest.fixture(params=KINDS)
def crowd(beside: Beside, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    number = 2 * list(KINDS).index(request.param) + beside.vifd.name.endswith("true")
    with ExitStack() as stack:
        yield Crowd(beside, beside.network(number, **KINDS[request.param]), stack)


class Crowd:
    """Machines on a network, and the groups that their ports are in.

    :ivar inside: of a group whose members may ping each other, one on each host
    :ivar outside: of one that lets in members of the first alone, one on each host
    """

    def __init__(self, beside: Beside, network: str, stack: ExitStack) -> None:
        self.cloud, self._beside, self._network, self._stack = beside.cloud, beside, network, stack
        self.group, self.other = self._group(), self._group()
        for group in (self.group, self.other):
            self._let_ping(group)
        self.inside = {where: self._machine(where, self.group) for where in BRIDGES}
        self.outside = {where: self._machine(where, self.other) for where in BRIDGES}

    def move(self, machine: Machine, group: str) -> None:
        """Have the machine in this group and in no other."""
        self.cloud.change("port", machine.port, security_groups=[group])

    def _group(self) -> str:
        made = str(self.cloud.call("POST", "security-groups", {"security_group": {"name": "g"}})[
            "security_group"]["id"])  # fmt: skip
        self._stack.callback(self.cloud.call, "DELETE", f"security-groups/{made}")
        return made

    def _let_ping(self, group: str) -> None:
        rule = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
                "protocol": "icmp", "remote_group_id": self.group}  # fmt: skip
        self.cloud.call("POST", "security-group-rules", {"security_group_rule": rule})

    def _machine(self, where: str, group: str) -> Machine:
        beside = self._beside
        port = self.cloud.make(
            "port", network_id=self._network, device_owner="compute:x", device_id="x",
            security_groups=[group], **{"binding:host_id": beside.names[where]},
        )  # fmt: skip
        self._stack.callback(self.cloud.remove, "port", port["id"])
        machine = Machine(
            beside.ovs, BRIDGES[where], port["id"], f"m{port['id'][:8]}", port["mac_address"],
            port["fixed_ips"][0]["ip_address"],
        )  # fmt: skip
        self._stack.callback(machine.close)
        return machine


def test_machines_of_both_hosts(beside: Beside, crowd: Crowd):
    ours, theirs = crowd.inside["vifd"], crowd.inside["stock"]
    ours_outside, theirs_outside = crowd.outside["vifd"], crowd.outside["stock"]
    until(lambda: ours.reaches(theirs), "from vifd to the stock agent", PATIENCE, beside.told)
    until(lambda: theirs.reaches(ours), "from the stock agent to vifd", PATIENCE, beside.told)
    # Members of the first group are let in by the second one, over the cable or the tunnel.
    until(lambda: ours.reaches(theirs_outside), "in at the stock agent's", PATIENCE, beside.told)
    until(lambda: theirs.reaches(ours_outside), "in at vifd's", PATIENCE, beside.told)
    # All four ports are wired and reachable: who is not answered now is not let in.
    assert not theirs_outside.reaches(ours)
    assert not ours_outside.reaches(theirs)
    for machine in (ours_outside, theirs_outside):
        crowd.move(machine, crowd.group)
    until(lambda: theirs_outside.reaches(ours), "a new member on the other host", PATIENCE)
    until(lambda: ours_outside.reaches(theirs), "a new member on this host", PATIENCE)
    for machine in (ours_outside, theirs_outside):
        crowd.move(machine, crowd.other)
    until(lambda: not theirs_outside.reaches(ours), "no member any more", PATIENCE)
    until(lambda: not ours_outside.reaches(theirs), "no member any more", PATIENCE)
    assert ours.reaches(theirs)
    assert theirs.reaches(ours)
