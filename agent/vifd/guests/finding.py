"""What a port's guest makes of its device, as evidence. Pure."""

from __future__ import annotations

from vifd.drivers import Link
from vifd.hypervisor import GuestInterface
from vifd.model import Evidence, PortRecord

#: The fact of a device that its guest lost.
LOST = "guest.device"
#: What the evidence of a vhost-user port says while nobody is at its socket.
WAITING = "waiting for guest"


def suspicious(record: PortRecord, interface: GuestInterface | None, link: Link | None) -> bool:
    """Whether a guest that runs with this device does not have it open.

    A device that is missing or down is the port's own finding, and is repaired first. A tap has a
    carrier exactly while a process has it open; one that was made again under a running guest gets
    none, because the guest's QEMU still has the old one.

    :param link: the device, where it is a network device of this host
    """
    if interface is None or not interface.running:
        return False
    if interface.kind == "vhostuser":
        return _nobody_at_the_socket(record)
    return link is not None and link.kind == "tun" and link.up and not link.carrier


def _nobody_at_the_socket(record: PortRecord) -> bool:
    report = record.report
    facts = report.evidence if report else []
    return any(fact.fact == "guest" and fact.have == WAITING for fact in facts)


def held(interface: GuestInterface) -> Evidence:
    """A guest uses the port."""
    state = "runs with it" if interface.running else "is off"
    return Evidence("guest.name", have=f"{_name(interface)} {state}", source="libvirt")


def lost(interface: GuestInterface, *, matters: bool) -> Evidence:
    """A guest runs with a device that is not the one it has open.

    :param matters: traffic shall pass; a port that is closed needs no guest
    """
    have = f"{_name(interface)} runs, and does not have {interface.device} open"
    return Evidence(
        LOST, have=have, wanted="held by its guest; for that there is vifctl port repair", ok=not matters, source="libvirt", repairable=False,
    )  # fmt: skip


def told(record: PortRecord) -> bool:
    """Whether the port's last report says that its guest lost it."""
    return record.report is not None and any(e.fact == LOST for e in record.report.evidence)


def _name(interface: GuestInterface) -> str:
    return interface.name or interface.guest
