"""Whether a port can change its back end as it stands. Pure."""

from __future__ import annotations

from vifd import errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Level
from vifd.model import PortRecord, Role
from vifd.model.status import settled
from vifd.model.trunks import is_sub_port
from vifd.plugin import Advert


def problem(seen: PortRecord, source: Advert, target: Advert) -> str:
    """What stands in the way, whatever the other plugin says of the port; empty where nothing does.

    :param source: what the plugin says of itself that serves the port
    :param target: the same of the one that shall
    """
    attachment = seen.doc.attachment
    if attachment.hosted is not None:
        return f"its device {attachment.hosted.device} is another program's"
    if is_sub_port(attachment):
        return "it is a sub-port, and passes over the device of its trunk's parent"
    if seen.removing:
        return "it is being removed"
    if seen.origin is not None:
        return f"it was moved from {seen.origin.plugin}, and something of it is still there"
    if not source.hands_over:
        return "it has no tap, or its plugin cannot let go of it"
    if not target.takes_over:
        return "that plugin takes over no taps"
    if seen.wiring is None or not seen.applied or not settled(seen):
        return f"it is {seen.phase}: only a port that is proven is moved"
    if attachment.role is Role.INACTIVE:
        return "its binding is INACTIVE: its guest is on the way here, or has left"
    return _asked(seen, target) or _trunk(seen)


def _asked(seen: PortRecord, target: Advert) -> str:
    """What its document asks for by name, and would ask for again with its next change."""
    attachment = seen.doc.attachment
    if attachment.plugin is not None:
        return f"its document asks for plugin {attachment.plugin} by name"
    wish = attachment.vif_type
    if wish is not None and wish not in target.vif_types:
        return f"its document asks for VIF type {wish} by name"
    return ""


def _trunk(seen: PortRecord) -> str:
    """The sub-ports would have to move in the same moment: they are where their parent is."""
    trunk = seen.doc.attachment.port.trunk_details
    if trunk is None or not trunk.sub_ports:
        return ""
    return f"its device carries {len(trunk.sub_ports)} sub-ports, which would be left behind"


def weaker(
    seen: PortRecord, source: Advert, target: Advert, plugin: str
) -> list[errors.FeatureUnenforced]:
    """What holds the port now, and would not hold it any more.

    :param plugin: the name of the other one
    """
    wanted = seen.doc.attachment
    held = {
        entry.feature
        for entry in enforcement.report(wanted, source, plugin=seen.plugin)
        if entry.level is Level.DATAPLANE
    }
    lacking = enforcement.unenforced(wanted, target, plugin=plugin)
    return [error for error in lacking if error.facts["feature"] in held]


def unfit(source: str, target: str, why: str) -> errors.BackendUnfit:
    """The refusal; nothing was touched."""
    return errors.BackendUnfit(facts={"have": source, "wanted": target, "problem": why})
