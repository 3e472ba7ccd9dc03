"""What a port needs of this host, before anything is made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vifd.errors import (
    FeatureUnenforced,
    MtuTooLarge,
    PhysnetUnmapped,
    SegmentTypeUnsupported,
    VifError,
)
from vifd.model import Attachment
from vifd.plugin import Requirement, tapverbs
from vifd.policy.qos import shape_of
from vifd_linuxbridge import wiring
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.probing import Ground


@dataclass(frozen=True)
class Needs:
    """What was read of the host, and what the plugin does.

    :param plugin: its name
    :param types: of networks that it serves
    """

    settings: Settings
    ground: Ground
    plugin: str
    types: tuple[str, ...]

    def of(self, attachment: Attachment, *, asked: bool) -> Iterable[Requirement]:
        """What a port needs.

        :param asked: whether its document asks for this plugin
        """
        yield tapverbs.queues_needed(attachment, self.settings.max_queues)
        yield from self._limits(attachment)
        match attachment.network.segment.network_type:
            case "local" if not asked:
                problem = "the document does not ask for it (see serve_local in [linuxbridge])"
                mend = f"name plugin {self.plugin} in the document, or {_SET.format('serve_local')}"
                error = self._unserved("local", problem, f"{mend} (true)")
                yield Requirement("local_network", self.settings.serve_local, error)
            case "vxlan":
                yield from self._tunnel(attachment)
            case "flat" | "vlan":
                yield from self._physical(attachment)

    def _limits(self, attachment: Attachment) -> Iterator[Requirement]:
        """A port with limits would pass more than it may where the kernel has none."""
        if shape_of(attachment) is not None:
            lacking = self.ground.unlimited
            facts = {"feature": "qos", "plugin": self.plugin, "have": lacking, "note": lacking}
            yield Requirement("limits", not lacking, FeatureUnenforced(facts=facts))

    def _tunnel(self, attachment: Attachment) -> Iterable[Requirement]:
        settings, ground = self.settings, self.ground
        vni = attachment.network.segment.segmentation_id
        problem = ground.lacking.get("vxlan", "")
        mend = _kernel("vxlan", problem)
        if not problem and vni is None:
            problem, mend = "the segment has no VNI", "give the segment a segmentation_id"
        if not problem and not settings.local_ip:
            problem = "local_ip is not set in [linuxbridge] of agent.conf"
            mend = f"{_SET.format('local_ip')} (an address of this host)"
        yield Requirement("vxlan", not problem, self._unserved("vxlan", problem, mend))
        limit = ground.tunnel_mtu
        if limit is not None:
            have = limit - settings.overhead
            yield _mtu(attachment.network.mtu, have, f"a tunnel over {ground.tunnel_device}")

    def _physical(self, attachment: Attachment) -> Iterable[Requirement]:
        segment = attachment.network.segment
        physnet, kind = segment.physical_network or "", segment.network_type
        there = self.settings.bridges if kind == "flat" else {}
        mapped = physnet in self.settings.interfaces or physnet in there
        have = sorted({*self.settings.interfaces, *there})
        yield Requirement("physical_network", mapped, unmapped(physnet, have))
        problem, mend = self._vlan_problem(segment.segmentation_id) if kind == "vlan" else ("", "")
        yield Requirement("network_type", not problem, self._unserved(kind, problem, mend))
        interface = self.ground.interfaces.get(physnet)
        if interface is None:
            return
        # a VLAN network leaves the interface and its addresses alone
        harmless = kind == "vlan" and not self.settings.vlan_aware and interface.mtu is not None
        usable = harmless or not interface.problem
        text = f"{interface.name} {interface.problem}"
        yield Requirement("interface", usable, self._unserved(kind, text, interface.mend))
        if interface.mtu is not None:
            yield _mtu(attachment.network.mtu, interface.mtu, interface.name)

    def _vlan_problem(self, number: int | None) -> tuple[str, str]:
        """Why a VLAN is not served, and what mends it."""
        lacking, other = self.ground.lacking, _SET.format("vlan_aware")
        if not self.settings.vlan_aware:
            way = "" if "vlan_filtering" in lacking else f", or {other} (true)"
            problem = lacking.get("vlan", "")
            return problem, f"{_kernel('8021q', problem)}{way}"
        way = f", or {other} (false)" if "vlan" not in lacking else ""
        if number == wiring.UNTAGGED:
            problem = f"VLAN {number} stands for untagged frames on a VLAN-aware bridge"
            return problem, f"give the network another VLAN id{way}"
        without = "use a kernel whose bridges filter VLANs"
        return lacking.get("vlan_filtering", ""), f"{without}{way}"

    def _unserved(self, kind: str, problem: str, mend: str) -> VifError:
        have = list(self.types)
        facts = {"wanted": kind, "have": have, "plugin": self.plugin, "problem": problem}
        text = f"network type {kind!r} cannot be served on this host: {problem}"
        return SegmentTypeUnsupported(text, facts=facts, hint=mend or None)


_SET = "set {} in [linuxbridge] of agent.conf and restart vifd"


def _kernel(module: str, problem: str) -> str:
    if "CAP_NET_ADMIN" in problem:
        return "start vifd by its unit, which gives it CAP_NET_ADMIN"
    return f"load the kernel module (modprobe {module}), which needs no restart of vifd"


def _mtu(wanted: int, have: int, bottleneck: str) -> Requirement:
    facts = {"wanted": wanted, "have": have, "bottleneck": bottleneck}
    return Requirement("mtu", wanted <= have, MtuTooLarge(facts=facts))


def unmapped(physnet: str, have: list[str]) -> PhysnetUnmapped:
    """The error for a physical network that is not mapped."""
    return PhysnetUnmapped(
        facts={"wanted": physnet, "have": have},
        hint="add it to physical_interface_mappings, or for flat networks to bridge_mappings, in "
        "[linuxbridge] of agent.conf",
    )
