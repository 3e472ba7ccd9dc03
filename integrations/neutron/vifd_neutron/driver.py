"""The mechanism driver."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from neutron.agent import securitygroups_rpc
from neutron.plugins.ml2.drivers import mech_agent
from neutron_lib.api.definitions import portbindings, provider_net
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg
from oslo_log import log

from vifd_neutron import options, qos
from vifd_neutron.choice import Choice, Refusal, Wanted, best, choose, served_types, wish
from vifd_neutron.details import details, refused
from vifd_neutron.report import Report, read

LOG = log.getLogger(__name__)

#: ML2 tries a binding ten times in a row: a reason is told once in so many seconds.
_QUIET = 60.0
_REMEMBERED = 1000


class VifdMechanismDriver(mech_agent.SimpleAgentMechanismDriverBase):  # type: ignore[misc]
    """Binds ports to hosts of vifd by what the host reports.

    A host that reports no candidates of vifd is none of its business. A refusal is a warning in the
    log, and stands in ``binding:vif_details`` of the port, whose ``vif_type`` is then
    ``binding_failed``; the drivers after this one have their turn all the same.
    """

    # The names of hosts' resource providers are made with it: a host keeps them with either driver.
    resource_provider_uuid5_namespace = uuid.UUID("87ee7d5c-73bb-11e8-9008-c4d987b2a692")
    _explicitly_not_supported_extensions = frozenset({"vlan-transparent", "qinq"})

    def __init__(self) -> None:
        conf = options.register()
        qos.register()
        self._groups = bool(securitygroups_rpc.is_firewall_enabled())
        self._told: dict[tuple[str, str, str], float] = {}
        super().__init__(
            conf.agent_type,
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: self._groups},
            supported_vnic_types=[portbindings.VNIC_NORMAL],
        )

    @property
    def connectivity(self) -> str:
        """What a port gives its guest."""
        return str(portbindings.CONNECTIVITY_L2)

    # --- binding ---

    def bind_port(self, context: Any) -> None:
        """Bind the port, or leave the reason with it."""
        context.vifd_refusals = self._silent(context)
        context.vifd_bound = False
        super().bind_port(context)
        if context.vifd_bound or not context.vifd_refusals:
            return
        self._tell(context, context.vifd_refusals)
        # Without a segment nothing is bound: the next driver is asked, and overwrites this.
        context.set_binding(
            None, portbindings.VIF_TYPE_BINDING_FAILED,
            refused(context.host, context.vifd_refusals),
        )  # fmt: skip

    def try_to_bind_segment_for_agent(self, context: Any, segment: Any, agent: Any) -> bool:
        """One segment on one host."""
        report = read(agent["host"], agent["configurations"])
        if report is None:
            return False
        found = choose(_wanted(context, segment), report)
        if not isinstance(found, Choice):
            context.vifd_refusals += found
            return False
        told = details(found, report, context.current["id"], groups=self._groups)
        context.set_binding(segment[api.ID], found.vif_type, told)
        context.vifd_bound = True
        return True

    def _silent(self, context: Any) -> list[Refusal]:
        """A reason for each host of vifd that has not reported in time: ML2 asks no more of it."""
        return [
            Refusal(
                "E_PLUGIN_UNHEALTHY",
                f"vifd on {a['host']} has not reported since {a.get('heartbeat_timestamp')}",
                f"systemctl status vifd on {a['host']}, and its way to the message bus",
            )
            for a in context.host_agents(self.agent_type)
            if not a["alive"] and read(a["host"], a["configurations"]) is not None
        ]

    def _tell(self, context: Any, refusals: list[Refusal]) -> None:
        first = best(refusals)
        key = (context.current["id"], context.host, first.code)
        now = time.monotonic()
        if now - self._told.get(key, -_QUIET) < _QUIET:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[key] = now
        LOG.warning(
            "Port %(port)s is not bound to host %(host)s by vifd: %(code)s: %(message)s. Next: "
            "%(next)s. Candidates: %(all)s",
            {
                "port": context.current["id"], "host": context.host, "code": first.code,
                "message": first.message, "next": first.next_step,
                "all": "; ".join(f"{r.candidate or '-'}: {r.code}" for r in refusals),
            },
        )  # fmt: skip

    # --- what ML2 asks of drivers with agents ---

    def get_allowed_network_types(self, agent: Any = None) -> list[str]:
        """Types that a candidate of the host serves."""
        report = _report(agent)
        return sorted(served_types(report)) if report else []

    def get_mappings(self, agent: Any) -> Mapping[str, str]:
        """The physical networks of the host."""
        report = _report(agent)
        return report.mappings if report else {}

    def get_standard_device_mappings(self, agent: Any) -> dict[str, list[str]]:
        """The same with lists, as the reporter to Placement wants them."""
        return {name: [bridge] for name, bridge in self.get_mappings(agent).items()}

    def responsible_for_ports_allocation(self, context: Any) -> bool:
        """Whether a guaranteed bandwidth is this driver's to bind; only one driver may say so."""
        if "openvswitch" in cfg.CONF.ml2.mechanism_drivers:
            return False
        return bool(super().responsible_for_ports_allocation(context))

    @staticmethod
    def provider_network_attribute_updates_supported() -> list[str]:
        """What of a provider network may change under bound ports."""
        return [provider_net.SEGMENTATION_ID]


def _wanted(context: Any, segment: Any) -> Wanted:
    port = context.current
    return Wanted(
        vnic_type=port.get(portbindings.VNIC_TYPE) or portbindings.VNIC_NORMAL,
        network_type=segment[api.NETWORK_TYPE],
        physical_network=segment.get(api.PHYSICAL_NETWORK) or "",
        mtu=context.network.current.get("mtu") or 0,
        vif_types=wish(port.get(portbindings.PROFILE)),
    )


def _report(agent: Any) -> Report | None:
    return read(agent["host"], agent["configurations"]) if agent else None
