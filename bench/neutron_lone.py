"""Drivers of Neutron alone, many in one process, without switch and journal: what a cloud of hosts
asks of its servers. Started by ``bench/neutron_scale.py``; a line on stdin is answered by one."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.engine.setdesk import SetDesk
from vifd.engine.ticket import Ticket
from vifd.model import Parts, PortRecord, Role
from vifd.model.comparison import Compared
from vifd.model.sides import Said
from vifd.network.neutron.bus import Handler, MessageBus
from vifd.network.neutron.objects import SERVED
from vifd.network.neutron.reporting import Options
from vifd.network.neutron.server import Server
from vifd.network.neutron.service import Service, Settings
from vifd.store import Outgoing
from vifd.testing.wait import until

#: Seconds that a host may take to read the server, on a machine full of them.
PATIENCE = 900.0
#: What a real host's plugin says of itself, as far as it is reported.
PLUGINS: list[dict[str, Any]] = [{
    "name": "ovs", "state": "ready", "vif_types": ["ovs"], "vnic_types": ["normal"],
    "network_types": ["flat", "vlan"], "features": ["security_groups"],
    "facts": {
        "bridge": {"name": "br-int", "datapath_type": "netdev"}, "datapath_types": ["netdev"],
        "bridge_mappings": {"physnet1": {"bridge": "br-phys"}}, "iface_types": ["internal"],
    },
}]  # fmt: skip


class CountingBus(MessageBus):
    """Counts what is asked and what is heard, for all of a process."""

    asked: ClassVar[Counter[str]] = Counter()
    heard: ClassVar[Counter[str]] = Counter()

    def call(
        self, topic: str, method: str, version: str, timeout: float, arguments: Mapping[str, Any]
    ) -> Any:
        self.asked[method] += 1
        return super().call(topic, method, version, timeout, arguments)

    def listen(self, topics: Sequence[str], handler: Handler) -> None:
        def counted(method: str, arguments: Mapping[str, Any]) -> None:
            self.heard[method] += 1
            handler(method, arguments)

        super().listen(topics, counted)


class Lone:
    """A host on which every port works as soon as its part is said; see
    :class:`vifd.network.Inbox`."""

    def __init__(self, name: str, url: str, interval: float) -> None:
        self.hostname, self.plugger = name, None
        self.sets = SetDesk(lambda _requests: None, SimpleNamespace(get=_none, all=dict))  # type: ignore[arg-type]
        self._parts: dict[str, Parts] = {}
        self._works: queue.SimpleQueue[Outgoing] = queue.SimpleQueue()
        reported = Options(
            agent_type="Open vSwitch agent", binary="neutron-openvswitch-agent", tunnel_types=[],
            local_ip="", l2_population=False, arp_responder=False, extensions=[], smartnic=False,
            socket_dir="", bandwidths=[], inventory={}, hypervisors={},
        )  # fmt: skip
        self.service = Service(
            Settings(reported, "ovs", interval, 0.0), self,
            lambda: CountingBus(cfg.CONF, url, "neutron", name),
            lambda bus: Server(bus, name, f"ovs-agent-{name}", 60.0, 20),
        )  # fmt: skip
        threading.Thread(target=self._tell, daemon=True).start()

    def ready(self) -> bool:
        return self.service._synchronised

    def newest(self) -> bool:
        """Whether the newest versions of objects are spoken: a port is known here."""
        server = self.service._server
        return server is not None and server.versions.chosen["Port"] == SERVED["Port"][0]

    def _tell(self) -> None:
        while True:
            status = self._works.get()
            while not self.service.report([status]):
                time.sleep(0.2)

    def say(self, said: Said, request_id: str, *, taking: bool = False) -> Ticket:
        if said.part is None:
            self._parts.pop(said.port, None)
        else:
            news = said.port not in self._parts
            self._parts[said.port] = Parts(network=said.part)
            if news:
                self._works.put(Outgoing(said.port, "ACTIVE", 1))
        return Ticket(said.port, request_id)

    def parts(self, port_id: str) -> Parts | None:
        return self._parts.get(port_id)

    def ports(self) -> list[PortRecord]:
        return []

    def waiting(self) -> Mapping[str, Parts]:
        return {}

    def plugins(self) -> list[dict[str, Any]]:
        return PLUGINS

    def compare(self, *_: Any, **__: Any) -> Compared:
        return Compared([], [])

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        return Ticket(port_id, request_id)

    def plug(self, docs: Sequence[Any], request_id: str) -> list[Ticket]:
        return []

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        return []

    def notify(self) -> None:
        pass

    def untold(self) -> set[str]:
        return set()


def _none(_key: object) -> None:
    return None


def main() -> None:
    """``FIRST NUMBER URL INTERVAL``: hosts ``lone-<n>``."""
    first, number, url, interval = sys.argv[1:]
    cfg.CONF([], project="vifd", default_config_files=[])
    hosts = []
    for n in range(int(first), int(first) + int(number)):
        hosts.append(Lone(f"lone-{n}", url, float(interval)))
        hosts[-1].service.start()
        # one after the other: a thousand connections at once are refused, and come again
        until(hosts[-1].ready, f"{hosts[-1].hostname} has read the server", PATIENCE)
    for line in sys.stdin:
        if line.strip() == "read":
            for host in hosts:
                host.service._messages.anew.set()
        told = {
            "ready": sum(host.ready() for host in hosts),
            "newest": sum(host.newest() for host in hosts), "asked": CountingBus.asked,
            "heard": CountingBus.heard,
        }  # fmt: skip
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
