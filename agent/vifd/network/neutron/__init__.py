"""Neutron, in the place of its Open vSwitch agent: what it says of this host's ports is made, and
it is told what was proven.

oslo.messaging is all that is needed of OpenStack, and it is imported once the daemon starts with
this service. See ``docs/openstack.md``.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.network import Inbox, NetworkService
from vifd.network.neutron import options
from vifd.network.neutron.bus import Bus, MessageBus
from vifd.network.neutron.logs import EXTENSION
from vifd.network.neutron.reporting import Options, bandwidths, inventory
from vifd.network.neutron.server import Server
from vifd.network.neutron.service import Service, Settings
from vifd.store import Outgoing


class NeutronNetworkService(NetworkService):
    """See :class:`vifd.network.NetworkService`."""

    name: ClassVar[str] = "neutron"
    _service: Service | None = None
    _host = ""

    def __init__(self, conf: Any) -> None:
        """:raises cfg.Error: an option makes no sense"""
        super().__init__(conf)
        try:
            self._chosen = self._settings()
        except ValueError as error:
            raise cfg.ConfigFileValueError(f"[network_neutron] {error}") from error

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    def start(self, inbox: Inbox) -> None:
        self._host = inbox.hostname
        self._service = Service(
            self._chosen, inbox, self._bus, self._server, lambda: str(self.conf.prewire)
        )
        self._service.start()

    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        return self._service.report(statuses) if self._service is not None else ()

    def awaited(self) -> None:
        if self._service is not None:
            self._service.awaited()

    def problem(self) -> str:
        return self._service.problem if self._service is not None else ""

    def ahead(self) -> str:
        return self._service.prewire.said if self._service is not None else ""

    def reload(self) -> None:
        if self._service is not None:
            self._service.reload()

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop()

    def _bus(self) -> Bus:
        return MessageBus(cfg.CONF, self.conf.transport_url, self.conf.exchange, self._host)

    def _server(self, bus: Bus) -> Server:
        agent = f"ovs-agent-{self._host}"
        step = self.conf.rpc_resources_processing_step
        return Server(bus, self._host, agent, self.conf.rpc_timeout, step)

    def _settings(self) -> Settings:
        conf = self.conf
        for option in options.OPTIONS:
            # some are asked for only while it works
            value = conf[option.dest]
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{option.name}: {value} is no time")
        if conf.local_ip and not _is_address(conf.local_ip):
            raise ValueError(f"local_ip: {conf.local_ip!r} is no IP address")
        bandwidths(conf.resource_provider_bandwidths)
        inventory(conf.resource_provider_inventory_defaults)
        reported = Options(
            agent_type=conf.agent_type, binary=conf.binary, tunnel_types=conf.tunnel_types,
            local_ip=conf.local_ip, l2_population=conf.l2_population,
            arp_responder=conf.arp_responder, extensions=_extensions(conf),
            smartnic=conf.baremetal_smartnic, socket_dir=conf.vhostuser_socket_dir,
            bandwidths=conf.resource_provider_bandwidths,
            inventory=conf.resource_provider_inventory_defaults,
            hypervisors=conf.resource_provider_hypervisors,
        )  # fmt: skip
        return Settings(
            reported, conf.plugin, conf.report_interval, conf.resync_interval, conf.security_groups,
            conf.gather_members,
        )  # fmt: skip


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _extensions(conf: Any) -> list[str]:
    """Those of the options, and what this driver does of the stock agent's."""
    own = [EXTENSION] if conf.security_groups else []
    return [*conf.extensions, *(name for name in own if name not in conf.extensions)]
