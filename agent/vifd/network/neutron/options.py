"""The options of the group ``[network_neutron]``; names are those of Neutron's own agent where it
has the same."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg, types

from vifd.network.neutron.prewire import AUTO, NO, YES


class Prewire(types.String):
    """``auto``, or what a boolean option takes; the value is one of these words."""

    def __init__(self) -> None:
        super().__init__(type_name="auto or boolean value")
        self._boolean = types.Boolean()

    def __call__(self, value: Any) -> str:
        if str(value).strip().lower() == AUTO:
            return AUTO
        return YES if self._boolean(value) else NO


OPTIONS = [
    cfg.StrOpt(
        "transport_url",
        default="",
        secret=True,
        help="The message bus, as in neutron.conf: rabbit://user:password@host:5672/vhost. Empty "
        "takes [DEFAULT] transport_url. What else is to be said of it stands in "
        "[oslo_messaging_rabbit], as for every service on the bus.",
    ),
    cfg.StrOpt("exchange", default="neutron", help="The control exchange of the service."),
    cfg.StrOpt(
        "agent_type",
        default="Open vSwitch agent",
        help="As what this host is registered. Mechanism drivers look for agents of their type; "
        "ports that could not be bound are bound again only when an agent of a type that the "
        "service knows comes back.",
    ),
    cfg.StrOpt("binary", default="neutron-openvswitch-agent", help="The name shown beside it."),
    cfg.FloatOpt(
        "report_interval",
        default=30.0,
        min=0.1,
        help="Seconds between two reports that this host is alive; at most half of the service's "
        "agent_down_time.",
    ),
    cfg.FloatOpt(
        "rpc_timeout",
        default=60.0,
        min=0.1,
        help="Seconds that the service may take for one answer.",
    ),
    cfg.IntOpt(
        "rpc_resources_processing_step",
        default=20,
        min=1,
        max=1000,
        help="How many ports are asked for, or told of, in one message.",
    ),
    cfg.FloatOpt(
        "resync_interval",
        default=600.0,
        min=0.0,
        help="Seconds after which everything that concerns this host is read once more and "
        "compared, besides every time that the service or the bus was away. 0 for never.",
    ),
    cfg.StrOpt(
        "plugin",
        default="ovs",
        help="The plugin whose bridge and physical networks are reported.",
    ),
    cfg.BoolOpt(
        "security_groups",
        default=True,
        help="Whether the groups of ports are in force here. Without them a port is held to its "
        "own addresses and nothing else, as with the firewall driver 'noop'.",
    ),
    cfg.FloatOpt(
        "gather_members",
        default=0.0,
        min=0.0,
        max=60.0,
        help="Seconds for which those who leave a security group are gathered before they are "
        "taken out of the rules of others together. For so long such an address is still let in "
        "by rules that name the group, as it is for up to 2 seconds with Neutron's own agent. 0 "
        "takes everybody out at once. Who joins is let in at once, and changes of rules, and of a "
        "port's own groups, hold at once.",
    ),
    cfg.Opt(
        "prewire",
        type=Prewire(),
        default="auto",
        mutable=True,
        help="Make the ports of instances as soon as they are bound to this host, closed until "
        "nova plugs them: its plug finds device and flows ready. auto: where nova plugs by "
        "vifd-nova, as its last call or the ports of this host tell; true: in any case; false: "
        "never. One that no instance uses is taken down again ([engine] prewire_timeout).",
    ),
    cfg.ListOpt(
        "tunnel_types",
        default=[],
        item_type=types.String(choices=("vxlan", "gre", "geneve")),
        help="Types of tunnel networks that this host is reported with: vxlan, gre, geneve. Empty: "
        "those that the plugin whose bridge is reported has (its options tunnel_types, local_ip).",
    ),
    cfg.StrOpt(
        "local_ip",
        default="",
        help="The address of this host that tunnels lead to. Empty: that of the same plugin; "
        "Neutron knows one address for a host, the IPv4 one where there are both.",
    ),
    cfg.BoolOpt(
        "l2_population",
        default=False,
        help="The service tells where each address of a tunnel network is. Without it frames go "
        "to every host that has a tunnel of the type.",
    ),
    cfg.BoolOpt(
        "arp_responder",
        default=False,
        help="Reported; addresses that the service tells are answered for here in any case.",
    ),
    cfg.ListOpt(
        "extensions",
        default=[],
        help="Reported as the agent's extensions, besides log, which vifd has where "
        "security_groups is on.",
    ),
    cfg.BoolOpt("baremetal_smartnic", default=False, help="Reported; ports are not looked for."),
    cfg.StrOpt("vhostuser_socket_dir", default="", help="Reported, where it is not empty."),
    cfg.ListOpt(
        "resource_provider_bandwidths",
        default=[],
        help="Comma-separated <bridge>:<egress kbit/s>:<ingress kbit/s>; one of the two may be "
        "empty. Told to Placement by the service.",
    ),
    cfg.DictOpt(
        "resource_provider_inventory_defaults",
        default={"allocation_ratio": "1.0", "min_unit": "1", "step_size": "1", "reserved": "0"},
        help="Fields of the inventory of these bandwidths.",
    ),
    cfg.DictOpt(
        "resource_provider_hypervisors",
        default={},
        help="<bridge>:<name of the hypervisor> where that is not this host's name.",
    ),
]
