"""What a host can do, as people read it. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vifd.cli.report import clean, flat

WIDTH = 76

#: Prefixes of names that need no saying below their heading, the longest first.
_PREFIXES = (
    "CUSTOM_KERNEL_", "CUSTOM_OVS_", "CUSTOM_QEMU_", "CUSTOM_", "COMPUTE_NET_", "COMPUTE_",
    "HW_NIC_", "HW_CPU_X86_", "HW_",
)  # fmt: skip
#: Names that are listed together: what they begin with, and the word for them.
_FAMILIES = (
    ("COMPUTE_NET_VIF_MODEL_", "interface models"),
    ("COMPUTE_VIOMMU_MODEL_", "IOMMU models"),
    ("CUSTOM_MACHINE_TYPE_", "machine types"),
    ("CUSTOM_VIRT_TYPE_", "virtualisation"),
    ("CUSTOM_OVS_IFACE_", "interface types"),
    ("CUSTOM_OVS_DATAPATH_", "datapaths"),
    ("CUSTOM_HUGEPAGES_", "large pages"),
    ("CUSTOM_PHYSNET_", "physical networks"),
    ("CUSTOM_TUNNEL_", "tunnels"),
    ("CUSTOM_VNIC_TYPE_", "vnic types"),
)
#: A family with more members than this is counted and not listed.
_MANY = 24
#: Sources in the order of reading, with their headings.
HEADINGS = {
    "kernel": "kernel",
    "nftables": "packet filter",
    "memory": "memory",
    "interfaces": "network cards",
    "openvswitch": "Open vSwitch",
    "hypervisor": "guests",
    "plugins": "networks",
}
Capability = Mapping[str, Any]


class Line(NamedTuple):
    """A line of text, to be wrapped to what room there is."""

    text: str
    mark: str = ""
    indent: str = "  "

    def wrapped(self, width: int) -> list[str]:
        return textwrap.wrap(
            self.mark + clean(self.text), width, subsequent_indent=self.indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def short(name: str) -> str:
    """A capability's name without what every name has."""
    prefix = next((p for p in _PREFIXES if name.startswith(p) and name != p), "")
    return clean(name.removeprefix(prefix).lower().replace("_", " "))


def rows(
    found: Mapping[str, Any], *, evidence: bool = False, width: int = WIDTH
) -> Iterator[tuple[str, str]]:
    """Heading and text of each part of the answer.

    :param evidence: say of every capability where it was read
    :param width: characters of a line of text
    """
    for name, lines in _parts(found, evidence=evidence):
        yield name, "\n".join(piece for line in lines for piece in line.wrapped(width))


def beside(found: Mapping[str, Any]) -> int:
    """Characters that the headings take of a line of the table, with its rules."""
    return max(len(name) for name, _ in _parts(found, evidence=False)) + 7


def _parts(found: Mapping[str, Any], *, evidence: bool) -> Iterator[tuple[str, list[Line]]]:
    yield "host", _machine(found)
    inventory = found.get("inventory") or {}
    by_source: dict[str, list[Capability]] = {}
    for capability in inventory.get("capabilities", ()):
        by_source.setdefault(capability["source"], []).append(capability)
    sources = {source["name"]: source for source in inventory.get("sources", ())}
    for name in [*HEADINGS, *(n for n in by_source if n not in HEADINGS)]:
        if name in by_source or name in sources:
            lines = _source(sources.get(name, {}), by_source.get(name, []), evidence=evidence)
            yield HEADINGS.get(name, name), lines
    for name, plugin in (found.get("plugins") or {}).items():
        yield f"plugin {clean(name)}", _plugin(plugin)


def _machine(found: Mapping[str, Any]) -> list[Line]:
    inventory = found.get("inventory") or {}
    facts = (found.get(k, "-") for k in ("host", "kernel", "machine", "vifd"))
    line = "{}: Linux {}, {}, vifd {}".format(*map(clean, map(str, facts)))
    if not inventory.get("at"):
        return [Line(line)]
    read = f"read {inventory['age']:.0f} s ago (--refresh reads it anew; --evidence tells where"
    return [Line(line), Line(f"{read} each was read, and how to get what lacks)", indent="")]


def _source(
    source: Mapping[str, Any], capabilities: Sequence[Capability], *, evidence: bool
) -> list[Line]:
    lines = []
    if source.get("problem"):
        lines.append(Line(f"{source['problem']}: what follows may be outdated", "! "))
    if not capabilities:
        lines.append(Line("nothing" if source.get("at") else "nothing is known yet"))
    for mark, present in (("✓", True), ("✗", False), ("?", None)):
        told = [c for c in capabilities if c["present"] is present]
        lines += _explained(mark, told) if evidence else _listed(mark, told)
    return lines


def _listed(mark: str, capabilities: Sequence[Capability]) -> list[Line]:
    """Names and values; those of a family on a line of their own."""
    families: dict[str, list[str]] = {}
    for capability in capabilities:
        prefix, label = _family(capability["name"])
        families.setdefault(label, []).append(_word(capability, prefix))
    lines = []
    for label, words in families.items():
        text = f"{len(words)} of them" if len(words) > _MANY else ", ".join(words)
        lines.append(Line(f"{label}: {text}" if label else text, f"{mark} "))
    return lines


def _explained(mark: str, capabilities: Sequence[Capability]) -> list[Line]:
    """Each with where it was read, and how to get what lacks."""
    lines = []
    for capability in capabilities:
        prefix, label = _family(capability["name"])
        name = f"{label}: {_word(capability, prefix)}" if label else _word(capability)
        stale = f"; {capability['stale']}" if capability.get("stale") else ""
        age = f"{capability['age']:.0f} s ago{stale}"
        lines.append(Line(f"{name}: {capability['evidence']} ({age})", f"{mark} "))
        if capability["missing"] and not capability["present"]:
            lines.append(Line(str(capability["missing"]), "    needs ", " " * 10))
    return lines


def _family(name: str) -> tuple[str, str]:
    return next((pair for pair in _FAMILIES if name.startswith(pair[0])), ("", ""))


def _word(capability: Capability, prefix: str = "") -> str:
    """A name with its value."""
    name = capability["name"]
    said = clean(name.removeprefix(prefix).lower()) if prefix else short(name)
    value = capability["value"]
    stale = " (stale)" if capability.get("stale") else ""
    if value in (None, True, "", [], {}) or _alike(str(value), name):
        return (clean(value) if isinstance(value, str) and value else said) + stale
    if isinstance(value, Mapping | list):
        return f"{said} ({_inside(value)}){stale}"
    if not capability["present"]:
        return said + stale
    return f"{said} {clean(str(value))}{stale}"


def _alike(value: str, name: str) -> bool:
    """Whether a value is what the name was made of."""
    return bool(value) and name.endswith("_" + re.sub(r"[^0-9A-Za-z]+", "_", value).upper())


def _inside(value: Mapping[str, Any] | list[Any]) -> str:
    if isinstance(value, list):
        return ", ".join(map(flat, value))
    parts = []
    for key, member in value.items():
        if isinstance(member, Mapping) and "device" in member:
            parts.append(f"{clean(str(key))}: {uplink(member)}")
        elif isinstance(member, Mapping) and member.keys() == {"total", "free"}:
            parts.append(f"node {clean(str(key))}: {member['total']}, {member['free']} free")
        else:
            parts.append(f"{clean(str(key))}: {flat(member)}")
    return ", ".join(parts)


def uplink(way: Mapping[str, Any]) -> str:
    """How a network leaves the host, in a few words."""
    link = {True: "up", False: "down"}.get(way.get("up"), "link unknown")  # type: ignore[arg-type]
    where = f" from {way['local_ip']}" if way.get("local_ip") else ""
    return clean(f"{way.get('device') or '-'}{where} {link}, MTU {way.get('mtu') or 'unknown'}")


def _plugin(plugin: Mapping[str, Any]) -> list[Line]:
    """A plugin's state, what it lacks, and the networks that it reaches."""
    lines = [Line(str(plugin.get("state", "-")))]
    lines += [Line(str(reason), "✗ ") for reason in plugin.get("reasons") or ()]
    for kind, ways in (("", "physical_networks"), ("tunnels ", "tunnels")):
        for name, way in (plugin.get(ways) or {}).items():
            mark = {True: "✓ ", False: "✗ "}.get(way.get("up"), "? ")
            # the reasons have told already why one is down
            told = way.get("problem") and way.get("up") is not False
            problem = f": {way['problem']}" if told else ""
            lines.append(Line(f"{kind}{clean(str(name))} by {uplink(way)}{problem}", mark))
    return lines
