"""What a port's guest makes of its device, as evidence. Pure."""

from __future__ import annotations

from vifd.drivers import Link
from vifd.hypervisor import GuestInterface
from vifd.model import Evidence, PortRecord

#: The fact of a device that its guest lost.
LOST = "guest.device"
#: What the evidence of a vhost-user port says of its guest (fact ``guest``) while nobody is at its
#: socket, and while guest and switch are connected; and of a socket (fact ``socket``) that is gone.
WAITING, CONNECTED = "waiting for guest", "connected"
MISSING = "missing"


def suspicious(record: PortRecord, interface: GuestInterface | None, link: Link | None) -> bool:
    """Whether a guest that runs with this device may not have it open.

    A device that is missing or down is the port's own finding, and is repaired first. A tap gets
    its carrier when it is opened; one that was made again under a running guest gets none, because
    the guest's QEMU still has the old one. One that is open may have lost it to another program.

    :param link: the device, where it is a network device of this host
    """
    if interface is None or not interface.running:
        return False
    if interface.kind == "vhostuser":
        return _cut_off(record)
    return (
        link is not None and link.kind == "tun" and link.up and not link.carrier and not link.queues
    )


def outdated(record: PortRecord, interface: GuestInterface, suspected: float, now: float) -> bool:
    """Whether the suspicion rests on a report that is older than it: who is at a socket is read by
    the plugin alone, and its last report may be of before the guest's start.

    :param suspected: for how many seconds
    :param now: seconds since the epoch
    """
    read_at = record.report.at if record.report else 0.0
    return interface.kind == "vhostuser" and read_at < now - suspected


def _cut_off(record: PortRecord) -> bool:
    """Whether switch and guest cannot meet: nobody is at the socket, or it is gone and they are not
    connected. A guest that boots is at its socket and does not drive the device yet."""
    facts = {e.fact: str(e.have) for e in record.report.evidence} if record.report else {}
    guest = facts.get("guest", "")
    if not guest or guest.startswith(CONNECTED):
        return False
    return guest == WAITING or facts.get("socket") == MISSING


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
        LOST, have=have, wanted="held by its guest; for that there is vifctl port repair",
        ok=not matters, source="libvirt", repairable=False,
    )  # fmt: skip


def told(record: PortRecord) -> bool:
    """Whether the port's last report says that its guest lost it."""
    return record.report is not None and any(e.fact == LOST for e in record.report.evidence)


def _name(interface: GuestInterface) -> str:
    return interface.name or interface.guest
