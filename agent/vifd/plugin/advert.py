"""What a plugin can do in principle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vifd.plugin.vifs.kinds import Kind, kind_of


@dataclass(frozen=True)
class Advert:
    """What a plugin can do in principle.

    :param vif_types: served VIF types in order of preference, e.g. ``ovs``
    :param vnic_types: served values of ``port.vnic_type``
    :param network_types: served values of ``network.segment.network_type``
    :param features: what it enforces: ``port_security``, ``allowed_address_pairs``, ``multiqueue``…
    :param caveats: by feature, what it does not do of it; the enforcement report says so
    :param unseen_ports: protocols whose ports its security groups cannot tell packets by: a rule
        about some of them lets nothing pass
    :param lacking: by feature that would be enforced elsewhere, why it is not on this host
    :param in_place: paths of the document that may change on a plugged port; a parent covers what
        is below it. ``plug`` is then called again with the old wiring in the item.
    :param on_request: it serves only documents that ask for it by name, and is never chosen for
        others: for plugins that cannot close a port, or prove it
    :param compute_suffices: what compute says of a port is all that is needed, as somebody else
        wires it by a database of its own
    :param hands_over: the tap of a port can leave it for another plugin, under a running guest:
        ``hand_over``
    :param takes_over: such a tap can come to it: ``take``
    :param connectivity: what a port gives its guest: ``l2``, or ``l3`` where frames are routed
    :param profiles: by VIF type, the port profiles it understands, the preferred one first; where
        nothing is said, those usual for the type. Names are those of :mod:`vifd.plugin.vifs.vif`.
    :param installed: by class of VIF objects and port profiles, the newest version it has, read
        from classes of its own; where nothing is said, that of :mod:`vifd.plugin.vifs`
    """

    vif_types: tuple[str, ...]
    vnic_types: tuple[str, ...] = ("normal",)
    network_types: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    caveats: Mapping[str, str] = field(default_factory=dict)
    unseen_ports: frozenset[int] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    in_place: frozenset[str] = frozenset()
    on_request: bool = False
    compute_suffices: bool = False
    hands_over: bool = False
    takes_over: bool = False
    connectivity: str = "l2"
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)

    def on(self, unenforced: Mapping[str, str]) -> Advert:
        """As it stands on a host that cannot enforce some features.

        :param unenforced: see :attr:`vifd.plugin.Probe.unenforced`
        """
        if not unenforced:
            return self
        return replace(
            self, features=self.features - unenforced.keys(), lacking={**self.lacking, **unenforced}
        )

    def kind(self, vif_type: str) -> Kind:
        """The classes and versions in which it serves a VIF type; made from the classes."""
        return kind_of(vif_type, self.profiles.get(vif_type, ()), self.installed)


#: The feature, as Neutron's option is called: ARP and neighbour discovery are answered on this host
#: where a network leaves by tunnels and its forwarding knows the address.
ANSWERS = "arp_responder"

#: Paths of the document for :attr:`Advert.in_place`: what no plugin of this project wires. The
#: enforcement report says so of each, so they may change at any time.
REPORTED = (
    "port.ip_allocation", "port.security_groups", "port.qos_policy", "port.trunk_details",
    "port.trusted", "port.hints", "port.numa_affinity_policy", "port.propagate_uplink_status",
    "network.vlan_transparent", "network.qinq", "instance.numa_nodes",
)  # fmt: skip
