"""The real binding, with the driver that libvirt has for tests: guests without processes.

It needs no daemon. What libvirt tells of its guests and when is the same as for real ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from vifd import errors
from vifd.hypervisor import Rest
from vifd.hypervisor.libvirt import LibvirtHypervisor
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("module:libvirt")

URI = "test:///default"
TAP = "<interface type='ethernet'><mac address='52:54:00:00:00:01'/><target dev='{}'/></interface>"


@pytest.fixture
def hypervisor() -> Iterator[LibvirtHypervisor]:
    made = LibvirtHypervisor(URI)
    made.start()
    until(made.connected, "it is connected")
    yield made
    made.close()


@pytest.fixture
def other(hypervisor: LibvirtHypervisor) -> Iterator[Any]:
    """Somebody else who uses the same libvirt."""
    import libvirt

    connection = libvirt.open(URI)
    yield connection
    connection.close()


def define(other: Any, *devices: str) -> Any:
    guest = str(uuid.uuid4())
    inner = "".join(TAP.format(device) for device in devices)
    return other.defineXML(
        f"<domain type='test'><name>{guest[:8]}</name><uuid>{guest}</uuid><memory>8192</memory>"
        f"<os><type>hvm</type></os><devices>{inner}</devices></domain>"
    )


def test_a_guest_from_definition_to_end(hypervisor: LibvirtHypervisor, other: Any) -> None:
    told: list[str] = []
    hypervisor.subscribe(told.append)
    domain = define(other, "tap-one", "tap-two")
    guest = domain.UUIDString()
    until(lambda: guest in hypervisor.guests(), "the definition is known")
    assert not hypervisor.interfaces()["tap-one"].running
    assert hypervisor.guests()[guest].rest is not Rest.OFF
    domain.create()
    until(lambda: hypervisor.interfaces()["tap-one"].running, "it runs")
    found = hypervisor.interfaces()["tap-two"]
    assert (found.guest, found.mac) == (guest, "52:54:00:00:00:01")
    domain.destroy()
    until(lambda: not hypervisor.guests()[guest].running, "it is off")
    assert hypervisor.guests()[guest].rest is Rest.OFF
    domain.undefine()
    until(lambda: guest not in hypervisor.guests(), "it is gone")
    assert {"tap-one", "tap-two"} <= set(told)
    assert "tap-one" not in hypervisor.interfaces()


def test_a_guest_is_started_and_refusals_are_in_libvirts_words(
    hypervisor: LibvirtHypervisor, other: Any
) -> None:
    domain = define(other, "tap-three")
    guest = domain.UUIDString()
    hypervisor.refresh(guest).result(60)
    hypervisor.start_guest(guest)
    assert domain.isActive()
    hypervisor.refresh(guest).result(60)
    interface = hypervisor.interfaces()["tap-three"]
    with pytest.raises(errors.HypervisorError, match="not supported by the connection driver"):
        hypervisor.reattach(interface, 1.0)
    domain.destroy()
    domain.undefine()
    with pytest.raises(errors.HypervisorError, match="Domain not found"):
        hypervisor.start_guest(guest)


def test_facts_come_by_themselves(hypervisor: LibvirtHypervisor) -> None:
    until(lambda: "libvirt_version" in hypervisor.facts(), "the facts are read")
    facts = hypervisor.facts()
    assert facts["connected"]
    assert facts["libvirt_version"].count(".") == 2
    assert facts["hypervisor"].lower() == "test"
    assert facts["arch"]


def test_a_connection_that_cannot_be_made_says_why() -> None:
    made = LibvirtHypervisor("qemu+unix:///system?socket=/nonexistent/sock")
    made.start()
    try:
        until(lambda: "nonexistent" in made.facts()["problem"], "it says why")
        assert not made.connected()
    finally:
        made.close()


def test_two_at_once_share_the_event_loop(hypervisor: LibvirtHypervisor, other: Any) -> None:
    second = LibvirtHypervisor(URI)
    second.start()
    try:
        until(second.connected, "the second is connected")
        domain = define(other, "tap-four")
        for each in (hypervisor, second):
            until(lambda each=each: "tap-four" in each.interfaces(), "both have heard")  # type: ignore[misc]
        domain.undefine()
    finally:
        second.close()
    until(lambda: "tap-four" not in hypervisor.interfaces(), "the first hears on")
