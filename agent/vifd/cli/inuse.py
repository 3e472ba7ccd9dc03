"""Whether a guest runs with a port, by what its last report read and what the kernel says now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vifd.safety import holders

#: Where the kernel lists network devices.
DEVICES = Path("/sys/class/net")


def sentence(port: Mapping[str, Any]) -> str:
    """Which port it is and who uses it; empty where nobody does.

    :param port: ``id``, ``device``, ``document`` and ``evidence`` as the API answers them
    """
    by = user(port)
    if not by:
        return ""
    name = port["document"]["port"].get("name") or ""
    what = " ".join(filter(None, (f"port {port['id']}", name, port.get("device") or "")))
    return f"{what}: {by}"


def user(port: Mapping[str, Any]) -> str:
    """Who uses a port, in a few words; empty where nobody does.

    The hypervisor knows the guest by name. A tap that a program has open has a carrier, unless
    somebody took it away, and the socket of a vhost-user port tells whether somebody is at it.
    """
    facts = {str(e.get("fact")): e.get("have") for e in port.get("evidence") or ()}
    guest = str(facts.get("guest.name") or "")
    if guest.endswith("runs with it"):
        return f"guest {guest}"
    if str(facts.get("guest") or "").startswith("connected"):
        return f"guest {_instance(port)} is at its socket"
    device = port.get("device") or ""
    if "device.carrier" not in facts:
        return ""
    if carrier(device, facts["device.carrier"]) or device in _open():
        return f"guest {_instance(port)} has it open"
    return ""


@cache
def _open() -> set[str]:
    """Asked once: a command looks at many ports."""
    return holders.taps()


def carrier(device: str, last: Any) -> bool:
    """Whether the device has a carrier now, as far as it can be seen from here.

    :param last: what the last report read
    """
    try:
        return (DEVICES / device / "carrier").read_text().strip() == "1"
    except (OSError, ValueError):
        return last is True


def _instance(port: Mapping[str, Any]) -> str:
    instance = port["document"].get("instance") or {}
    return str(instance.get("name") or instance.get("id") or "(unknown)")
