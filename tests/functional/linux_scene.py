"""A host with real bridges and the Linux bridge plugin, driven as the engine drives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract import linuxbridge as make
from functional.plugged import PluggedPorts
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.testing.guests import TapGuest
from vifd.testing.ledger import Ledger
from vifd.testing.machines import LinuxMachine
from vifd.testing.netns import Namespace
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.testing import quiet_netfilter


class LinuxScene(PluggedPorts):
    """Ports and guests on one host; everything goes when it closes.

    :param space: the namespace that is the host; the test's own by default
    :param options: of the plugin's group
    """

    def __init__(self, space: Namespace | None = None, /, **options: Any) -> None:
        super().__init__()
        self.run: Callable[..., Any] = space.run if space else lambda call, *a: call(*a)
        self.run(quiet_netfilter)
        self.machine: LinuxMachine = self.run(LinuxMachine)
        self.drivers = self.machine.drivers
        self.ledger = Ledger(self.drivers, lambda host: make.plugin(host, **options))
        self.callback(self.machine.close)
        assert self.drivers.nft is not None
        assert self.drivers.bridging is not None
        self.nft, self.bridging = self.drivers.nft, self.drivers.bridging
        self.callback(self.nft.delete_table, TABLE)
        self.callback(self._remove_ports)
        self.ledger.plugin.probe()

    def unmet(self, attachment: Attachment) -> list[VifError]:
        """What this host lacks for a port, before anything is made."""
        self.ledger.plugin.probe()
        requirements = self.ledger.plugin.requires(attachment)
        return [r.error for r in requirements if not r.met and r.error is not None]

    def bridge(self, port_id: str) -> str:
        """The name of a port's bridge."""
        return str(self.ledger.records[port_id].names.details["bridge"])

    def guest(self, port_id: str) -> TapGuest:
        """Switch the guest on, and wait until its carrier is seen: by the bridge if it is open."""
        name = self.device(port_id)
        guest: TapGuest = self.enter_context(self.run(TapGuest, name))
        until(lambda: self.bridging.get([name])[name].link.carrier, f"{name} has a carrier")
        if self.bridging.get([name])[name].master is not None:
            self.forwards(name)
        return guest

    def forwards(self, name: str) -> None:
        """Wait until a bridge forwards for a port."""
        until(lambda: self.bridging.get([name])[name].forwarding, f"the bridge takes {name} up")

    def guests(self, *attachments: Attachment, opened: bool = True) -> list[TapGuest]:
        """Plug ports and switch their guests on."""
        return [self.guest(port_id) for port_id in self.plug(*attachments, opened=opened)]
