"""A second opinion on ports: devices by sysfs, rows and flows by Open vSwitch's own tools, and the
frames of guests. Nothing of it asks vifd, or uses what vifd reads the host with.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vifd.testing import frames
from vifd.testing.guests import Guest, Sender, arrivals, guests
from vifd.testing.netns import links
from vifd.testing.sandbox import PrivateOvs

_NET = Path("/sys/class/net")
#: Seconds that a frame may take, and how often it is sent. This is about who is reached: a switch
#: that was killed a moment ago may drop one, and how many it drops is counted by other tests.
_HEARING, _ATTEMPTS = 10.0, 3
_IFF_UP, _IFF_MULTI_QUEUE = 0x1, 0x100
#: What changes in a line of dump-flows while the flow stays.
_COUNTERS = re.compile(r"(n_packets|n_bytes|idle_age|hard_age)=[^ ,]*,? ?")


@dataclass(frozen=True)
class Wanted:
    """A port as it shall be found.

    :param open: whether its guest's frames shall pass
    :param parent: of a sub-port, the id of the port whose device its frames pass over
    :param vlan: and their tag there; 0 for other ports
    """

    # all are of guests with one vCPU: one queue

    document: Mapping[str, Any]
    open: bool = True
    parent: str = ""
    vlan: int = 0

    @property
    def id(self) -> str:
        return str(self.document["port"]["id"])

    @property
    def device(self) -> str:
        """The name of the tap that its frames pass over."""
        return f"tap{(self.parent or self.id)[:11]}"

    @property
    def mac(self) -> str:
        return str(self.document["port"]["mac_address"])

    @property
    def ip(self) -> str:
        """Its first address."""
        return str(self.document["fixed_ips"][0]["ip_address"])

    @property
    def network(self) -> str:
        return str(self.document["network"]["id"])

    def hello(self) -> bytes:
        """A frame that all of its network hear, and nobody else."""
        return self.tagged(frames.arp_request(self.mac, self.ip, "10.255.255.254"))

    def tagged(self, frame: bytes) -> bytes:
        """A frame as it is on its device."""
        return (
            frame[:12] + struct.pack("!HH", 0x8100, self.vlan) + frame[12:] if self.vlan else frame
        )

    def hears(self, frame: bytes) -> bool:
        """Whether a frame on its device is for it, and not for another port there."""
        return (frames.vlan_of(frame) or 0) == self.vlan


@dataclass
class Switch:
    """What the switch's tools say of it."""

    ports: dict[str, dict[str, Any]] = field(default_factory=dict)
    interfaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    #: of the flows in table 0 that let frames in, the port, and the VLAN of those of sub-ports
    admitted: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def read(cls, ovs: PrivateOvs, bridge: str) -> Switch:
        """Ask the tools."""
        if bridge not in ovs.bridges():
            return cls()
        flows = ovs.ofctl("dump-flows", bridge, "table=0")
        found = re.findall(r"priority=100,in_port=\"?([^\s\",]+)\"?([^ ]*) actions=", flows)
        return cls(
            ports=_table(ovs, "Port", "name", "tag"),
            interfaces=_table(
                ovs, "Interface", "name", "ofport", "error", "ifindex", "admin_state",
                "external_ids", "mtu_request",
            ),
            members=set(ovs.vsctl("list-ports", bridge).split()),
            admitted={(int(n), _vlan(rest)) for n, rest in found if n.isdigit()},
        )  # fmt: skip


def _vlan(match: str) -> int:
    found = re.search(r"dl_vlan=(\d+)", match)
    return int(found[1]) if found else 0


def _table(ovs: PrivateOvs, table: str, *columns: str) -> dict[str, dict[str, Any]]:
    text = ovs.vsctl("--format=json", f"--columns={','.join(columns)}", "list", table)
    raw = json.loads(text)
    rows = [dict(zip(raw["headings"], map(_plain, row), strict=True)) for row in raw["data"]]
    return {row["name"]: row for row in rows}


def _plain(value: Any) -> Any:
    if isinstance(value, list) and value[0] == "map":
        return dict(value[1])
    if isinstance(value, list) and value[0] == "set":
        return value[1][0] if value[1] else None
    return value


def complaints(ovs: PrivateOvs, wanted: Iterable[Wanted], bridge: str = "br-int") -> list[str]:
    """What is not as it shall be, a line each; devices, rows and the flow that lets frames in."""
    switch = Switch.read(ovs, bridge)
    found: list[str] = []
    tags: dict[str, set[Any]] = {}
    for port in wanted:
        if port.vlan:
            found += _sub_port(switch, port)
            continue
        found += [f"{port.device}: {text}" for text in _port(switch, port)]
        tags.setdefault(port.network, set()).add(switch.ports.get(port.device, {}).get("tag"))
    found += [f"network {n} has tags {sorted(t, key=str)}" for n, t in tags.items() if len(t) > 1]
    if len(used := [next(iter(t)) for t in tags.values()]) != len(set(used)):
        found.append(f"networks share a tag: {tags}")
    return found


def _port(switch: Switch, port: Wanted) -> list[str]:
    found = device_complaints(port)
    row = switch.interfaces.get(port.device)
    if row is None or port.device not in switch.members:
        return [*found, "it is no port of the bridge"]
    expected = {
        "error": None,
        "admin_state": "up",
        "ifindex": links().get(port.device),
    }
    found += [f"{k} is {row[k]!r}, not {v!r}" for k, v in expected.items() if row[k] != v]
    if row["external_ids"].get("iface-id") != port.id:
        found.append("its row does not name the port")
    number = row["ofport"] or -1
    if number <= 0:
        found.append(f"its number is {number}")
    elif ((number, 0) in switch.admitted) != port.open:
        found.append("its frames are let in" if not port.open else "no flow lets its frames in")
    return found


def _sub_port(switch: Switch, port: Wanted) -> list[str]:
    """What is wrong with the way in of a sub-port, which has nothing else of its own here."""
    row = switch.interfaces.get(port.device)
    number = row["ofport"] or -1 if row is not None else -1
    if ((number, port.vlan) in switch.admitted) == port.open:
        return []
    wrong = "is let in, and shall not" if not port.open else "is not let in"
    return [f"VLAN {port.vlan} of {port.device} {wrong}"]


def device_complaints(port: Wanted) -> list[str]:
    """What is wrong with a port's tap, a line each."""
    directory = _NET / port.device
    try:
        have = {name: (directory / name).read_text().strip() for name in _ATTRIBUTES}
    except OSError:
        return ["there is no device"]
    wanted = {
        "address": f"fe{port.mac[2:]}",
        "mtu": str(port.document["network"]["mtu"]),
        "ifalias": f"vifd:{port.id}",
    }
    found = [f"{k} is {have[k]}, not {v}" for k, v in wanted.items() if have[k] != v]
    if int(have["tun_flags"], 16) & _IFF_MULTI_QUEUE:
        found.append("it has many queues")
    return found if int(have["flags"], 16) & _IFF_UP else [*found, "the device is down"]


_ATTRIBUTES = ("address", "mtu", "ifalias", "flags", "tun_flags")


# --- frames ---------------------------------------------------------------------------------------


def frames_go_astray(ovs: PrivateOvs, wanted: Sequence[Wanted]) -> list[str]:
    """Have every guest send; what did not arrive though it shall, or did though it shall not.

    Every port broadcasts once as itself and once as a liar. An open port must hear exactly the
    others of its network that are open.
    """
    if not wanted:
        return []
    devices = sorted({p.device for p in wanted})
    with guests(*devices, ovs=ovs) as opened:
        ovs.revalidated()
        return unheard(wanted, dict(zip(devices, opened, strict=True)))


def unheard(wanted: Sequence[Wanted], taps: Mapping[str, Guest]) -> list[str]:
    """The same, of guests that are there.

    :param taps: the guest of each tap, by its name
    """
    wires = {port.id: taps[port.device] for port in wanted}
    return [text for port in wanted for text in _heard(port, wanted, wires)]


def _heard(port: Wanted, everyone: Sequence[Wanted], wires: Mapping[str, Guest]) -> list[str]:
    """What is wrong with what one guest hears."""
    peers = [p for p in everyone if p.network == port.network and p.open and p is not port]
    if not port.open or not peers:
        return []
    sent: list[tuple[Sender, bytes]] = []
    for other in everyone:
        if other is not port:
            lie = other.tagged(frames.arp_request("02:00:00:00:0b:ad", other.ip, "10.255.255.254"))
            sent += [(wires[other.id], other.hello()), (wires[other.id], lie)]
    last = frames.arp_request(peers[-1].mac, peers[-1].ip, "10.255.255.253")
    expected = port.tagged(last)
    problem = ""
    for _ in range(_ATTEMPTS):
        try:
            got = arrivals(
                wires[port.id], sent=sent, sentinel=(wires[peers[-1].id], peers[-1].tagged(last)),
                expect=lambda frame: frame == expected, timeout=_HEARING,
            )  # fmt: skip
        except AssertionError as error:
            problem = f"{port.device} does not hear {peers[-1].device}: {error}"
        else:
            return _judged(port, peers, everyone, filter(port.hears, got))
    return [problem]


def _judged(
    port: Wanted, peers: Collection[Wanted], everyone: Iterable[Wanted], got: Iterable[bytes]
) -> list[str]:
    senders = {frames.mac_text(frame[6:12]) for frame in got}
    owners = {p.mac: p for p in everyone}
    shall = {p.mac for p in peers}
    found = [f"{port.device} does not hear {owners[mac].device}" for mac in shall - senders]
    for mac in senders - shall:
        name = owners[mac].device if mac in owners else mac
        found.append(f"{port.device} hears {name}, and shall not")
    return found


def rates(ovs: PrivateOvs, bridge: str = "br-int") -> list[int]:
    """The rates of the switch's meters for bandwidth, in order."""
    if bridge not in ovs.bridges():
        return []
    meters = ovs.ofctl("dump-meters", bridge).split("meter=")
    return sorted(int(r) for m in meters if "kbps" in m for r in re.findall(r"rate=(\d+)", m))


def meter_ages(ovs: PrivateOvs, bridge: str = "br-int") -> dict[str, float]:
    """Seconds since each meter was added, by what it is."""
    if bridge not in ovs.bridges():
        return {}
    numbers = re.findall(r"meter:(\d+) .*?duration:([0-9.]+)s", ovs.ofctl("meter-stats", bridge))
    told = re.split(r"(?=meter=)", ovs.ofctl("dump-meters", bridge))
    kinds = {m[1]: one.split() for one in told if (m := re.match(r"meter=(\d+)", one))}
    return {" ".join(kinds[number]): float(age) for number, age in numbers if number in kinds}


# --- flows ----------------------------------------------------------------------------------------


def flow_ages(ovs: PrivateOvs, bridge: str = "br-int") -> dict[str, float]:
    """Seconds since each flow was added, by what the flow is: one that was replaced is young."""
    ages = {}
    for line in ovs.ofctl("dump-flows", bridge).splitlines():
        found = re.search(r"duration=([0-9.]+)s, ", line)
        if found:
            key = _COUNTERS.sub("", line.replace(found.group(0), ""))
            ages[key.strip()] = float(found.group(1))
    return ages


def touched_flows(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """The flows that came, went or were put in again between two calls of :func:`flow_ages`."""
    changed = before.keys() ^ after.keys()
    return sorted(changed | {k for k in before.keys() & after.keys() if after[k] < before[k]})
