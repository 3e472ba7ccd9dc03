"""Activate and deactivate: one bundle of flows for each bridge.

The switch follows a change of its tables within milliseconds, not at once: until then it passes
packets by what it remembers. Closed shall be in force when the call returns.
"""

from __future__ import annotations

from collections.abc import Sequence

from vifd.plugin import Item
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.switch import Switch


def set_gates(switches: dict[str, Switch], items: Sequence[Item], *, opened: bool) -> Batch:
    """Open or close the ports of a batch; one bundle per bridge."""
    batch = Batch.of(items)
    for name, works in batch.bridges().items():

        def step(chosen: Sequence[Work], switch: Switch = switches[name]) -> None:
            shared = [w for w in chosen if w.names.port_tag is not None]
            switch.retag({w.device: w.names.row_tag(opened=opened) for w in shared})
            ports = {w.id: switch_port(w.item.attachment, w.names, opened=opened) for w in chosen}
            switch.apply(ports)

        batch.together("open" if opened else "close", step, works)
        if not opened:
            switches[name].settle()
    return batch
