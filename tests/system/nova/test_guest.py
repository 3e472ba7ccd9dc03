"""A guest that real nova defines and a real libvirt boots, on a tap that vifd made."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import nova
from support.nova import Compute
from unit.docs import document, port_id
from vifd.testing.bootable import Host, Machine
from vifd.testing.wait import until

pytestmark = [pytest.mark.needs("nova"), pytest.mark.needs("libvirt")]

PAIR = (1, 2)


class Guest(Machine):
    """A guest whose interface is as nova writes it."""

    interface = ""

    def xml(self) -> str:
        # pci=nomsi and the rest of the guest are the tests' own
        return re.sub(r"<interface .*</interface>", self.interface, super().xml(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def host(isolated: None) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="vg-", dir="/tmp") as disk:
        Path(disk).chmod(0o755)
        options = {"api": {"socket_mode": "0666", "compute_uids": 65534}}
        with Host(Path(disk), options) as made:
            (made.disk / "v").chmod(0o755)
            made.ovs.start()
            made.vifd.start()
            made.vifd.ready()
            made.libvirtd.start()
            yield made


def define(host: Host, compute: Compute, number: int, peer: int) -> Guest:
    """Bind the port, have nova plug it and write the interface."""
    body = {k: v for k, v in document(number).items() if k != "instance"}
    host.vifd.call("PUT", f"/v1/ports/{port_id(number)}/network", body)
    answer = compute.ask("plug", number)
    assert "error" not in answer, answer
    port = host.vifd.get(f"/v1/ports/{port_id(number)}")
    guest = Guest(host, number, peer, port["vif"])
    guest.interface = compute.ask("xml", number)["xml"]
    assert 'managed="no"' in guest.interface
    return guest


def test_guests_boot_ping_and_come_back(host: Host) -> None:
    """Booted, suspended and resumed, rebooted hard, and gone."""
    conf = nova.config(host.disk, host.vifd.socket)
    with (
        Compute(conf, "unprivileged", before=tuple(host.enter)) as compute,
        contextlib.closing(host.connection()) as libvirt,
    ):
        assert int(compute.hello["capabilities"], 16) == 0
        guests = {n: define(host, compute, n, p) for n, p in (PAIR, PAIR[::-1])}
        domains: dict[int, Any] = {}
        for number, guest in guests.items():
            domains[number] = guest.define(libvirt)
            domains[number].create()
        for guest in guests.values():
            guest.answered()
        domains[1].suspend()
        domains[1].resume()
        guests[1].answered()
        # A hard reboot: destroyed, unplugged, plugged and defined anew.
        domains[1].destroy()
        domains[1].undefine()
        assert "error" not in compute.ask("unplug", 1)
        again = define(host, compute, 1, 2)
        domains[1] = again.define(libvirt)
        domains[1].create()
        again.answered()
        for number, domain in domains.items():
            domain.destroy()
            domain.undefine()
            assert "error" not in compute.ask("unplug", number)
        until(
            lambda: all(p["phase"] == "WAITING" for p in host.vifd.get("/v1/ports")["ports"]),
            "nothing of the ports is on the host",
        )
