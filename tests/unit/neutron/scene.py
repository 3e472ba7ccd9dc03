"""A host with Open vSwitch in memory, as one of Neutron's: engine, journal, driver and bus."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from contract import ovs
from support.neutron import FakeNeutron, Network, Port
from vifd.daemon.agent import Agent
from vifd.daemon.wiring import wire
from vifd.drivers import PortRow, PortSpec
from vifd.engine import Engine, Settings
from vifd.engine.hosting import Hosting
from vifd.engine.metrics import Metrics
from vifd.engine.ticket import Ticket
from vifd.engine.watcher import Watcher
from vifd.engine.worker import ledger
from vifd.model import Part, Phase, PortRecord, Side
from vifd.model.sets import Forwarding, SetKey, SetKind
from vifd.model.sides import Said
from vifd.network.neutron import NeutronNetworkService, options
from vifd.network.neutron.bus import Bus, Handler, MessageBus
from vifd.network.reporter import StatusReporter
from vifd.openflow.mark import ours
from vifd.plugin import Host
from vifd.plugin.registry import Found
from vifd.store import Journal
from vifd.testing.machines import FakeMachine
from vifd.testing.wait import until
from vifd_ovs.plugin import OvsPlugin

BRIDGE, PHYSICAL = "br-int", "br-eth"


class DullBus(MessageBus):
    """A bus that can be away, and of which some topics can be lost before they are heard.

    :ivar deaf: how the names of these topics begin
    """

    away = False
    deaf: tuple[str, ...] = ()

    def call(
        self, topic: str, method: str, version: str, timeout: float, arguments: Mapping[str, Any]
    ) -> Any:
        if self.away:
            raise ConnectionError("nobody is there")
        return super().call(topic, method, version, timeout, arguments)

    def listen(self, topics: Sequence[str], handler: Handler) -> None:
        for topic in topics:
            super().listen([topic], self._unless_deaf(topic, handler))

    def _unless_deaf(self, topic: str, handler: Handler) -> Handler:
        return lambda *told: None if topic.startswith(self.deaf) else handler(*told)


class Driver(NeutronNetworkService):
    """The driver, on such a bus."""

    bus: DullBus

    def _bus(self) -> Bus:
        self.bus = DullBus(cfg.CONF, self.conf.transport_url, self.conf.exchange, self._host)
        return self.bus


class Node:
    """One host; its switch and its journal outlive the daemon."""

    def __init__(
        self, directory: Path, name: str, retry: float = 0.05,
        switch: Mapping[str, Any] | None = None, **given: object,
    ) -> None:  # fmt: skip
        """:param switch: options of the plugin"""
        self.name = name
        self.switch = {"bridge_mappings": [f"physnet1:{PHYSICAL}"], **(switch or {})}
        self.retry = retry
        self.directory = directory
        self.given = given
        self.machine = FakeMachine()
        self.machine.add_bridge(BRIDGE)
        self.machine.add_bridge(PHYSICAL)

    # --- the daemon ---

    def start(self) -> None:
        """Begin, or begin again."""
        self.journal = Journal.open(self.directory / f"{self.name}.db")
        host = Host(self.machine.drivers, lambda: ledger(self.journal), hostname=self.name)
        plugin = ovs.plugin(host, **self.switch)
        first, longest = self.retry, max(0.2, self.retry)
        settings = Settings(
            hostname=self.name, alone=False, retry_first=first, retry_longest=longest
        )  # fmt: skip
        self.engine = Engine({"ovs": plugin}, self.journal, Metrics(), settings)
        found = [Found("ovs", "vifd", "vifd_ovs.plugin:OvsPlugin", OvsPlugin)]
        self.agent = Agent(self.engine, self.journal, self.engine.metrics, found)
        self.service = Driver(self._conf())
        self.reporter = StatusReporter(self.service, self.journal, first=0.05)
        self.hosting = Hosting(self.engine, self.journal)
        self.watcher = Watcher(
            self.engine, self.journal, interval=lambda: 0.0, reassert=lambda: None,
            reassert_interval=lambda: 0.0,
        )  # fmt: skip
        wire(self.engine, self.agent, reporter=self.reporter, watcher=self.watcher)
        self.watcher.subscribe(self.machine.drivers)
        self.engine.start()
        self.hosting.subscribe(self.machine.drivers)
        for part in (self.watcher, self.hosting, self.reporter):
            part.start()
        self.service.start(self.agent)

    def stop(self) -> None:
        """End; everything stays as it is."""
        self.service.stop()
        for part in (self.hosting, self.watcher, self.reporter):
            part.stop(60)
        self.engine.stop(60)
        self.machine.ovsdb.close()
        self.journal.close()

    def _conf(self) -> object:
        conf = cfg.ConfigOpts()
        conf.register_opts(options.OPTIONS, group="network_neutron")
        conf([], default_config_files=[])
        given = {"transport_url": "fake://", "report_interval": 0.2, "rpc_timeout": 5.0}
        for name, value in {**given, **self.given}.items():
            conf.set_override(name, value, group="network_neutron")
        self._options = conf
        return conf.network_neutron

    def change(self, **given: object) -> None:
        """Options are others, and the daemon is told to read them."""
        for name, value in given.items():
            self._options.set_override(name, value, group="network_neutron")
        self.service.reload()

    # --- what others do on the host ---

    def plug(self, port: Port, device: str = "") -> str:
        """Another program puts the port on the switch."""
        name = device or f"port{port.id[:8]}"
        ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active"}
        self.machine.ovsdb.ensure_ports(BRIDGE, [PortSpec(name, type="internal", external_ids=ids)])
        return name

    def take_off(self, device: str) -> None:
        """It takes it away."""
        self.machine.ovsdb.delete_ports(BRIDGE, [device])

    def compute(self, port: Port, owner: str = "compute", *, taking: bool = False) -> Ticket:
        """Compute says that an instance uses the port."""
        body = {"version": "1.0", "instance": {"id": port.id}, "mac_address": port.mac}
        part = Part(owner, body, at=time.time())
        return self.agent.say(Said(port.id, Side.COMPUTE, part), "test", taking=taking)

    def stock(self, port: Port) -> None:
        """Stock os-vif plugs a port whose row is there: it writes on that one."""
        device = f"tap{port.id[:11]}"
        ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active",
               "vm-uuid": port.id}  # fmt: skip
        self.machine.ovsdb.set_external_ids({device: ids})

    def let_go(self, port: Port) -> None:
        """No instance uses it any more."""
        self.agent.say(Said(port.id, Side.COMPUTE, final=True), "test")

    # --- what is there ---

    def read_at(self) -> float:
        """When it read all that the server has."""
        assert self.service._service is not None
        return self.service._service._read_at

    def waiting(self) -> set[str]:
        """The objects of which messages of the server wait, by their ids."""
        assert self.service._service is not None
        messages = self.service._service._messages.waiting()
        told = [o for _, said in messages for o in said.get("resource_list", ())]
        return {str(o["versioned_object.data"].get("id")) for o in told}

    def lost(self) -> bool:
        """Whether the server did not answer, and has not since."""
        assert self.service._service is not None
        return self.service._service._lost

    def record(self, port: Port) -> PortRecord | None:
        return self.journal.get(port.id)

    def behind(self, network: Network) -> dict[str, dict[str, tuple[str, ...]]] | None:
        """Who is behind each endpoint of a network; ``None`` where nothing is known of it."""
        record = self.agent.sets.get(SetKey(SetKind.FORWARDING, network.id))
        if record is None or not isinstance(record.body, Forwarding):
            return None
        return {e.address: {p.mac_address: p.ip_addresses for p in e.ports}
                for e in record.body.endpoints}  # fmt: skip

    def live(self, port: Port) -> bool:
        record = self.record(port)
        return record is not None and record.phase is Phase.LIVE and record.open

    def is_open(self, port: Port) -> bool:
        record = self.record(port)
        return record is not None and record.open

    def row(self, port: Port) -> PortRow:
        """The switch port of a port that is made."""
        record = self.record(port)
        assert record is not None
        assert record.wiring is not None
        row = self.machine.ovsdb.port(record.wiring.device)
        assert row is not None
        return row

    def bound(self, port: Port) -> bool:
        """Whether the service's part of a port is here."""
        parts = self.agent.parts(port.id)
        return parts is not None and parts.network is not None

    def phase(self, port: Port) -> str:
        record = self.record(port)
        return record.phase.value if record else ""

    def flows(self) -> set[str]:
        """The flows of ours on the integration bridge, as text."""
        flows = self.machine.openflow.dump(BRIDGE, 0, 0)
        return {str(flow) for flow in flows if ours(flow.cookie)}


class Cloud(contextlib.ExitStack):
    """A server, and hosts by name."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory
        self.neutron = FakeNeutron()
        self.neutron.start()
        self.callback(self.neutron.stop)

    def node(
        self, name: str = "", retry: float = 0.05, switch: Mapping[str, Any] | None = None,
        **given: object,
    ) -> Node:  # fmt: skip
        """A host whose daemon runs.

        :param retry: seconds before a port that failed is tried again
        :param switch: options of the plugin
        """
        name = name or f"host-{os.urandom(3).hex()}"
        node = Node(self.directory, name, retry, switch, **given)
        node.start()
        self.callback(node.stop)
        self.synchronised(node)
        return node

    def synchronised(self, node: Node) -> None:
        """Wait until the host has read what the server has."""
        until(lambda: node.service._service and node.service._service._synchronised,
              f"{node.name} has read the server")  # fmt: skip

    def vlan(self, number: int = 100) -> Network:
        return self.neutron.network(number=number)
