"""A host with a real switch and the OVS plugin, driven as the engine drives it."""

from __future__ import annotations

from typing import Any

from contract import ovs as make
from functional.plugged import PluggedPorts
from vifd.model import Attachment
from vifd.plugin import Host, VifPlugin
from vifd.testing.guests import TapGuest
from vifd.testing.ledger import Ledger
from vifd.testing.machines import RealMachine
from vifd.testing.sandbox import PrivateOvs


class Scene(PluggedPorts):
    """Ports, guests and the switch that joins them; everything goes when it closes.

    :param options: of the plugin's group
    """

    def __init__(self, ovs: PrivateOvs, **options: Any) -> None:
        super().__init__()
        self.ovs = ovs
        self.bridge = options.get("integration_bridge", "br-int")
        self.machine = RealMachine(ovs)
        self.ledger = Ledger(self.machine.drivers, lambda host: self._plugin(host, options))
        self.callback(self.machine.close)
        self.callback(self._remove_ports)

    def _plugin(self, host: Host, options: dict[str, Any]) -> VifPlugin:
        return make.plugin(host, **options)

    def number(self, port_id: str) -> int:
        """A port's OpenFlow number."""
        return int(self.ledger.records[port_id].names.details["ofport"])

    def guest(self, port_id: str, *, multi_queue: bool = False) -> TapGuest:
        """Switch the guest on, and wait until kernel and switch have seen its carrier."""
        self.ovs.wait_for_no_carrier(self.device(port_id))
        guest = self.enter_context(TapGuest(self.device(port_id), multi_queue))
        self.ovs.wait_for_carrier(guest.name)
        return guest

    def guests(self, *attachments: Attachment) -> list[TapGuest]:
        """Plug ports and switch their guests on."""
        return [self.guest(port_id) for port_id in self.plug(*attachments)]

    def settle(self) -> None:
        """Wait until the datapath has forgotten what it learned from earlier flows: it follows a
        change of the flow tables within milliseconds, not at once."""
        self.ovs.revalidated()

    def counted(self, port_id: str) -> int:
        """Packets that ended in the port's flow for spoofed ones."""
        match = f"table=140,in_port={self.number(port_id)}"
        text = self.ovs.ofctl("dump-flows", self.bridge, match)
        return sum(
            int(word.removeprefix("n_packets="))
            for word in text.replace(",", " ").split()
            if word.startswith("n_packets=")
        )
