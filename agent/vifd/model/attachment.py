"""The attachment: what one port on this host shall be, in the words of the Networking API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from vifd.model.extensions import NamedGroup, QosPolicy, Trunk
from vifd.model.values import Id, MacAddress, Mtu, Role, Text

IpAllocation = Literal["immediate", "deferred", "none"]
NumaPolicy = Literal["required", "preferred", "legacy", "socket"]
_TRUE = (True, 1, "1", "true", "True", "TRUE", "yes", "on")


class AddressPair(Struct, frozen=True, omit_defaults=True):
    """An address the guest may use besides its own; without a MAC it is the port's MAC."""

    ip_address: str
    mac_address: MacAddress | None = None


class FixedIp(Struct, frozen=True, omit_defaults=True):
    """An address of the port."""

    ip_address: str
    subnet_id: Id | None = None


class Subnet(Struct, frozen=True, omit_defaults=True):
    """A subnet that the fixed IPs belong to."""

    id: Id
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    segment_id: str | None = None


class Segment(Struct, frozen=True, omit_defaults=True):
    """The piece of the network that reaches this host."""

    network_type: Text
    physical_network: Text | None = None
    segmentation_id: Annotated[int, Meta(ge=0, le=2**24 - 1)] | None = None
    id: str | None = None


class Network(Struct, frozen=True, omit_defaults=True):
    """The port's network as seen from this host.

    :param vlan_transparent: frames that the guest tagged itself shall arrive as they were sent
    :param qinq: the network carries such frames inside a tag of its own
    :param qos_policy: of its ports that have none of their own, but for the network service's
    """

    id: Id
    segment: Segment
    mtu: Mtu = 1500
    name: Text = ""
    vlan_transparent: bool | None = None
    qinq: bool | None = None
    qos_policy: QosPolicy | None = None


class Port(Struct, frozen=True, omit_defaults=True):
    """The port itself.

    :param ip_allocation: ``deferred``: the address is chosen when the port is bound to a host;
        ``none``: it never has one. It is said when the port is made and never changes.
    :param security_groups: ids, or groups with their rules
    :param trunk_details: the trunk that the port is the parent of
    :param numa_affinity_policy: goes before the flavor's and the image's
    :param trusted: the guest may make its SR-IOV function promiscuous and change its MAC address
    :param hints: for one mechanism driver each, e.g. ``openvswitch``
    """

    id: Id
    mac_address: MacAddress
    name: Text = ""
    admin_state_up: bool = True
    vnic_type: Text = "normal"
    port_security_enabled: bool = True
    allowed_address_pairs: Annotated[list[AddressPair], Meta(max_length=1000)] = []
    binding_profile: dict[str, Any] = {}
    device_owner: Text = ""
    ip_allocation: IpAllocation | None = None
    security_groups: Annotated[list[Id | NamedGroup], Meta(max_length=1000)] | None = None
    qos_policy: QosPolicy | None = None
    trunk_details: Trunk | None = None
    numa_affinity_policy: NumaPolicy | None = None
    trusted: bool | None = None
    hardware_offload_type: Text | None = None
    hints: dict[str, Any] | None = None
    propagate_uplink_status: bool | None = None

    @property
    def offloaded(self) -> bool:
        """Whether the port's flows are to run in the NIC: ``switchdev``."""
        capabilities = self.binding_profile.get("capabilities")
        asked = isinstance(capabilities, list) and "switchdev" in capabilities
        return asked or self.hardware_offload_type == "switchdev"

    @property
    def trust(self) -> bool:
        """Whether the port's virtual function is to be trusted, by the field or the profile."""
        return bool(self.trusted) or self.binding_profile.get("trusted") in _TRUE


class Instance(Struct, frozen=True, omit_defaults=True):
    """The guest that will use the port.

    :param numa_nodes: the host's NUMA nodes that the guest is confined to, where it is
    """

    id: Id
    name: Text = ""
    project_id: Text = ""
    vcpus: Annotated[int, Meta(ge=1, le=4096)] = 1
    flavor_extra_specs: dict[str, Any] = {}
    image_properties: dict[str, Any] = {}
    numa_nodes: Annotated[list[Annotated[int, Meta(ge=0, le=1023)]], Meta(max_length=1024)] = []


class Hosted(Struct, frozen=True, omit_defaults=True):
    """The switch port that another program made for the port, and keeps.

    :param device: its name on the switch
    """

    device: Annotated[str, Meta(min_length=1, max_length=255)]


class Attachment(Struct, frozen=True, omit_defaults=True):
    """The self-contained, versioned document of one port on this host.

    ``plugin`` and ``vif_type`` are optional wishes; without them the daemon chooses.

    :param hosted: the port is there already, by another program: its flows are ours, its device and
        its row are not
    :param prewired: no instance is known to use the port yet, which is made for it ahead: it is
        closed until then
    :param required: what must not be ignored: ``features`` that must be enforced for this port, by
        their names in the enforcement report or the part before a dot (``qos``), and ``traits``
        that the host must have
    """

    version: Text
    port: Port
    network: Network
    instance: Instance | None = None
    role: Role = Role.ACTIVE
    fixed_ips: Annotated[list[FixedIp], Meta(max_length=1000)] = []
    subnets: Annotated[list[Subnet], Meta(max_length=1000)] = []
    plugin: Text | None = None
    vif_type: Text | None = None
    required: dict[str, Any] = {}
    hosted: Hosted | None = None
    prewired: bool = False

    @property
    def required_features(self) -> list[str]:
        """Features that must be enforced, whatever the host's policy."""
        return list(self.required.get("features", ()))

    @property
    def required_traits(self) -> list[str]:
        """Traits that the host must have."""
        return list(self.required.get("traits", ()))

    @property
    def id(self) -> str:
        """The port's id, which is also the attachment's."""
        return self.port.id

    @property
    def instance_id(self) -> str:
        """The instance's id, or the empty string."""
        return self.instance.id if self.instance else ""

    @property
    def mac(self) -> str:
        """The port's MAC address in lower case."""
        return self.port.mac_address.lower()
