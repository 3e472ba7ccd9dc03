"""Observe: what on this host bears the plugin's mark."""

from __future__ import annotations

from msgspec.structs import replace

from vifd.drivers import MARK, Bridging, Link, Links, Nft
from vifd.drivers.nft.objects import Chain
from vifd.errors import VifError
from vifd.model import Role, Wiring, restore
from vifd.plugin import Observed
from vifd_linuxbridge import marks, ruleset, wiring
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.ruleset import OPEN, TABLE
from vifd_linuxbridge.wiring import LinuxWiring


class Observing:
    """One ``observe`` call. A port's chain is the first that is made and the last that goes, so
    there is one for whatever else there is; its notes hold the document."""

    def __init__(self, links: Links, bridging: Bridging, nft: Nft, settings: Settings) -> None:
        self.links = links
        self.bridging = bridging
        self.nft = nft
        self.settings = settings

    def run(self, plugin: str, vif_type: str) -> list[Observed]:
        """One entry per port, with names enough to remove it."""
        chains = self.nft.list_chains(TABLE)
        if not chains:
            return []
        opened = self.nft.list_elements(TABLE, OPEN)
        marked = {link.name: link for link in self.links.marked(MARK)}
        found, further = [], ruleset.further(chains)
        for name, chain in chains.items():
            port_id = marks.port_of(chain.comment)
            if port_id is None or name in further:
                continue
            role = Role.ACTIVE if name in opened else Role.INACTIVE
            found.append(self._port(port_id, chain, role, marked, (plugin, vif_type)))
        return found

    def _port(
        self, port_id: str, chain: Chain, role: Role, marked: dict[str, Link],
        kind: tuple[str, str],
    ) -> Observed:  # fmt: skip
        document = marks.document(chain.rules, role)
        link = marked.get(chain.name)
        names = self._names(document, port_id) or self._bare(chain.name, marked)
        if link is not None and not names.sub_port:
            names = replace(names, ifindex=link.ifindex, multi_queue=link.multi_queue)
        objects = [f"chain {chain.name}"]
        if link is not None:
            objects.append(f"device {link.name}")
        if names.bridge in marked:
            objects.append(f"bridge {names.bridge}")
        plugged = Wiring(*kind, chain.name, names.details())
        return Observed(port_id, plugged, document=document, objects=tuple(objects))

    def _names(self, document: dict[str, object] | None, port_id: str) -> LinuxWiring | None:
        if document is None:
            return None
        try:
            attachment = restore(document, port_id=port_id).attachment
        except VifError:
            return None
        return wiring.plan(attachment, self.settings, multi_queue=False)

    def _bare(self, device: str, marked: dict[str, Link]) -> LinuxWiring:
        """What the host itself tells: the bridge that the tap is on, if it is ours."""
        there = self.bridging.get([device]).get(device)
        master = there.master if there is not None else None
        bridge = next((k for k in marked.values() if k.ifindex == master), None)
        if bridge is None or not marks.is_network(bridge.alias):
            return LinuxWiring(bridge="", network_id="", own_bridge=False)
        return LinuxWiring(bridge=bridge.name, network_id=marks.network_of(bridge.alias))
