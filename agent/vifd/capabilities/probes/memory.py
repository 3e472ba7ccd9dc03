"""Large pages and NUMA nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.tree import Tree

NODES = "sys/devices/system/node"
#: Where a kernel without NUMA tells its large pages.
FLAT = "sys/kernel/mm/hugepages"

_NODE = re.compile(r"^node(\d+)$")
_SIZE = re.compile(r"^hugepages-(\d+)kB$")

#: By size in KiB, by node: how many there are, and how many are free.
Pages = dict[int, dict[str, dict[str, int]]]


@dataclass
class Memory:
    """The memory that guests can be backed by. Free counts change with every guest."""

    tree: Tree
    name: str = "memory"
    interval: float = 30.0

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        with found.asking(names.NUMA):
            self._numa(found)
        with found.asking(names.HUGEPAGES):
            self._pages(found)

    def _nodes(self) -> list[str]:
        return [m[1] for entry in self.tree.names(NODES) if (m := _NODE.match(entry))]

    def _numa(self, found: Findings) -> None:
        nodes = {n: self.tree.text(f"{NODES}/node{n}/cpulist") or "" for n in self._nodes()}
        evidence = f"/{NODES} has {len(nodes)} nodes"
        found.judge(names.NUMA, bool(nodes), evidence, "a kernel with CONFIG_NUMA", nodes)

    def _pages(self, found: Findings) -> None:
        pages = self._read()
        missing = "pages of the size: write a number to nr_hugepages, or boot with hugepages="
        for kib, nodes in sorted(pages.items()):
            total = sum(node["total"] for node in nodes.values())
            free = sum(node["free"] for node in nodes.values())
            evidence = f"{total} pages of {kib} KiB, {free} free (hugepages-{kib}kB)"
            found.judge(names.hugepages(kib), bool(total), evidence, missing, nodes)
        sizes = {kib: sum(n["total"] for n in nodes.values()) for kib, nodes in pages.items()}
        counts = ", ".join(f"{count} of {kib} KiB" for kib, count in sorted(sizes.items()))
        evidence = f"large pages: {counts or 'the kernel has none'}"
        found.judge(names.HUGEPAGES, any(sizes.values()), evidence, missing)
        found.whole(names.HUGEPAGES_PREFIX, "the processor has no pages of that size", "")

    def _read(self) -> Pages:
        pages: Pages = {}
        places = {n: f"{NODES}/node{n}/hugepages" for n in self._nodes()} or {"0": FLAT}
        for node, place in places.items():
            for entry in self.tree.names(place):
                if size := _SIZE.match(entry):
                    counts = {
                        "total": self.tree.number(f"{place}/{entry}/nr_hugepages") or 0,
                        "free": self.tree.number(f"{place}/{entry}/free_hugepages") or 0,
                    }
                    pages.setdefault(int(size[1]), {})[node] = counts
        return pages
