"""Whether a report says that nothing of a port passes any more, whoever may mend it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from vifd.model.evidence import Evidence, Report

_Judge = Callable[[Any], bool]


def _always(_: Any) -> bool:
    return True


def _missing(have: Any) -> bool:
    return have in ("missing", None, False)


def _no_way(have: Any) -> bool:
    """Of a bridge of the kernel and its uplink, in the words of their plugin."""
    return str(have).startswith(("missing", "down", "not a port of the bridge"))


def _forwards_nothing(have: Any) -> bool:
    """Of a switch whose process does nothing, in the words of its plugins."""
    return "nothing is forwarded" in str(have)


def _dropping(have: Any) -> bool:
    return any("drops what no rule accepts" in str(text) for text in have or ())


def _stopped(have: Any) -> bool:
    return any("state" in str(text) for text in have or ())


def _reserved(have: Any) -> bool:
    """Of a mirror that has a port of the way for its own, in the words of the plugin."""
    return any("nothing but copies passes" in str(text) for text in have or ())


#: Facts that are not as wanted, and that keep everything from passing.
_SEVERING: dict[str, _Judge] = {
    "device": _missing, "device.ifindex": _always, "device.up": _always,
    "switch.bridge": _always,
    "ovsdb.port": _missing, "ovsdb.bridge": _always, "ovsdb.type": _always,
    "ovsdb.ofport": _always, "ovsdb.error": _always, "ovsdb.ifindex": _always,
    "ovsdb.openflow": _always,
    "switch.mirrors": _reserved, "uplink.mirrors": _reserved, "uplink.protected": _always,
    "ovsdb.spanning_tree": _always, "uplink.blocked": _always,
    "patch": _always, "uplink.bridge": _always, "uplink.port": _always, "uplink.vlan": _always,
    "uplink.openflow": _always,
    "bridge": _no_way, "bridge.up": _always, "bridge.port": _always, "bridge.stops": _stopped,
    "uplink": _no_way,
    "nft.others": _dropping, "security_groups": _always, "flows": _forwards_nothing,
}  # fmt: skip
#: Frames that every port sends: where a trace loses all of them, nothing passes.
_BASE = ("trace.dhcp", "trace.arp", "trace.neighbor_solicitation")


def severed(report: Report) -> str:
    """The first fact that says so, or the empty string. What could not be read says nothing."""
    for finding in report.findings:
        judge = _SEVERING.get(finding.fact)
        if judge is not None and judge(finding.have):
            return finding.fact
    traced = [e for e in report.evidence if e.fact in _BASE]
    lost = [e for e in traced if _lost(e)]
    return lost[0].fact if lost and lost == traced else ""


def without_its_guest(report: Report) -> bool:
    """Whether the guest that runs with the port holds a device that is no more: whatever passes
    the port, nothing reaches the guest, and no plug mends that."""
    return any(finding.fact == "guest.device" for finding in report.findings)


def unread(report: Report) -> bool:
    """Whether what lets a port's frames pass could not be read, so that nobody knows."""
    return any(finding.fact == "flows" for finding in report.findings)


def unanswered(report: Report) -> bool:
    """Whether nothing differs but that the switch's database gives no answer: what was read of the
    rest is as wanted."""
    return bool(report.findings) and all(f.fact == "ovsdb.connected" for f in report.findings)


def _lost(trace: Evidence) -> bool:
    return not trace.ok and not str(trace.have).startswith("no trace")


def told(report: Report) -> Report:
    """The report with what severs the port, for one that is not about to be mended."""
    found = severed(report)
    return report if report.severed == found else replace(report, severed=found)
