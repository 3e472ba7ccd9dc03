"""Which ports of this host are parents of trunks, and which are their sub-ports: what of it cannot
be. An index, so that a look costs the same at any number of ports."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.model import Attachment
from vifd.model.extensions import SubPort
from vifd.model.trunks import SUB_PORT_OWNER, is_sub_port, own_vlan

#: What speaks against a port, and the other port that it is about.
Clash = tuple[str, str]


class Kinship:
    """Kept up to date port by port; not thread-safe."""

    def __init__(self) -> None:
        self._ports: dict[str, Attachment] = {}
        self._parents: dict[str, set[str]] = {}
        self._trunks: dict[str, set[str]] = {}

    def put(self, attachment: Attachment) -> None:
        """Add a port that was dropped before."""
        self._ports[attachment.id] = attachment
        trunk = attachment.port.trunk_details
        if trunk is not None:
            self._trunks.setdefault(trunk.trunk_id, set()).add(attachment.id)
            for sub_port in trunk.sub_ports:
                self._parents.setdefault(sub_port.port_id, set()).add(attachment.id)

    def drop(self, port_id: str) -> None:
        """Forget a port; one that is not known is no error."""
        known = self._ports.pop(port_id, None)
        trunk = known.port.trunk_details if known is not None else None
        if trunk is not None:
            _discard(self._trunks, trunk.trunk_id, port_id)
            for sub_port in trunk.sub_ports:
                _discard(self._parents, sub_port.port_id, port_id)

    def clashes(self, attachment: Attachment) -> Iterator[Clash]:
        """Why a port cannot be what its document says beside the others."""
        if attachment.port.trunk_details is not None:
            yield from self._of_parent(attachment)
        for parent in sorted(self._parents.get(attachment.id, ())):
            yield from self._of_child(attachment, parent)

    def _of_parent(self, attachment: Attachment) -> Iterator[Clash]:
        trunk = attachment.port.trunk_details
        if trunk is None:
            return
        for other in sorted(self._trunks.get(trunk.trunk_id, set()) - {attachment.id}):
            yield f"trunk {trunk.trunk_id} has a parent here, port {other}", other
        for sub_port in trunk.sub_ports:
            child = sub_port.port_id
            for other in sorted(self._parents.get(child, set()) - {attachment.id}):
                yield f"port {child} is a sub-port of port {other} already", child
            known = self._ports.get(child)
            if known is not None and not is_sub_port(known):
                yield f"port {child} has a device of its own on this host", child
            elif known is not None:
                yield from self._vlan(known, attachment)

    def _of_child(self, attachment: Attachment, parent: str) -> Iterator[Clash]:
        if not is_sub_port(attachment):
            problem = f"port {parent} of this host has the port as a sub-port, and the port's "
            yield f"{problem}device_owner is not {SUB_PORT_OWNER}", parent
        elif parent in self._ports:
            yield from self._vlan(attachment, self._ports[parent])

    def _vlan(self, child: Attachment, parent: Attachment) -> Iterator[Clash]:
        """Whether a sub-port that inherits its VLAN has one, and has it alone."""
        found = parent.port.trunk_details.sub_ports if parent.port.trunk_details else []
        mine = next((s for s in found if s.port_id == child.id), None)
        if mine is None:
            return
        vlan = mine.segmentation_id or own_vlan(child)
        if vlan is None:
            kind = child.network.segment.network_type
            problem = f"port {child.id} shall inherit the VLAN of its network, which is {kind}"
            yield problem, parent.id
            return
        for other in found:
            inherits = None in (mine.segmentation_id, other.segmentation_id)
            taken = other.segmentation_id or self._inherited(other)
            if inherits and other.port_id != child.id and vlan == taken:
                yield f"sub-ports {child.id} and {other.port_id} have VLAN {vlan}", other.port_id

    def _inherited(self, sub_port: SubPort) -> int | None:
        known = self._ports.get(sub_port.port_id)
        return own_vlan(known) if known is not None else None


def _discard(index: dict[str, set[str]], key: str, port_id: str) -> None:
    held = index.get(key, set())
    held.discard(port_id)
    if not held:
        index.pop(key, None)
