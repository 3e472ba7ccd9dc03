"""Activate and deactivate: whether the row tells OVN which logical port it is."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from vifd.drivers import Ovsdb
from vifd.errors import BackendError
from vifd.plugin import Item
from vifd_ovn.batch import Batch, Work
from vifd_ovn.marks import GATE
from vifd_ovs.bridge import marks


def set_gates(ovsdb: Ovsdb, items: Sequence[Item], *, opened: bool) -> Batch:
    """One transaction for all. A port that is gone cannot be opened, and is closed already."""
    batch = Batch.of(items)
    for work in batch:
        if opened and not marks.belongs(ovsdb.port(work.device), work.id):
            problem = f"there is no port {work.device} of this port on the switch"
            facts = {"backend": "Open vSwitch", "problem": problem}
            batch.fail(work, BackendError(facts=facts), "gate")

    def step(works: Sequence[Work]) -> None:
        gates: dict[str, dict[str, str | None]] = {}
        for work in works:
            row = ovsdb.port(work.device)
            wanted = work.id if opened else None
            if not opened:
                # whoever closes a port wants it closed, whatever OVN did before
                work.names = replace(work.names, held=False)
            if row is None or not marks.belongs(row, work.id):
                continue
            if row.external_ids.get(GATE) != wanted:
                gates[work.device] = {GATE: wanted}
        if gates:
            ovsdb.set_external_ids(gates)

    batch.together("gate", step)
    return batch
