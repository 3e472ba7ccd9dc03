"""What the kernel's packet filter takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.modules import OPTIONS, Modules, State

_FAMILIES = ((names.NFT_BRIDGE, "bridge"), (names.NFT_INET, "inet"), (names.NFT_NETDEV, "netdev"))


@dataclass
class PacketFilter:
    """The families of nftables.

    :param lacking: why the kernel takes no chain of a family; ``None`` where it does
    """

    modules: Modules
    lacking: Callable[[str], str | None]
    name: str = "nftables"
    interval: float = 300.0

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`. A module that is there and not loaded is
        not asked, because that would load it."""
        for name, family in _FAMILIES:
            with found.asking(name):
                self._family(found, name, family)
        with found.asking(names.NFT_BRIDGE_CT):
            module = "nf_conntrack_bridge"
            tracking, place = self.modules.state(module)
            evidence = f"module {module}: {tracking} ({place})"
            missing = f"the module {module}: a kernel from 5.3 on with CONFIG_{OPTIONS[module]}"
            found.judge(names.NFT_BRIDGE_CT, tracking.there, evidence, missing)

    def _family(self, found: Findings, name: str, family: str) -> None:
        state, where = self.modules.state("nf_tables")
        if state is State.LOADABLE:
            found.has(name, f"module nf_tables is {state}: {where}")
            return
        reason = self.lacking(family)
        missing = f"a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_{family.upper()}"
        evidence = reason or f"a chain of family {family} was judged by the kernel: it takes it"
        found.judge(name, reason is None, evidence, missing)
