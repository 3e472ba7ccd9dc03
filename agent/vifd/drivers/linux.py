"""What plugins may ask of the kernel's own bridge and packet filter: interfaces and values.

Plugins import them from :mod:`vifd.drivers`, which says what holds for all drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vifd.drivers.link import Link
from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.objects import Chain, Change, Element


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
    """A VLAN sub-interface as it shall be."""

    name: str
    alias: str
    mtu: int
    parent: str
    vlan_id: int


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
        """The devices that exist, by name; asks by name, never dumps."""

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


@dataclass(frozen=True)
class FilterChain:
    """A base chain of other software that refuses something.

    :param family: ``ip``, ``ip6``, ``inet``, ``arp``, ``bridge`` or ``netdev``
    :param hook: where it is called, in the words of ``nft``
    :param devices: of a chain that is called for devices: of the family ``netdev``, or ``inet``
    :param drops: whether it drops what no rule accepts
    :param refusing: how many rules drop or reject
    """

    family: str
    table: str
    name: str
    hook: str
    devices: tuple[str, ...] = ()
    drops: bool = False
    refusing: int = 0

    def __str__(self) -> str:
        does = ["drops what no rule accepts"] if self.drops else []
        does += [f"{self.refusing} rules refuse"] if self.refusing else []
        return (
            f"table {self.family} {self.table}, chain {self.name} ({self.hook}): {', '.join(does)}"
        )


class Nft(Protocol):
    """Tables of nftables in the bridge family; and of the family netdev what keeps the host itself
    from hearing devices, and what answers the questions of guests."""

    def apply(self, table: str, change: Change) -> None:
        """Carry a change out as one transaction, all or nothing; the table is made if need be."""

    def rehearse(self, table: str, change: Change) -> None:
        """Have the kernel judge a change as :meth:`apply` would, and change nothing."""

    def chains(self, table: str, names: Sequence[str]) -> dict[str, Chain]:
        """The chains that exist, by name, with their rules: equal to what was applied."""

    def list_chains(self, table: str) -> dict[str, Chain]:
        """All chains of the table (a dump)."""

    def counted(self, table: str, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Packets and bytes that the counters of each chain have, all its rules together; of a
        chain that is there. They begin at zero when its rules are made. Bytes are counted from the
        network header on."""

    def elements(self, table: str, wanted: Sequence[Element]) -> list[Element | None]:
        """For each element the one of its name in its set, or ``None``."""

    def list_elements(self, table: str, name: str) -> Mapping[str, Verdict | None]:
        """All elements of a set (a dump); none where there is no such set."""

    def addresses(self, table: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """The elements of sets of addresses that exist, by the name of the set."""

    def list_sets(self, table: str) -> list[str]:
        """The names of all sets of the table (a dump)."""

    def untracked(self) -> str | None:
        """Why the kernel cannot follow connections across its bridges; ``None`` where it can. Makes
        nothing.

        :raises VifError: it cannot be told now
        """

    def forget(self, zone: int, addresses: Collection[str] | None, marks: Collection[int]) -> int:
        """Forget the connections of a zone that have one of these addresses at an end, or one of
        these marks; without addresses all of them. How many those were."""

    def deafen(self, table: str, devices: Sequence[str]) -> None:
        """Have the host's own stack hear nothing from devices; packet sockets hear them still, and
        with them a userspace switch. All or nothing; one that is deaf already is no error."""

    def undeafen(self, table: str, devices: Sequence[str]) -> None:
        """Have the host hear devices again; also of devices that are gone, for some kernels keep
        what was said of a name."""

    def deaf(self, table: str, devices: Sequence[str]) -> set[str]:
        """Those of these devices that the host does not hear."""

    def list_deaf(self, table: str) -> list[str]:
        """The names of all devices of which something was said (a dump)."""

    def answer(self, table: str, network: str, known: Mapping[str, str] | None) -> None:
        """Have ARP and neighbour discovery for these addresses of a network, and for no others, be
        answered with their MAC addresses, by the difference to what is there. ``None``: no question
        about it is answered any more, whoever asks.

        :param network: a name of at most 120 characters
        """

    def ask(self, table: str, devices: Mapping[str, str | None]) -> None:
        """Have what guests ask by these devices be answered by what is known of a network, which
        must be there; with ``None`` no more, also of devices that are gone."""

    def answers(self, table: str, network: str) -> Mapping[str, str] | None:
        """What is answered about a network: MAC address by IP address. ``None`` where nothing is,
        or otherwise than :meth:`answer` has it."""

    def asking(self, table: str, devices: Sequence[str]) -> dict[str, str]:
        """The network that each of these devices asks about, of those that do; an empty name where
        somebody changed that."""

    def list_answers(self, table: str) -> tuple[list[str], list[str]]:
        """All devices that ask, and all networks that are answered for (a dump)."""

    def unanswerable(self) -> str | None:
        """Why the kernel cannot answer; ``None`` where it can. Makes nothing."""

    def lacking(self, family: str) -> str | None:
        """Why the kernel takes no chains of a family (``netdev``, ``bridge``); ``None`` where it
        does. Makes nothing."""

    def others(self, ours: str) -> tuple[FilterChain, ...]:
        """Base chains of any family that refuse something; without those of the table ``ours``.
        Read again only when somebody else changed a table."""

    def held(self, table: str) -> bool | None:
        """Whether nobody else can change the table of the bridge family now; ``None`` where that is
        not wanted, or the kernel has no such tables."""

    def delete_table(self, table: str) -> None:
        """Remove the table with everything in it; one that is gone is no error."""

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(table)`` called on a native thread when somebody else changed a table;
        the name is empty when announcements were lost: any may have changed."""

    def close(self) -> None:
        """Close the socket. Rules stay."""
