"""The rigs of :mod:`functional.groups.rig` on the kernel's bridge: fakes, and the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract import linuxbridge as make
from functional.groups.rig import Rig, Sending
from functional.linux_scene import LinuxScene
from support.nfttracking import Bridge
from vifd.drivers import conntrack
from vifd.drivers.netlink import NETFILTER, Socket
from vifd.drivers.nft import reading
from vifd.drivers.nft.objects import TABLE, Chain, Change
from vifd.model import Attachment
from vifd.plugin.logged import LogDesk
from vifd.testing.guests import Guest
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd.testing.sets import MemorySets
from vifd_linuxbridge.grouprules import PREFIX

MAPPED = ["physnet1:eth-phys"]


class BridgeRig(Rig):
    """What both rigs know of the plugin."""

    finding = "nft.groups"

    def device(self, name: str) -> str:
        """The device of a port; of the wire, the way out of the host."""
        if name == "wire":
            return "eth-phys"
        return self.ledger.records[self.names[name]].names.device

    def zone_of(self, name: str) -> int:
        """The zone of a port's network."""
        details = self.ledger.records[self.names[name]].names.details
        plugin: Any = self.ledger.plugin
        known = plugin._means.groups.table.zones.known((details["bridge"], details.get("vlan")))
        return int(known or 0)

    def damage(self) -> None:
        nft = self.nft
        name = next(n for n, c in sorted(nft.list_chains(TABLE).items())
                    if n.startswith(PREFIX) and len(c.rules) > 1)  # fmt: skip
        chain = nft.list_chains(TABLE)[name]
        nft.apply(TABLE, Change(chains=[type(chain)(name, chain.rules[1:])]))

    def unlog(self) -> set[str]:
        nft = self.nft
        names = [name for name in nft.list_chains(TABLE) if name.endswith(("-logd", "-loga"))]
        nft.apply(TABLE, Change(chains=[Chain(name) for name in names]))
        return {"nft.told"}

    def reconnect(self) -> None:
        """There is nothing to be connected to."""

    def state(self) -> set[str]:
        nft = self.nft
        sets = nft.addresses(TABLE, nft.list_sets(TABLE))
        told = {f"{name}: {sorted(there)}" for name, there in sets.items()}
        return told | {str(chain) for chain in nft.list_chains(TABLE).values()}

    @property
    def nft(self) -> Any:
        """The driver."""
        return self.ledger.drivers.nft


class FakeBridgeRig(BridgeRig):
    """Fakes that keep state."""

    def __init__(self, *, logs: LogDesk | None = None, **options: Any) -> None:
        super().__init__()
        self.machine = FakeMachine()
        self.machine.links.place("eth-phys", kind="", mtu=1500, up=True, carrier=True)
        self.sets, self.names = MemorySets(), {}
        self._options = {"physical_interface_mappings": MAPPED, **options}
        self.ledger = Ledger(
            self.machine.drivers, lambda host: make.plugin(host, **self._options), sets=self.sets,
            logs=logs,
        )  # fmt: skip
        self.ledger.plugin.probe()
        self._bridge: Bridge | None = None
        self._sent = 0

    def restart(self) -> None:
        super().restart()
        self.ledger.plugin.probe()
        self._sent = self._changes()

    def _changes(self) -> int:
        return sum(call == "apply" for call in self.machine.nft.calls)

    def changes(self) -> int:
        return self._changes() - self._sent

    @property
    def bridge(self) -> Bridge:
        """The bridge of the ports' network."""
        if self._bridge is None:
            record = self.ledger.records[self.names["port"]]
            name = str(record.names.details["bridge"])
            self._bridge = Bridge(self.machine.nft, TABLE, name)
        return self._bridge

    def connections(self, name: str) -> Callable[[], list[str]]:
        zone = self.zone_of(name)
        return lambda: [str(ends) for ends in self.bridge.connections.zones.get(zone, {})]

    def forget(self) -> None:
        self.bridge.connections.clear()
        self.bridge.marks.clear()

    def throw(self, sender: str, frame: bytes) -> None:
        self.arrives(sender, frame, sender)

    def arrives(self, sender: str, frame: bytes, receiver: str) -> bool:
        self.machine.links.count(self.device(sender), received=len(frame))
        records = {name: self.ledger.records[i] for name, i in self.names.items()
                   if i in self.ledger.records}  # fmt: skip
        target = frame[:6].hex(":")
        known = [name for name, r in records.items() if r.attachment.mac == target]
        others = [name for name in (*records, "wire") if name != sender]
        towards = {self.device(name): name for name in (known or others)}
        given = self.bridge.send(frame, self.device(sender), towards)
        for device in given:
            self.machine.links.count(device, sent=len(frame))
        return receiver in {towards[device] for device in given}


class RealBridgeRig(BridgeRig, Sending):
    """Bridges of the kernel, guests on taps."""

    def __init__(self, wire: Guest, *, logs: LogDesk | None = None, **options: Any) -> None:
        super().__init__()
        self.sets, self.names = MemorySets(), {}
        settings = {"physical_interface_mappings": MAPPED, **options}
        self.scene = self.enter_context(LinuxScene(**settings))
        self.ledger = self.scene.ledger = Ledger(
            self.scene.drivers, lambda host: make.plugin(host, **settings), sets=self.sets,
            logs=logs,
        )  # fmt: skip
        self.ledger.plugin.probe()
        self.guests = {"wire": wire}
        self._generation = 0

    def plug(self, **ports: Attachment) -> None:
        super().plug(**ports)
        for name, a in ports.items():
            if name not in self.guests:
                self.guests[name] = self.scene.guest(a.id)
        if self.scene.bridging.get(["eth-phys"])["eth-phys"].master is not None:
            self.scene.forwards("eth-phys")

    def restart(self) -> None:
        super().restart()
        self.scene.ledger = self.ledger
        self.ledger.plugin.probe()
        self._generation = reading.generation(self.nft._talk)

    def changes(self) -> int:
        return reading.generation(self.nft._talk) - self._generation

    def connections(self, name: str) -> Callable[[], list[str]]:
        zone = self.zone_of(name)

        def there() -> list[str]:
            sock = Socket(NETFILTER)
            try:
                return [str(found) for found in conntrack.followed(sock, zone)]
            finally:
                sock.close()

        return there

    def forget(self) -> None:
        sock = Socket(NETFILTER)
        zone = self.zone_of("port")
        ends = {end for found in conntrack.followed(sock, zone) for end in found.ends}
        conntrack.forget(sock, zone, ends, ())
        sock.close()
