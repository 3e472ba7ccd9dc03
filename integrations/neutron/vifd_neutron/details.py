"""What Nova is told of a binding, in ``binding:vif_details``; and of none. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from typing import Any

from vifd_neutron.choice import Choice, Refusal, best
from vifd_neutron.report import Report

#: Neutron's database keeps the details in a column of this many characters.
LIMIT = 4095
#: Under which a refusal stands in the details.
KEY = "vifd"
_SOCKET_DIR = "/var/run/openvswitch"


def details(choice: Choice, report: Report, port_id: str, *, groups: bool) -> dict[str, Any]:
    """The details of a binding.

    :param groups: whether this service has security groups at all
    """
    features = choice.candidate.features
    filtered = groups and (features is None or "security_groups" in features)
    found: dict[str, Any] = {"port_filter": filtered, "connectivity": "l2"}
    if choice.vif_type == "bridge":
        return found
    found |= {"ovs_hybrid_plug": False, "datapath_type": report.datapath_type}
    if report.bridge:
        found["bridge_name"] = report.bridge
    if choice.vif_type == "vhostuser":
        return found | _socket(report, port_id)
    # vifd makes the tap itself, on every datapath; libvirt would refuse one that is there.
    return found | {"ovs_create_tap": True}


def _socket(report: Report, port_id: str) -> dict[str, Any]:
    """The switch is the client, so that a crash of it leaves no stale socket behind."""
    directory = report.socket_dir or _SOCKET_DIR
    return {
        "vhostuser_mode": "server",
        "vhostuser_ovs_plug": True,
        "vhostuser_socket": os.path.join(directory, f"vhu{port_id}"[:14]),
    }


def refused(host: str, refusals: Sequence[Refusal]) -> dict[str, Any]:
    """The details of a port that could not be bound: the reason, and each candidate's."""
    first = best(refusals)
    told: dict[str, Any] = {
        "host": host, "code": first.code, "message": first.message[:1000], "next": first.next_step,
    }  # fmt: skip
    others = [f"{r.candidate or '-'}: {r.code}: {r.message}"[:300] for r in refusals if r != first]
    if others:
        told["also"] = others[:6]
    return {KEY: told}
