"""What plugins may ask of the kernel's own bridge and of guests' frames: interfaces and values.

Plugins import them from :mod:`vifd.drivers`, which says what holds for all drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vifd.drivers.link import Link


@dataclass(frozen=True)
class BridgeSpec:
    """A bridge as it shall be: spanning tree and multicast snooping off, forwarding at once,
    learning nothing from frames that it does not forward.

    :param mac: its own address, so that it does not take that of a port
    :param vlan_filtering: VLAN-aware, with no VLAN that ports are in by default
    """

    name: str
    alias: str
    mtu: int
    mac: str
    vlan_filtering: bool = False


@dataclass(frozen=True)
class VlanSpec:
    """A VLAN sub-interface as it shall be.

    :param mac: its address, or the empty string for that of the device below
    """

    name: str
    alias: str
    mtu: int
    parent: str
    vlan_id: int
    mac: str = ""


@dataclass(frozen=True)
class VxlanSpec:
    """A VXLAN device as it shall be.

    :param local: the address that tunnels leave from
    :param group: the multicast group of unknown and broadcast frames, or the empty string
    :param parent: the device that the group is joined on; needed with a group
    :param remotes: without a group: the tunnel endpoints that unknown and broadcast frames go to
    :param learning: whether source addresses of arriving frames are learned
    """

    name: str
    alias: str
    mtu: int
    vni: int
    local: str
    group: str = ""
    parent: str = ""
    port: int = 4789
    ttl: int = 0
    remotes: tuple[str, ...] = ()
    learning: bool = True


Spec = BridgeSpec | VlanSpec | VxlanSpec


@dataclass(frozen=True)
class BridgePort:
    """A device as port of a bridge.

    :param flood: whether frames to unknown unicast addresses leave by it
    :param learning: whether the bridge learns source addresses from it
    :param pvid: on a VLAN-aware bridge, the VLAN of its untagged frames
    :param tagged: on a VLAN-aware bridge, the VLANs that it carries with their tags
    """

    name: str
    bridge: str
    flood: bool = True
    learning: bool = True
    pvid: int | None = None
    tagged: tuple[int, ...] = ()


@dataclass(frozen=True)
class HybridSpec:
    """A bridge with one end of a pair of devices in it, for a tap of another program: unmarked.

    :param inner: the end that is a port of the bridge
    :param outer: the other one
    """

    bridge: str
    inner: str
    outer: str
    mtu: int


@dataclass(frozen=True)
class Device:
    """A network device with what bridging is about.

    :param master: ifindex of the bridge that it is a port of, or ``None``
    :param parent: ifindex of the device below a VLAN or VXLAN device
    :param flood: of a port; ``None`` where it is none
    :param learning: of a port, or of a VXLAN device
    :param forwarding: of a port: whether frames pass; a tap without a guest forwards nothing
    :param isolated: of a port: whether it and other ports like that do not reach each other
    :param broadcasts: of a port: whether frames to all, and to groups, leave by it; these two are
        ``None`` where the kernel does not tell
    :param stp: of a bridge: whether it runs a spanning tree
    :param quiet: of a bridge: whether it learns nothing from frames to the link-local groups, which
        it keeps to itself; ``None`` where the kernel does not tell
    :param vlan_filtering: of a bridge; ``None`` where the kernel does not tell
    :param snooping: of a bridge: whether it forwards groups only to who asked for them
    :param calls: of a bridge: which of the host's own IP filters see its frames, whatever the
        settings of the host say (``iptables``, ``ip6tables``, ``arptables``)
    :param stops: of a port: in words what keeps frames from passing besides, by somebody's choice
    :param number: VLAN id or VNI
    :param local: of a VXLAN device
    :param group: of a VXLAN device
    """

    link: Link
    master: int | None = None
    parent: int | None = None
    flood: bool | None = None
    learning: bool | None = None
    forwarding: bool | None = None
    isolated: bool | None = None
    broadcasts: bool | None = None
    stp: bool | None = None
    quiet: bool | None = None
    vlan_filtering: bool | None = None
    snooping: bool | None = None
    calls: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    number: int | None = None
    local: str = ""
    group: str = ""
    port: int | None = None


#: A program of the classic Berkeley packet filter, over the frame from its first byte. Each step is
#: an instruction, where to go if it is true and if it is not, and its operand; the result is a
#: verdict of traffic control (``linux/pkt_cls.h``).
Program = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class FdbEntry:
    """A static entry of a forwarding table: frames to ``mac`` leave by a device.

    :param device: a port of a bridge; with ``remote``, a VXLAN device
    :param remote: the tunnel endpoint that has the address
    :param vlan: on a VLAN-aware bridge
    :param fixed: it stays where it is although frames with its address as their source come in
        elsewhere; static ones move. As it was read, ``None`` where the kernel has no such entries
    """

    device: str
    mac: str
    remote: str = ""
    vlan: int | None = None
    fixed: bool | None = False


class Hearing(Protocol):
    """What guests say at closed taps of this namespace."""

    def listen(self, callback: Callable[[str, bytes], None]) -> None:
        """Have ``callback(device, frame)`` called on a native thread with what may be an
        announcement of a guest: an untagged reverse ARP, gratuitous ARP or neighbour
        advertisement."""

    def hear(self, devices: Collection[str]) -> None:
        """Listen to these taps as well; one that was made anew under its name is heard anew, and
        one that is not there is left out.

        :raises VifError: that may not be had, by ``E_PLUG_PRIV`` say
        """

    def forget(self, devices: Collection[str]) -> None:
        """Listen to these no more."""


class Bridging(Protocol):
    """Bridges of this namespace and what is plugged into them."""

    def get(self, names: Sequence[str]) -> dict[str, Device]:
        """The devices that exist, by name; asks by name, never dumps. Another name of a device
        (an altname) is none of a device here."""

    def real_name(self, name: str) -> str:
        """The name of the device that has this name or answers to it as its altname; empty where
        none does."""

    def members(self, bridge: str) -> list[Device]:
        """The ports of a bridge; none where there is no such bridge."""

    def make(self, spec: Spec) -> Device:
        """Have a device as it shall be, and read it back: marked, up, and without IPv6.

        One that exists with the alias is brought to the MTU and up; what cannot be changed in place
        must be as wanted.

        :raises NameClash: a device of the name exists that does not bear the alias
        :raises DeviceError: the kernel refuses, or an own device differs for good
        """

    def enslave(self, ports: Sequence[BridgePort]) -> dict[str, Exception]:
        """Make devices ports of bridges, and bring them up; a port of another bridge leaves that.

        :returns: by name why one could not be made a port
        """

    def make_hybrid(self, spec: HybridSpec) -> None:
        """Make what is missing of a bridge and a pair, unmarked and up, the one end in the bridge.

        :raises NameClash: a device of another kind, or one with our mark, has such a name
        """

    def remove_hybrid(self, spec: HybridSpec) -> None:
        """Remove a bridge that nothing but the pair is in, and the pair; what is gone is no error.

        :raises NameClash: something else is in the bridge, or has such a name
        """

    def release(self, names: Sequence[str]) -> None:
        """Take ports out of their bridges; those that are gone or in none are no error."""

    def addresses(self, name: str) -> list[str]:
        """The IP addresses of a device with their prefix lengths, IPv6 link-local ones left out."""

    def holder(self, address: str) -> Device | None:
        """The device that has an IP address of the host."""

    def fdb(self, wanted: Sequence[FdbEntry]) -> list[FdbEntry | None]:
        """For each entry the one that its bridge has for the address, on whatever port; ``None``
        where it has none. Only for entries of bridges."""

    def tunnels(self, device: str) -> frozenset[FdbEntry]:
        """The static entries of a VXLAN device, with their endpoints (a dump); none where there is
        no such device."""

    def say(self, device: str, frames: Sequence[bytes]) -> None:
        """Send whole Ethernet frames out of a device; out of a bridge they go to all its ports.

        :raises VifError: they were not sent, or not all of them
        """

    def change_fdb(self, *, add: Sequence[FdbEntry] = (), delete: Sequence[FdbEntry] = ()) -> None:
        """Add and remove static entries; what is there, or gone, already is no error. One of a
        VXLAN device takes the place of another for the same address, but for that of frames to
        all (``00:00:00:00:00:00``), which go to each endpoint."""

    def guard(self, programs: Mapping[str, Program]) -> dict[str, Exception]:
        """Have programs judge what comes from devices, before their bridge and the host do; one
        that is there is replaced, with no moment without one. A guard stands on its device and
        goes with it; rules of the packet filter are nothing to it.

        :returns: what failed, by device
        """

    def unguard(self, names: Sequence[str]) -> None:
        """Take the guards from devices; those that are gone, or have none, are no error. What other
        software put in that place stays."""

    def guards(self, names: Sequence[str]) -> dict[str, Program | None]:
        """The guards of devices that exist, ``None`` where there is none."""

    def barred(self, names: Sequence[str]) -> dict[str, str]:
        """What of other software takes the place of a guard, in words, by device; those that have
        room for one are left out."""

    def lacking(self, kind: str) -> str | None:
        """Why the kernel cannot make devices of a kind (``bridge``, ``vlan``, ``vxlan``) or bridges
        with a feature (``vlan_filtering``), or guard devices (``guard``); ``None`` where it can.
        Leaves nothing."""

    def hindrances(self, names: Sequence[str]) -> dict[str, list[str]]:
        """In words, by device, what other software put on it: traffic control that drops, sends
        elsewhere or rewrites, addresses of the host, a master, a queue of no length."""

    def limits(self, names: Sequence[str]) -> dict[str, list[str]]:
        """In words, by device, what traffic control limits the rate to."""

    def filtered(self) -> list[str]:
        """The settings by which the host's own IP filters see bridged frames, e.g.
        ``net.bridge.bridge-nf-call-iptables``."""

    def close(self) -> None:
        """End the driver's thread and socket. Devices stay."""


def passing(texts: Sequence[str]) -> list[str]:
    """Of what was found on a card, what may cost frames that only pass it: its addresses and what
    it belongs to are the host's own."""
    return [t for t in texts if any(word in t for word in ("filter", "program", "discipline"))]
