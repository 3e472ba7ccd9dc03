"""The enforcement report: what is asked of a port, and what enforces it, or that nothing does.

The Networking API accepts more than any back end carries out. What nobody enforces is said here,
per port, rather than dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct, structs

from vifd.errors import FeatureUnenforced
from vifd.model import Attachment, QosRule, Vif
from vifd.model.members import groups_of
from vifd.model.sets import GroupLog
from vifd.plugin import ANSWERS, Advert, guest
from vifd.plugin.guest import asked
from vifd.policy import logged, owntags
from vifd.policy.qos import policy_of

#: VIF types on which libvirt sets the bandwidth of the guest's XML; nova asks for it on no other.
_SHAPED = frozenset(("ovs", "bridge", "tap", "macvtap"))
#: QoS rules that the scheduler counts by, and that need nothing of the host to be kept.
_PLACED = frozenset(("minimum_bandwidth", "minimum_packet_rate"))
#: QoS rules of which a value of 0 asks for nothing.
_LIMITS = frozenset(("bandwidth_limit", "packet_rate_limit"))
#: Types of networks that leave a host by tunnels.
_TUNNELLED = frozenset(("vxlan", "gre", "geneve"))


class Level(StrEnum):
    """Where a feature is enforced."""

    DATAPLANE = "dataplane"  #: by what carries the frames
    PLACEMENT = "placement"  #: by the choice of the host alone
    NONE = "none"


class Enforcement(Struct, frozen=True):
    """One feature that is asked of a port.

    :param feature: its name, e.g. ``port_security`` or ``qos.bandwidth_limit.egress``
    :param requested: what is asked for
    :param enforced_by: the plugin, ``libvirt`` or ``placement``; empty where nothing enforces it
    """

    feature: str
    requested: Any
    enforced_by: str = ""
    level: Level = Level.NONE
    note: str = ""


def report(
    attachment: Attachment, advert: Advert, *, plugin: str, vif_type: str = "",
    logs: Sequence[GroupLog] = (),
) -> list[Enforcement]:  # fmt: skip
    """What is asked of a port and what becomes of it with this plugin, in a fixed order.

    :param plugin: the plugin's name
    :param vif_type: the one in use; the plugin's first if empty
    :param logs: of security groups, those of this host that are switched on
    """
    kind = vif_type or (advert.vif_types[0] if advert.vif_types else "")
    by = _By(advert, plugin, kind)
    found = [by.told(entry) for part in _PARTS for entry in part(attachment, by)]
    return [*found, *(by.told(entry) for entry in _logs(attachment, by, logs))]


def as_made(entries: list[Enforcement], vif: Vif | None) -> list[Enforcement]:
    """A report held against what was made: a tap keeps its kind of queues for as long as it lives,
    whatever its document comes to say.

    :param vif: as it was told to compute; ``None`` for a port that is not plugged
    """
    if vif is None or vif.managed or vif.type != "ethernet":
        return entries
    return [_short_of_queues(e, vif) for e in entries]


def _short_of_queues(entry: Enforcement, vif: Vif) -> Enforcement:
    wanted = entry.requested
    if entry.feature != "multiqueue" or not isinstance(wanted, int) or vif.queues >= wanted:
        return entry
    if vif.queues > 1:
        return structs.replace(entry, note=f"{vif.queues} of {wanted} queues")
    note = (
        f"{vif.device} was made for one queue of {wanted}, and a device keeps its kind: it is made "
        "anew once no guest has it open; else unplug the port and plug it again"
    )
    return Enforcement(entry.feature, wanted, note=note)


def unenforced(
    attachment: Attachment, advert: Advert, *, plugin: str, vif_type: str = ""
) -> list[FeatureUnenforced]:
    """A refusal for each feature that is asked for and that nothing would enforce."""
    have = sorted(advert.features)
    return [
        FeatureUnenforced(
            facts={"feature": entry.feature, "plugin": plugin, "have": have,
                   "requested": entry.requested, "note": entry.note},
            stage="features",
        )
        for entry in report(attachment, advert, plugin=plugin, vif_type=vif_type)
        if entry.level is Level.NONE and entry.requested is not False
    ]  # fmt: skip


def unmet(
    attachment: Attachment, advert: Advert, *, plugin: str, vif_type: str = ""
) -> list[FeatureUnenforced]:
    """A refusal for each feature that the document requires and that nothing would enforce."""
    if not attachment.required_features:
        return []
    entries = report(attachment, advert, plugin=plugin, vif_type=vif_type)
    refused = []
    for name in attachment.required_features:
        asked = [e for e in entries if e.feature == name or e.feature.startswith(f"{name}.")]
        lacking = [e for e in asked if e.level is Level.NONE]
        known = any(f == name or f.startswith(f"{name}.") for f in advert.features)
        if lacking or not (asked or known):
            note = "; ".join(e.note for e in lacking) or "the document requires it"
            facts = {"feature": name, "plugin": plugin, "have": sorted(advert.features),
                     "requested": True, "note": note}  # fmt: skip
            refused.append(FeatureUnenforced(facts=facts, stage="features"))
    return refused


class _By:
    """Who would enforce."""

    def __init__(self, advert: Advert, plugin: str, vif_type: str) -> None:
        self.features, self.plugin, self.vif_type = advert.features, plugin, vif_type
        self.caveats, self.lacking = advert.caveats, advert.lacking

    def told(self, entry: Enforcement) -> Enforcement:
        """With what the plugin does not do of a feature that it enforces."""
        caveat = self.caveats.get(entry.feature, "")
        if not caveat or entry.level is not Level.DATAPLANE:
            return entry
        return structs.replace(entry, note="; ".join(filter(None, (entry.note, caveat))))

    def entry(
        self, feature: str, requested: Any, *, lacking: str = "", note: str = "", name: str = ""
    ) -> Enforcement:
        """Enforced by the plugin if its advert has the feature.

        :param lacking: what to say where it has not
        :param name: the feature's name in the report, where it is another
        """
        if feature in self.features:
            return Enforcement(name or feature, requested, self.plugin, Level.DATAPLANE, note)
        lacking = lacking or f"plugin {self.plugin} does not enforce it"
        if reason := self.lacking.get(feature):
            lacking = f"{lacking} ({reason})"
        return Enforcement(name or feature, requested, note=f"{lacking}{note and f'; {note}'}")


def _filters(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    port = attachment.port
    secured = port.port_security_enabled
    if not secured:
        yield Enforcement("port_security", False, note="switched off for this port")
    else:
        yield by.entry("port_security", True)
    if secured and port.allowed_address_pairs:
        yield by.entry("allowed_address_pairs", len(port.allowed_address_pairs))
    if port.security_groups:
        ids = [g if isinstance(g, str) else g.id for g in port.security_groups]
        note = "" if secured else "port security is switched off, which switches them off as well"
        if secured and port.ip_allocation == "none":
            note = "the port has no address, and rules that filter by address pass nothing"
        lacking = (
            f"plugin {by.plugin} filters spoofed frames only: every frame that port security "
            "passes is delivered, whatever the rules say"
        )
        yield by.entry("security_groups", ids, lacking=lacking if secured else "", note=note)


def _logs(
    attachment: Attachment, by: _By, logs: Sequence[GroupLog]
) -> Iterator[Enforcement]:  # fmt: skip
    about = logged.named(logs, attachment)
    if not about:
        return
    ids = [log.id for log in about]
    if groups_of(attachment) is None:
        note = "no security groups hold for this port, so that there is nothing to write down"
        yield Enforcement(logged.FEATURE, ids, note=note)
    else:
        yield by.entry(logged.FEATURE, ids)


def _qos(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    policy = policy_of(attachment)
    for rule in policy.rules if policy else ():
        yield _rule(rule, attachment, by)


def _rule(rule: QosRule, attachment: Attachment, by: _By) -> Enforcement:
    feature = f"qos.{rule.type}.{rule.direction}"
    wanted = rule.value if rule.value is not None else True
    if feature in by.features and wanted == 0 and rule.type in _LIMITS:
        return Enforcement(feature, wanted, by.plugin, Level.DATAPLANE, "0 is no limit")
    if feature in by.features:
        return Enforcement(feature, wanted, by.plugin, Level.DATAPLANE)
    if rule.type in _PLACED and attachment.port.binding_profile.get("allocation"):
        note = "counted when the host was chosen; nothing holds the guest to it"
        return Enforcement(feature, wanted, "placement", Level.PLACEMENT, note)
    return by.entry(feature, wanted)


def _trunk(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    trunk = attachment.port.trunk_details
    if trunk is not None:
        lacking = f"plugin {by.plugin} carries the parent port alone; subports get no traffic"
        tags = sorted(s.segmentation_id or 0 for s in trunk.sub_ports)
        yield by.entry("trunk", tags or True, lacking=lacking)
    for feature in owntags.FEATURES:
        if getattr(attachment.network, feature):
            yield _own_tags(feature, attachment, by)
    if attachment.port.propagate_uplink_status:
        yield by.entry("propagate_uplink_status", True)


def _own_tags(feature: str, attachment: Attachment, by: _By) -> Enforcement:
    """Tags that guests set themselves; what is refused of them at the port is not carried."""
    problem = owntags.refused(feature, attachment.network.segment.network_type)
    if not problem and owntags.BENEATH not in by.features and owntags.hidden(attachment):
        reason = by.lacking.get(owntags.BENEATH, f"plugin {by.plugin} looks at one tag")
        problem = f"frames that come in two tags cannot be judged, and are refused ({reason})"
    if problem and feature in by.features:
        return Enforcement(feature, True, note=problem)
    return by.entry(feature, True)


def _link(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    yield by.entry("mtu", attachment.network.mtu)
    if not attachment.port.admin_state_up:
        yield by.entry("admin_state", "down")


def _neighbours(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    """Who answers a guest's ARP and neighbour discovery where its network leaves by tunnels. No
    document asks for that, so nobody is refused for the lack of it, unless he requires it."""
    tunnelled = attachment.network.segment.network_type in _TUNNELLED
    if tunnelled and ANSWERS in by.features | by.lacking.keys():
        lacking = f"plugin {by.plugin} does not answer ARP and neighbour discovery"
        yield by.entry(ANSWERS, ANSWERS in by.features, lacking=lacking)


def _queues(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    instance = attachment.instance
    several = asked(instance, "vif_multiqueue_enabled").value
    if instance is None or not several or instance.vcpus < 2:
        return
    wanted = guest.queues(attachment, instance.vcpus)
    if wanted == 1:
        note = f"a device of model {guest.model(attachment)} has one queue"
        yield Enforcement("multiqueue", instance.vcpus, note=note)
    else:
        yield by.entry("multiqueue", wanted)


def _quota(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    specs = attachment.instance.flavor_extra_specs if attachment.instance else {}
    for key in sorted(k for k in specs if k.startswith("quota:vif_")):
        if by.vif_type in _SHAPED:
            note = "by the bandwidth element of the guest's XML, if compute writes it"
            yield Enforcement(key, specs[key], "libvirt", Level.DATAPLANE, note)
        else:
            note = f"libvirt limits no interface of VIF type {by.vif_type}"
            yield Enforcement(key, specs[key], note=note)


def _hardware(attachment: Attachment, by: _By) -> Iterator[Enforcement]:
    port = attachment.port
    if port.trust:
        yield by.entry("trusted_vf", True, name="trusted")
    if port.offloaded:
        yield by.entry("hardware_offload", "switchdev")
    if port.hints:
        yield by.entry("hints", port.hints)


_Part = Callable[[Attachment, _By], Iterator[Enforcement]]
_PARTS: tuple[_Part, ...] = (
    _filters, _qos, _trunk, _link, _neighbours, _queues, _quota, _hardware,
)  # fmt: skip
