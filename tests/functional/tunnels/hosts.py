"""Hosts with a switch each, in namespaces of their own, joined by an underlay: a bridge of the
kernel with a cable to each host. Everything of a host is made and called inside its namespace."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from contract import ovs as make
from support.tunnelswitch import Switch
from vifd.drivers import Drivers
from vifd.drivers.bridging import Bridging
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.model.sets import Endpoint, Forwarding, Reachable, SecurityGroup, SetKey, SetKind
from vifd.plugin import Host, NoSets, SetChange
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.ledger import Ledger
from vifd.testing.machines import RealMachine
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import OF_DATAPATH

UNDERLAY = "br-und"
#: Loaded before a namespace's own thread would be the first to: what it starts outlives that.
importlib.import_module("vifd.drivers.ovsdb")


class Sets(NoSets):
    """The forwarding and the security groups that a test says."""

    def __init__(self) -> None:
        self.all: dict[str, Forwarding] = {}
        self.groups: dict[str, SecurityGroup] = {}

    def security_group(self, group_id: str) -> SecurityGroup | None:
        return self.groups.get(group_id)

    def forwarding(self, network_id: str) -> Forwarding | None:
        return self.all.get(network_id)


def underlay_ip(number: int, version: int = 4) -> str:
    """A host's address on the underlay."""
    return f"172.31.0.{number}" if version == 4 else f"fd31::{number}"


def network(number: int = 1) -> str:
    """The id of a network."""
    return attachment(1, network=number).network.id


def behind(host: int, *ports: int, version: int = 4) -> Endpoint:
    """An endpoint, and the ports behind it."""
    reachable = tuple(Reachable(mac_address=mac(n), ip_addresses=(ipv4(n), ipv6(n))) for n in ports)
    return Endpoint(address=underlay_ip(host, version), ports=reachable)


class TunnelHost(contextlib.ExitStack):
    """One host.

    :ivar wire: what it sends on its cable
    """

    def __init__(self, fabric: Fabric, number: int) -> None:
        super().__init__()
        self.number = number
        self.space = self.enter_context(Namespace(f"host{number}"))
        fabric.lay(self)
        self.wire = self.enter_context(fabric.space.run(PacketGuest, f"f{number}"))
        self.ovs = self.space.run(Switch)
        self.callback(self.space.run, self.ovs.close)
        self.space.run(self.ovs.start)
        self._underlay()

    def _underlay(self) -> None:
        self.ovs.vsctl("add-br", UNDERLAY, "--", "set", "Bridge", UNDERLAY, OF_DATAPATH,
                       "--", "add-port", UNDERLAY, "up")  # fmt: skip
        self.callback(self.ovs.vsctl, "--if-exists", "del-port", UNDERLAY, "up")
        for version in (4, 6):
            length = 24 if version == 4 else 64
            address = f"{underlay_ip(self.number, version)}/{length}"
            self.ip("addr", "add", address, "dev", UNDERLAY, *["nodad"] * (version == 6))
        self.ip("link", "set", UNDERLAY, "up")
        self.mac = self.ovs.vsctl("get", "Interface", UNDERLAY, "mac_in_use").strip().strip('"')
        self.ovs.wait_for_carrier("up")

    def ip(self, *arguments: str) -> None:
        """The program, in the host's namespace."""
        self.space.command(["ip", *arguments])

    def meet(self, others: Sequence[TunnelHost]) -> None:
        """Know the neighbours on the underlay, so that no first packet waits for an answer."""
        for other in others:
            for version in (4, 6):
                self.ovs.appctl(
                    "tnl/neigh/set", UNDERLAY, underlay_ip(other.number, version), other.mac
                )


class VifdHost(TunnelHost):
    """A host of vifd.

    :param version: of the IP that its tunnels use
    :param options: of the plugin's group
    """

    def __init__(self, fabric: Fabric, number: int, version: int = 4, **options: Any) -> None:
        super().__init__(fabric, number)
        self.sets = self._sets()
        self.machine = self.space.run(RealMachine, self.ovs)
        self.callback(self.space.run, self.machine.close)
        bridging = self.space.run(Bridging)
        self.callback(self.space.run, bridging.close)
        drivers = replace(self.machine.drivers, bridging=bridging)
        self.options = {"local_ip": [underlay_ip(number, version)], **options}
        self.ledger = self.space.run(Ledger, drivers, self._plugin)
        self.callback(self.space.run, self._remove_ports)

    @classmethod
    def beside(cls, host: VifdHost, **options: Any) -> Beside:
        """Another daemon on the same host and switch."""
        return Beside(host, options)

    def _sets(self) -> Any:
        return Sets()

    def _plugin(self, host: Host) -> Any:
        plugin = make.plugin(replace(host, sets=self.sets), **self.options)
        plugin.probe()
        return plugin

    @property
    def drivers(self) -> Drivers:
        return self.ledger.drivers

    def readable(self, bridge: str) -> bool:
        """Whether the flow tables of a bridge can be read."""
        try:
            self.space.run(self.drivers.openflow.dump, bridge, 0)
        except VifError:
            return False
        return True

    def restart(self) -> None:
        """The daemon ends and comes back."""
        self.ledger = self.space.run(self.ledger.restart)

    def _remove_ports(self) -> None:
        if self.ledger.records:
            failed = self.ledger.unplug()
            assert not failed, failed

    def plug(self, *wanted: Attachment, opened: bool = True) -> list[str]:
        """Plug ports that must succeed; their ids."""
        failed = self.space.run(self.ledger.plug, *wanted, opened=opened)
        assert not failed, failed
        return [a.id for a in wanted]

    def refused(self, wanted: Attachment) -> VifError:
        """Plug a port that must fail; its error."""
        (error,) = self.space.run(self.ledger.plug, wanted).values()
        self.ledger.records.pop(wanted.id, None)
        return error

    def guests(self, *wanted: Attachment) -> list[TapGuest]:
        """Plug ports and switch their guests on."""
        return [self.guest(port_id) for port_id in self.plug(*wanted)]

    def guest(self, port_id: str) -> TapGuest:
        """Switch a guest on."""
        device = self.ledger.records[port_id].names.device
        self.ovs.wait_for_no_carrier(device)
        guest = self.enter_context(self.space.run(TapGuest, device))
        self.ovs.wait_for_carrier(device)
        return guest

    def know(self, *endpoints: Endpoint, number: int = 1) -> set[str]:
        """Have other endpoints of a network; the ports that changed."""
        before = self.sets.forwarding(network(number))
        after = Forwarding(id=network(number), endpoints=endpoints)
        self.sets.all[network(number)] = after
        change = SetChange(SetKey(SetKind.FORWARDING, network(number)), before, after)
        return set(self.space.run(self.ledger.plugin.refresh, [change]))

    def findings(self, *ids: str) -> dict[str, Any]:
        """What a check finds."""
        return self.space.run(self.ledger.findings, *ids)

    def heal(self) -> None:
        """Plug every port again."""
        failed = self.space.run(self.ledger.carry_out, [*self.ledger.records])
        assert not failed, failed

    def settle(self) -> None:
        """Wait until packets go by the flows as they are."""
        self.ovs.revalidated()


class Beside:
    """A second daemon on a host."""

    def __init__(self, host: VifdHost, options: dict[str, Any]) -> None:
        self._host = host
        self._options = {**host.options, **options}
        self.ledger = host.space.run(Ledger, host.drivers, self._plugin)

    def _plugin(self, host: Host) -> Any:
        plugin = make.plugin(host, **self._options)
        plugin.probe()
        return plugin

    def refused(self, wanted: Attachment) -> VifError:
        """Plug a port that must fail; its error."""
        (error,) = self._host.space.run(self.ledger.plug, wanted).values()
        self.ledger.records.pop(wanted.id, None)
        return error

    def close(self) -> None:
        """Take its bridge away."""
        bridge = self._options["integration_bridge"]
        self._host.ovs.vsctl("--if-exists", "del-br", bridge)


class Fabric(contextlib.ExitStack):
    """The underlay."""

    def __init__(self) -> None:
        super().__init__()
        self.space = self.enter_context(Namespace("fabric"))
        self.command("link", "add", "fab", "type", "bridge")
        self.command("link", "set", "fab", "up")
        self.hosts: list[TunnelHost] = []

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.space.command(["ip", *arguments])

    def lay(self, host: TunnelHost) -> None:
        """A cable to a host."""
        name = f"f{host.number}"
        self.space.run(host.space.veth, name, "up")
        self.command("link", "set", name, "master", "fab")

    def host(self, host: TunnelHost) -> None:
        """One host more."""
        for other in self.hosts:
            other.meet([host])
        host.meet(self.hosts)
        self.hosts.append(self.enter_context(host))


@contextlib.contextmanager
def joined(*numbers: int, version: int = 4, **options: Any) -> Iterator[list[VifdHost]]:
    """Hosts of vifd on one underlay."""
    with Fabric() as fabric:
        hosts = [VifdHost(fabric, n, version, **options) for n in numbers]
        for host in hosts:
            fabric.host(host)
        yield hosts
