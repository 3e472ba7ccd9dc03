"""Physical network interfaces: virtual functions, embedded switches, where they sit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.tree import Tree, Unreadable

NET = "sys/class/net"
#: Drivers that let a virtual function be trusted (ndo_set_vf_trust of Linux).
_TRUST = frozenset({"bnxt_en", "i40e", "ice", "igb", "ixgbe", "mlx5_core", "nfp"})


@dataclass
class Nics:
    """The interfaces that stand for a card; those that software made are passed over.

    :param eswitch: the mode of a card's embedded switch by its PCI address, empty for none
    """

    tree: Tree
    eswitch: Callable[[str], str]
    name: str = "interfaces"
    interval: float = 60.0

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        asked = (names.SRIOV, names.SWITCHDEV, names.VF_TRUST, names.NIC_MULTIQUEUE)
        with found.asking(*asked, names.VIF_MODELS["sriov"]):
            cards, troubles = self._cards()
            self._functions(found, cards, troubles)
            self._several(found, cards)

    def _cards(self) -> tuple[dict[str, dict[str, Any]], list[str]]:
        cards, troubles = {}, []
        for name in self.tree.names(NET):
            if not self.tree.exists(f"{NET}/{name}/device"):
                continue
            try:
                cards[name] = self._card(name)
            except (Unreadable, OSError) as problem:
                troubles.append(f"{name}: {problem}")
        return cards, troubles

    def _card(self, name: str) -> dict[str, Any]:
        device = f"{NET}/{name}/device"
        total = self.tree.number(f"{device}/sriov_totalvfs") or 0
        node = self.tree.number(f"{device}/numa_node")
        card: dict[str, Any] = {
            "driver": self.tree.target(f"{device}/driver"),
            "pci": self._address(name),
            "numa_node": None if node is None or node < 0 else node,
            "queues": sum(q.startswith("rx-") for q in self.tree.names(f"{NET}/{name}/queues")),
        }
        if self.tree.exists(f"{device}/physfn"):
            card["function_of"] = self.tree.target(f"{device}/physfn")
        if total:
            card["vfs_total"] = total
            card["vfs"] = self.tree.number(f"{device}/sriov_numvfs") or 0
            card["vf_drivers"] = self._vf_drivers(device)
            card["eswitch"] = self._mode(name, card["pci"])
        return card

    def _address(self, name: str) -> str:
        """The PCI address; empty for a card on another bus."""
        address = self.tree.target(f"{NET}/{name}/device")
        return address if address.count(":") == 2 and "." in address else ""

    def _vf_drivers(self, device: str) -> dict[str, int]:
        """How many virtual functions each driver has; those without one count as ``none``."""
        counts: dict[str, int] = {}
        for entry in self.tree.names(device):
            if entry.startswith("virtfn"):
                driver = self.tree.target(f"{device}/{entry}/driver") or "none"
                counts[driver] = counts.get(driver, 0) + 1
        return counts

    def _mode(self, name: str, pci: str) -> str:
        """What devlink says, else whether the interface belongs to a switch."""
        mode = ""
        if pci:
            try:
                mode = self.eswitch(pci)
            except OSError:
                mode = ""
        return mode or ("switchdev" if self._switch_id(name) else "unknown")

    def _switch_id(self, name: str) -> str:
        try:
            return self.tree.text(f"{NET}/{name}/phys_switch_id") or ""
        except Unreadable:  # the usual answer of an interface that has none
            return ""

    # --- what follows from it ---

    def _functions(
        self, found: Findings, cards: dict[str, dict[str, Any]], troubles: list[str]
    ) -> None:
        able = {name: card for name, card in cards.items() if card.get("vfs_total")}
        offloading = {n: card for n, card in able.items() if card["eswitch"] == "switchdev"}
        seen = f"/{NET}: {len(cards)} interfaces of cards"
        if troubles:
            seen += f"; not readable: {'; '.join(troubles)}"
        none: bool | None = None if troubles else False
        found.judge(
            names.SRIOV, bool(able) or none, f"{seen}; {len(able)} with virtual functions",
            "a network card with SR-IOV, switched on in the firmware", able,
        )  # fmt: skip
        found.judge(
            names.SWITCHDEV, bool(offloading) or none,
            f"{seen}; {len(offloading)} whose embedded switch is in mode switchdev",
            "a card with an embedded switch: devlink dev eswitch set pci/ADDRESS mode switchdev",
            offloading,
        )  # fmt: skip
        self._trust(found, able, seen)
        made = {name: card for name, card in able.items() if card["vfs"]}
        found.judge(
            names.VIF_MODELS["sriov"], bool(made) or none,
            f"{seen}; {len(made)} that have made virtual functions",
            "virtual functions: write their number to sriov_numvfs of a card with SR-IOV",
            sorted(made),
        )  # fmt: skip

    def _trust(self, found: Findings, able: dict[str, dict[str, Any]], seen: str) -> None:
        """Whether virtual functions can be trusted; of drivers not known here nothing is said."""
        trusting = {name: card["driver"] for name, card in able.items() if card["driver"] in _TRUST}
        told = ", ".join(f"{name}: {card['driver']}" for name, card in able.items()) or "none"
        evidence = f"{seen}; drivers of those with virtual functions: {told}"
        present = True if trusting else None if able else False
        missing = "a network card with SR-IOV whose driver can trust its virtual functions"
        found.judge(names.VF_TRUST, present, evidence, missing, trusting)

    def _several(self, found: Findings, cards: dict[str, dict[str, Any]]) -> None:
        several = {name: card["queues"] for name, card in cards.items() if card["queues"] > 1}
        evidence = f"/{NET}: {len(several)} of {len(cards)} cards with more than one queue"
        missing = "a network card with several queues"
        found.judge(names.NIC_MULTIQUEUE, bool(several), evidence, missing, several)
