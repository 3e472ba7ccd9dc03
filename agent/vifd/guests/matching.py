"""Which guest uses which port. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vifd.hypervisor import GuestInterface
from vifd.model import PortRecord


def devices_of(record: PortRecord) -> tuple[str, ...]:
    """The names under which a guest's definition may know the port's device."""
    made = record.wiring or record.names
    vif = record.vif
    found = (
        vif.socket_path if vif else "",
        vif.device if vif else "",
        made.device if made else "",
    )
    return tuple(dict.fromkeys(name for name in found if name))


def interface_of(
    record: PortRecord, interfaces: Mapping[str, GuestInterface]
) -> GuestInterface | None:
    """The interface of a guest that uses the port, or ``None``."""
    return next((interfaces[d] for d in devices_of(record) if d in interfaces), None)


def ports_of(
    interfaces: Iterable[GuestInterface], records: Mapping[str, PortRecord]
) -> dict[str, PortRecord]:
    """By device, the ports of ours that these interfaces use: by the device, else by the port's id
    in the guest's definition. A port that is being removed is none any more."""
    by_device = {d: r for r in records.values() if not r.removing for d in devices_of(r)}
    found = {}
    for interface in interfaces:
        record = by_device.get(interface.device)
        if record is None and (named := records.get(interface.port)) and not named.removing:
            record = named
        if record is not None:
            found[interface.device] = record
    return found
