"""A guest of libvirt on a vhost-user port: the socket that it serves is deleted under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.leaving import nothing_left
from unit.docs import document, port_id
from vifd.testing.bootable import Host, HostDpdk, Machine
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt", "dpdk")

INSTANCE = {
    "id": "00000000-0000-4000-8000-0000000000aa",
    "flavor_extra_specs": {"hw:mem_page_size": "large"},
}


@pytest.fixture
def host() -> Iterator[Host]:
    with nothing_left("h-") as disk:
        made = Host(disk, {"vhostuser": {"socket_dir": disk / "s"}}, HostDpdk)
        try:
            made.boot()
            made.ovs.start()
            made.vifd.start()
            made.vifd.ready()
            made.libvirtd.start()
            yield made
        finally:
            made.close()


def test_a_socket_deleted_under_a_guest_is_found_and_repaired_on_request(host: Host) -> None:
    wishes: dict[int, dict[str, Any]] = {
        1: {"plugin": "vhostuser", "instance": INSTANCE},
        2: {"plugin": "ovs"},
    }
    connection = host.connection()
    guests = {}
    for number, wish in wishes.items():
        status, port = host.vifd.plug(document(number) | wish)
        assert status == 201, port
        guests[number] = Machine(host, number, 3 - number, port["vif"])
        guests[number].define(connection).create()
    guests[1].answered()
    path = f"/v1/ports/{port_id(1)}"

    def facts() -> dict[str, str]:
        return {e["fact"]: e["have"] for e in host.vifd.get(path)["evidence"]}

    until(lambda: facts().get("guest.name") == "guest1 runs with it", "vifd knows its guest")
    Path(facts()["vhost.socket"]).unlink()
    host.ovs.vswitchd.kill()
    host.ovs.start()
    until(lambda: "guest.device" in facts(), "vifd finds that they cannot meet any more")
    assert host.vifd.get(path)["phase"] == "DEGRADED"
    status, done = host.vifd.call("POST", f"{path}/repair?timeout=60")
    assert (status, done["done"]) == (200, True), done
    guests[1].answered()
    until(lambda: host.vifd.get(path)["phase"] == "LIVE", "the port is well")
    connection.close()
