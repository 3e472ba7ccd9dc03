"""What plugins may ask of the host: the interfaces of the drivers and their values.

Each driver exists twice with the same behaviour: for real (``links``, ``ovsdb``, ``openflow``,
``tracer``) and as a fake that keeps state (``vifd.testing``); one suite runs on both. All calls
block and are made on native threads. Failures are :class:`vifd.errors.VifError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vifd.drivers.aside import FlowTable, Mirror, Policing, Qos, Queue
from vifd.drivers.link import MARK, Link, Links, Tap
from vifd.drivers.linux import (
    BridgePort,
    BridgeSpec,
    Bridging,
    Device,
    FdbEntry,
    Hearing,
    HybridSpec,
    Program,
    Spec,
    VlanSpec,
    VxlanSpec,
    passing,
)
from vifd.drivers.packetfilter import FilterChain, Nft
from vifd.drivers.silent import absent, hangs, stopped
from vifd.errors import BackendError
from vifd.openflow.counts import Dropped, Traffic
from vifd.openflow.flow import Flow
from vifd.openflow.meters import Meter
from vifd.openflow.monitor import Update
from vifd.openflow.packetin import PacketIn
from vifd.openflow.reading import Reading
from vifd.safety.sparing import spare

__all__ = [
    "MARK", "Bridge", "BridgePort", "BridgeSpec", "Bridging", "Device", "Drivers", "FdbEntry",
    "FilterChain", "FlowTable", "Hearing", "HybridSpec",
    "Link", "Links", "Mirror", "Nft", "OpenFlow", "Ovsdb", "Policing", "PortRow", "PortSpec",
    "Program", "Qos", "Queue", "Spec",
    "Tap", "Tracer", "VlanSpec", "VxlanSpec", "absent", "hangs", "passing", "stopped",
]  # fmt: skip

# before any driver imports it
spare("pyroute2")


def idle() -> None:
    """Nothing is done while others work."""


# --- OVSDB ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bridge:
    """A row of the Bridge table.

    :param stp: whether it takes part in a spanning tree (IEEE 802.1D); ``rstp`` in a rapid one
    :param snooping: whether multicast goes to those alone who asked for it
    :param flood_vlans: VLANs in which it learns no addresses and floods
    :param flow_tables: the flow tables that have a bound, by number
    """

    name: str
    datapath_type: str
    fail_mode: str
    protocols: tuple[str, ...]
    external_ids: Mapping[str, str] = field(default_factory=dict)
    other_config: Mapping[str, str] = field(default_factory=dict)
    stp: bool = False
    rstp: bool = False
    snooping: bool = False
    flood_vlans: tuple[int, ...] = ()
    flow_tables: Mapping[int, FlowTable] = field(default_factory=dict)
    mirrors: tuple[Mirror, ...] = ()


@dataclass(frozen=True)
class PortSpec:
    """A port with its one interface as it shall be.

    :param ofport: the number to ask for; 0 for none, ``None`` leaves what is asked for
    :param mtu: the MTU to ask for; 0 for none, ``None`` leaves what is asked for
    :param type: the interface's type: the empty string for a kernel device, ``patch``,
        ``dpdkvhostuserclient``…
    :param external_ids: of the Interface row (where interoperability wants them)
    :param tag: access VLAN
    """

    name: str
    ofport: int | None = None
    tag: int | None = None
    type: str = ""
    mtu: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PortRow:
    """A port with its interface as the database shows it.

    :param interfaces: the names of all its interfaces; a bond has several
    :param vlan_mode: how it treats VLANs; empty where the tag alone decides
    :param trunks: the VLANs that it carries; empty for all of them
    :param ofport: ``None`` until the switch has decided, ``-1`` where it failed
    :param error: the switch's own words when it failed
    :param protected: whether ports that are protected as well get nothing from it
    :param tree_state: what a spanning tree lets pass at it; empty where that is everything
    :param policing: how much the switch takes from it
    :param qos: how the switch sends to it
    """

    name: str
    bridge: str
    ofport: int | None = None
    ofport_request: int | None = None
    tag: int | None = None
    type: str = ""
    error: str = ""
    mtu: int | None = None
    mtu_request: int | None = None
    link_state: str = ""
    admin_state: str = ""
    mac_in_use: str = ""
    ifindex: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    interfaces: tuple[str, ...] = ()
    vlan_mode: str = ""
    trunks: tuple[int, ...] = ()
    protected: bool = False
    tree_state: str = ""
    policing: Policing = field(default_factory=Policing)
    qos: Qos | None = None


class Ovsdb(Protocol):
    """The local Open_vSwitch database.

    Reads are answered from the replica in memory; writes return once the server has committed.
    """

    def connected(self) -> bool:
        """Whether the replica is in step with a server."""

    def facts(self) -> dict[str, Any]:
        """The Open_vSwitch row: ``ovs_version``, ``db_version``, ``datapath_types``,
        ``iface_types``, ``dpdk_initialized``, ``system_id``, ``other_config``, ``external_ids``."""

    def bridge(self, name: str) -> Bridge | None: ...

    def bridges(self) -> list[str]:
        """The names of all bridges, sorted."""

    def ensure_bridge(
        self,
        name: str,
        *,
        datapath_type: str,
        fail_mode: str,
        protocols: Sequence[str],
        external_ids: Mapping[str, str],
    ) -> bool:
        """Make a bridge with its local port, and say whether it was made.

        An existing bridge is left exactly as it is, except that missing ``protocols`` are added;
        and that one with these ``external_ids``, which is ours then, gets its ``fail_mode`` back.
        """

    def set_fail_mode(self, name: str, mode: str) -> None:
        """Say what a bridge does with frames that no flow takes: ``secure`` drops them,
        ``standalone`` has the bridge learn and forward. The switch drops all flows of a bridge
        without a controller when that changes. A bridge that is gone is no error."""

    def delete_bridge(self, name: str) -> None: ...

    def ports(self, bridge: str) -> list[PortRow]:
        """Every port of the bridge, patch ports and the local port included."""

    def port(self, name: str) -> PortRow | None: ...

    def port_with(self, interface: str) -> PortRow | None:
        """The port that has an interface, whatever that port is called: a bond has several, and
        each interface stands in one port."""

    def ensure_ports(self, bridge: str, specs: Sequence[PortSpec]) -> None:
        """Make ports, or bring existing ones to what is wanted, in one transaction.

        External ids and options that are not named stay; a VLAN mode and trunks go. A port of that
        name on another bridge is :class:`~vifd.errors.NameClash`, and so is an interface of that
        name in another port.
        """

    def wait_ports(self, names: Sequence[str], timeout: float) -> dict[str, PortRow]:
        """Wait until the switch has decided each interface (ofport or error is set)."""

    def delete_ports(self, bridge: str, names: Sequence[str]) -> None:
        """Remove ports of this bridge in one transaction; those that are gone are no error."""

    def set_external_ids(self, values: Mapping[str, Mapping[str, str | None]]) -> None:
        """Per interface name, set external ids; ``None`` removes one."""

    def subscribe(self, callback: Callable[[str, str], None]) -> None:
        """Have ``callback(kind, name)`` called on a native thread when something changed: kind is
        ``port`` or ``bridge`` with its name, ``connected`` or ``disconnected``. After
        ``connected`` anything may have changed."""

    def ping(self, timeout: float) -> str:
        """Why the server does not answer now; empty where it does. Measured apart from all other
        calls."""

    def close(self) -> None:
        """End the connection and the driver's threads. The switch is left as it is."""


# --- OpenFlow -------------------------------------------------------------------------------------


class OpenFlow(Protocol):
    """The flow tables of the local bridges."""

    def apply(
        self,
        bridge: str,
        *,
        add: Sequence[Flow] = (),
        delete: Sequence[Flow] = (),
        delete_cookies: Sequence[tuple[int, int]] = (),
        read: Collection[int] = (),
    ) -> Reading:
        """Change flows, all or nothing: a bundle that is committed only once the switch has
        accepted every message.

        :param add: flows to add; one with the same table, priority and match is replaced
        :param delete: flows to remove by exact table, priority, match and cookie
        :param delete_cookies: (cookie, mask) pairs whose flows are all removed
        :param read: cookies whose flows are read after that, in the exchange that commits
        :returns: what was read, as :meth:`read` does; nothing where there was nothing to change
        """

    def dump(self, bridge: str, cookie: int, mask: int = 0xFFFF_FFFF_FFFF_FFFF) -> list[Flow]:
        """The flows with this cookie under this mask, canonical: equal to what was added."""

    def dump_each(self, bridge: str, cookies: Sequence[int]) -> dict[int, list[Flow]]:
        """The flows of each of these cookies, like :meth:`dump` but in one exchange."""

    def read(self, bridge: str, cookies: Sequence[int]) -> Reading:
        """The same, and how the bridge shows fragments, in that one exchange."""

    def max_meters(self, bridge: str) -> int:
        """How many meters a bridge may have, 0 for none."""

    def meters(self, bridge: str, numbers: Collection[int] | None = None) -> dict[int, Meter]:
        """The meters of a bridge with these numbers, as far as they are there; all by default. A
        switch without meters has none."""

    def set_meters(
        self, bridge: str, wanted: Sequence[Meter] = (), *, delete: Sequence[int] = ()
    ) -> None:
        """Make meters, or set those that are there to another rate while packets pass; then remove
        some, and with them every flow that names one. Not atomic: a call that failed may have done
        a part, and is made again.

        :raises BackendError: the switch refused one
        """

    def traffic(self, bridge: str) -> dict[int, Traffic]:
        """What each port of a bridge counted since it was made, by its number."""

    def dropped(self, bridge: str, numbers: Collection[int]) -> dict[int, Dropped]:
        """What the meters with these numbers dropped, as far as they are there."""

    def fragments(self, bridge: str) -> str:
        """How a bridge shows fragments to its flows: a mode of :mod:`vifd.openflow.fragments`."""

    def set_fragments(self, bridge: str, mode: str) -> None:
        """Change that, for all flows of the bridge; a switch that restarts has forgotten it."""

    def packet_out(self, bridge: str, frame: bytes, *, in_port: int, actions: bytes) -> None:
        """Send a frame."""

    def flush_zones(self, bridge: str, zones: Sequence[int]) -> None:
        """Forget every connection of these zones of connection tracking, in the datapath that the
        bridge is on; zones without any are no error."""

    def generation(self, bridge: str) -> int:
        """A number that grows whenever the connection to the bridge is lost, at once and not only
        when it is made anew: flows applied at another number may not be taken for granted."""

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(bridge, connected)`` called when a connection comes or goes."""

    def watch(self, callback: Callable[[str, Sequence[Update]], None]) -> None:
        """Have ``callback(bridge, updates)`` called when others change flows of a bridge to which
        there is a connection, as far as the switch tells (flow monitoring); never for our own."""

    def watch_ports(self, callback: Callable[[str, str], None]) -> None:
        """Have ``callback(bridge, port)`` called when settings or state of a port change, on a
        bridge to which there is a connection."""

    def listen(self, callback: Callable[[str, PacketIn], None]) -> None:
        """Have ``callback(bridge, handed)`` called with each frame that a flow of a bridge hands to
        :data:`vifd.openflow.packetin.IDENTITY` while there is a connection. To be called before
        there is one; the callback returns at once."""

    def port_flags(self, bridge: str) -> dict[str, frozenset[str]]:
        """What stops frames at each port of a bridge, by name: ``PORT_DOWN``, ``NO_RECV``,
        ``NO_FWD`` and ``BLOCKED``, as OpenFlow calls them; empty where nothing does."""

    def forget(self, bridge: str) -> None:
        """Close the connection to a bridge that is gone."""


class Tracer(Protocol):
    """The switch's control socket: ``ofproto/trace``, and other commands that read."""

    def trace(self, bridge: str, flow: str) -> str:
        """What the switch would do with a packet, in the switch's own words."""

    def traces(
        self, bridge: str, flows: Sequence[str], meanwhile: Callable[[], None] = idle
    ) -> list[str | BackendError]:
        """The same for several packets in one exchange; for each the answer, or why there is none.

        It raises only where the switch cannot be reached.

        :param meanwhile: called, while the switch is at work where that takes time; again where it
            was asked again
        """

    def settle(self, patience: float = 0.05) -> None:
        """Return once the switch's cached flows follow the flow tables as they are now, or so many
        seconds later: until then packets may still go the old way. Where nothing changed it is half
        a second until the switch has looked; what it counted is in its tables then."""

    def forget(self) -> None:
        """Have the switch forget the flows that it has cached: when this returns, every packet goes
        by the flow tables as they are now. None is lost by it."""

    def ping(self, timeout: float) -> str:
        """Why the switch does not answer now; empty where it does. Measured apart from all other
        calls."""

    def call(self, command: str, *args: str) -> str:
        """The switch's answer to a command that changes nothing, e.g.
        ``dpif-netdev/pmd-rxq-show``."""


@dataclass(frozen=True)
class Drivers:
    """The drivers of one host; a fake host is a whole fake machine.

    :param bridging: ``None`` in a composition without the kernel's bridge
    :param nft: ``None`` in a composition without the kernel's packet filter
    :param hearing: ``None`` where nobody listens to closed taps
    """

    links: Links
    ovsdb: Ovsdb
    openflow: OpenFlow
    tracer: Tracer
    bridging: Bridging | None = None
    nft: Nft | None = None
    hearing: Hearing | None = None
