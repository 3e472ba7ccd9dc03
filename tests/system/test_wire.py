"""Two plain domains of a real libvirt get their ports by ``vifctl guest wire``, and lose them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.leaving import nothing_left
from vifd.testing.bootable import Host, Machine
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt")

NETWORKS = {
    "networks": {"lab": {"cidr": "10.0.0.0/24"}},
    "guests": {
        "guest1": [{"network": "lab", "address": "10.0.0.1"}],
        "guest2": [{"network": "lab", "address": "10.0.0.2"}],
    },
}


PAGE = (Path(__file__).parents[2] / "docs/get-started.md").read_text()


class Plain(Machine):
    """A domain that nobody prepared for vifd: its network card is QEMU's own network."""

    def _end(self) -> str:
        return ""


class World:
    """A host with two such domains."""

    def __init__(self, disk: Path) -> None:
        self.host = Host(disk)
        self.file = disk / "lib/networks.json"
        self.guests: dict[int, Plain] = {}
        self.connection: Any = None

    def build(self) -> None:
        self.host.boot()
        self.host.ovs.start()
        self.host.vifd.start()
        self.host.vifd.ready()
        self.host.libvirtd.start()
        self.file.write_text(json.dumps(NETWORKS))
        self.connection = self.host.connection()
        for number, peer in ((1, 2), (2, 1)):
            mac = f"52:54:00:00:00:{number:02x}"
            vif = {"type": "user", "mac_address": mac, "model": "virtio", "mtu": 1500}
            self.guests[number] = Plain(self.host, number, peer, vif)
            self.guests[number].define(self.connection)
        (self.host.disk / "bin").mkdir()
        vifctl = self.host.disk / "bin/vifctl"
        path = os.pathsep.join(filter(None, sys.path))
        vifctl.write_text(
            f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -m vifd.cli.main "$@"\n'
        )
        vifctl.chmod(0o755)

    def vifctl(self, *argv: str, code: int = 0) -> str:
        done = self.host.attempt(str(self.host.disk / "bin/vifctl"), *argv)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shell(self, command: str) -> str:
        """As somebody types it, in the directory of the networks file."""
        path = f"PATH={self.host.disk}/bin:{os.environ['PATH']}"
        return self.host.run("env", path, "sh", "-c", f"cd {self.file.parent} && {command} 2>&1")

    def wire(self, guest: str, *argv: str, code: int = 0) -> str:
        return self.vifctl("guest", "wire", guest, "-f", str(self.file), *argv, code=code)

    def domain(self, number: int) -> Any:
        return self.connection.lookupByName(f"guest{number}")

    def definition(self, number: int) -> str:
        import libvirt

        return str(self.domain(number).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def ports(self) -> list[Any]:
        found: list[Any] = self.host.vifd.get("/v1/ports")["ports"]
        return found

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.host.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with nothing_left("w-") as directory:
        made = World(directory)
        try:
            made.build()
            yield made
        finally:
            made.close()


def test_wired_started_pinged_and_put_back(world: World) -> None:
    plain = {n: world.definition(n) for n in (1, 2)}

    # a dry run names the device that there will be, and changes nothing
    said = world.wire("guest1", "--dry-run")
    assert "would be plugged" in said
    assert world.ports() == []
    assert world.definition(1) == plain[1]
    foreseen = [line for line in said.splitlines() if line.startswith("+") and "<target" in line]

    said = world.wire("guest1", "--start")
    assert [x for x in said.splitlines() if x.startswith("+") and "<target" in x] == foreseen
    assert "libvirt's hook was installed" in said
    assert os.access(world.host.disk / "etc/libvirt/hooks/qemu.d/50-vifd", os.X_OK)
    world.wire("guest2", "--start")
    for number in (1, 2):
        assert world.domain(number).isActive()
        world.guests[number].answered()
    until(lambda: [p["status"] for p in world.ports()] == ["ACTIVE"] * 2, "both are active")
    assert {p["document"]["instance"]["name"] for p in world.ports()} == {"guest1", "guest2"}

    # a guest that runs keeps its cards
    assert "E_GUEST_RUNNING" in world.vifctl("guest", "unwire", "guest1", code=1)
    assert len(world.ports()) == 2

    # wired again it is as it is; the note of what was before is still the one of before
    world.domain(1).destroy()
    wired = world.definition(1)
    assert "stays as it is" in world.wire("guest1")
    assert world.definition(1) == wired

    shown = world.vifctl("guest", "unwire", "guest1", "--dry-run")
    assert "-      <target dev=" in shown
    assert len(world.ports()) == 2
    world.domain(2).destroy()
    for number in (1, 2):
        world.vifctl("guest", "unwire", f"guest{number}")
        assert world.definition(number) == plain[number]
    assert world.ports() == []
    assert "E_GUEST_NOT_WIRED" in world.vifctl("guest", "unwire", "guest1", code=1)


def test_a_card_that_vifd_refuses_leaves_no_port(world: World) -> None:
    """The second card's address is a group's: the first one's port does not stay either."""
    before = world.definition(1)
    many = {"networks": {"lab": {"cidr": "10.0.0.0/24", "mtu": 1500}},
            "guests": {"guest1": [{"network": "lab", "mac": "52:54:00:00:00:01"},
                                  {"network": "lab", "mac": "01:00:5e:00:00:01"}]}}  # fmt: skip
    other = world.file.with_name("bad.json")
    other.write_text(json.dumps(many))
    said = world.vifctl("guest", "wire", "guest1", "-f", str(other), code=1)
    assert "unicast" in said
    assert world.ports() == []
    assert world.definition(1) == before


def test_the_page_word_for_word(world: World) -> None:
    """ "Get started", its last part."""
    blocks = re.findall(r"<!-- test: wire -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    plug, look, back = (re.findall(r"^# (.*)$", block, re.MULTILINE) for block in blocks)
    (networks,) = re.findall(r"<!-- test: networks -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    world.file.with_name("networks.yaml").write_text(networks)
    plain = {}
    for number, name in ((1, "web"), (2, "db")):
        guest = world.guests[number]
        world.connection.lookupByName(guest.name).undefine()
        guest.name, guest.serial = name, world.host.disk / f"lib/{name}.log"
        plain[name] = guest.define(world.connection).XMLDesc(2)
    said = "".join(map(world.shell, plug))
    assert said.count("ACTIVE") >= 4
    for guest in world.guests.values():
        guest.answered()
    assert "nothing broken" in "".join(map(world.shell, look))
    for command in back:
        if command.startswith("virsh"):
            world.connection.lookupByName("web").destroy()
        else:
            world.shell(command)
    assert world.connection.lookupByName("web").XMLDesc(2) == plain["web"]
    world.connection.lookupByName("db").destroy()
    world.shell("vifctl guest unwire db")
    assert world.ports() == []
