"""A host whose networks are bridges of the kernel, on the same underlay as those with a switch."""

from __future__ import annotations

import contextlib
from typing import Any

from contract import linuxbridge as make
from functional.linux_scene import LinuxScene
from functional.tunnels.hosts import Fabric, Sets, network, underlay_ip
from support.checksums import whole
from vifd.model import Attachment
from vifd.model.sets import Endpoint, Forwarding, SetKey, SetKind
from vifd.plugin import SetChange
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.ledger import Ledger
from vifd.testing.netns import Namespace


class BridgeHost(contextlib.ExitStack):
    """One host of vifd with the plugin for Linux bridges.

    :ivar wire: what it sends on its cable
    """

    def __init__(self, fabric: Fabric, number: int, version: int = 4, **options: Any) -> None:
        super().__init__()
        self.number = number
        self.space = self.enter_context(Namespace(f"host{number}"))
        fabric.lay(self)  # type: ignore[arg-type]
        self.wire = self.enter_context(fabric.space.run(PacketGuest, f"f{number}"))
        for ip in (4, 6):
            length = 24 if ip == 4 else 64
            address = f"{underlay_ip(number, ip)}/{length}"
            self.ip("addr", "add", address, "dev", "up", *["nodad"] * (ip == 6))
        self.ip("link", "set", "dev", "up", "up")
        self.space.run(whole, "up")
        self.sets = Sets()
        settings = {"local_ip": underlay_ip(number, version), **options}
        self.scene = self.enter_context(LinuxScene(self.space, **settings))
        self.ledger = self.scene.ledger = Ledger(
            self.scene.drivers, lambda host: make.plugin(host, **settings), sets=self.sets
        )
        self.space.run(self.ledger.plugin.probe)

    def ip(self, *arguments: str) -> None:
        """The program, in the host's namespace."""
        self.space.command(["ip", *arguments])

    def guests(self, *wanted: Attachment) -> list[TapGuest]:
        """Plug ports and switch their guests on."""
        return self.scene.guests(*wanted)

    def know(self, *endpoints: Endpoint, number: int = 1) -> set[str]:
        """Have other endpoints of a network; the ports that changed."""
        before = self.sets.forwarding(network(number))
        after = Forwarding(id=network(number), endpoints=endpoints)
        self.sets.all[network(number)] = after
        change = SetChange(SetKey(SetKind.FORWARDING, network(number)), before, after)
        return set(self.ledger.plugin.refresh([change]))

    @property
    def entries(self) -> set[tuple[str, str]]:
        """What the VXLAN device of the network knows: address and endpoint."""
        return {(e.mac, e.remote) for e in self.scene.bridging.tunnels("vxlan-101")}
