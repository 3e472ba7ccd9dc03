"""What is read of the tunnels that the ports of a network use: their switch ports, what these stand
on, the ways to the endpoints, and where frames end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vifd.drivers import Drivers, PortRow
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.model.sets import Endpoint, Forwarding
from vifd.openflow import datapath
from vifd.openflow.trace import parse
from vifd_ovs.bridge import tunnels
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.overlay import OVERLAYS, Kind, port_name, version_of
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.proofs import ANY_ADDRESS, GATEWAY, frames

#: So many endpoints are asked for a route in one check, and so many are named.
_ASKED, _SHOWN = 64, 4
#: How the switch says that there is no way.
_NO_ROUTE = "Not found"


def port_evidence(work: Work, bridges: Bridges) -> list[Evidence]:
    """The tunnel ports of a port's network; from memory."""
    network_type = work.names.network_type
    if network_type not in OVERLAYS:
        return []
    overlay = bridges.overlay
    kinds = overlay.kinds(network_type)
    if not kinds:
        # frames still go where they went; only the operator can say where they should
        have = list(overlay.served)
        return [Evidence("tunnel.type", have, network_type, False, "configuration", False)]
    return [_port(bridges, work.names.bridge, kind) for kind in kinds]


def _port(bridges: Bridges, bridge: str, kind: Kind) -> Evidence:
    problem = tunnels.problem(bridges.ovsdb, bridges.overlay, bridge, kind)
    row = bridges.ovsdb.port(port_name(bridge, kind))
    # what the switch refuses it refuses again
    refused = row is not None and bool(row.error)
    return Evidence(
        "tunnel.port", problem or "ready", "ready", problem is None, "ovsdb", not refused
    )


@dataclass
class Ways:
    """What the tunnels of one host stand on; everything is read once for many ports.

    :param forwarding: of a network, by its id
    """

    drivers: Drivers
    bridges: Bridges
    _underlays: dict[int, tunnels.Underlay] | None = None
    _routes: dict[str, bool | None] = field(default_factory=dict)

    def evidence(self, work: Work, forwarding: Forwarding | None) -> list[Evidence]:
        """The interface that tunnels leave by, its MTU, and the ways to the endpoints."""
        kinds = self.bridges.overlay.kinds(work.names.network_type)
        if not kinds:
            return []
        facts = [fact for kind in kinds for fact in self._below(work, kind)]
        endpoints = self._endpoints(forwarding)
        facts.append(Evidence("tunnel.endpoints", len(endpoints), source="journal"))
        return facts + self._ways(endpoints)

    def _below(self, work: Work, kind: Kind) -> Iterator[Evidence]:
        if self._underlays is None:
            self._underlays = tunnels.underlays(self.drivers, self.bridges.overlay)
        below = self._underlays[kind.version]
        if below.up is not None:
            there = below.device or f"no interface has {below.address}"
            ok = bool(below.device)
            yield Evidence("tunnel.local_ip", there, below.address, ok, "netlink", False)
        if below.device and below.up is not None:
            state = "up" if below.up else f"{below.device} is down"
            yield Evidence("tunnel.carrier", state, "up", below.up, "netlink", False)
        limit = tunnels.largest(self.bridges.overlay, kind, below)
        if limit is not None:
            wanted = work.item.attachment.network.mtu
            yield Evidence("tunnel.mtu", limit, wanted, wanted <= limit, "netlink", False)

    def _endpoints(self, forwarding: Forwarding | None) -> list[str]:
        own = self.bridges.overlay.local.values()
        found = forwarding.endpoints if forwarding is not None else ()
        return [e.address for e in found if e.address not in own]

    def _ways(self, endpoints: Sequence[str]) -> list[Evidence]:
        local = self.bridges.overlay.local
        facts = []
        deaf = [a for a in endpoints if version_of(a) not in local]
        if deaf:
            # configuration alone mends it
            have = f"no local_ip of IPv{version_of(deaf[0])} for {_some(deaf)}"
            facts.append(Evidence("tunnel.version", have, "one", False, "configuration", False))
        asked = [a for a in endpoints[:_ASKED] if a not in deaf]
        lost = [a for a in asked if self._routed(a) is False]
        have = f"no route to {_some(lost)}" if lost else "a route"
        if asked:
            facts.append(Evidence("tunnel.route", have, "a route", not lost, "switch", False))
        return facts

    def _routed(self, address: str) -> bool | None:
        """Whether the switch knows a way to an address; ``None`` where it does not say."""
        if address not in self._routes:
            try:
                self.drivers.tracer.call("ovs/route/lookup", address)
                self._routes[address] = True
            except VifError as error:
                self._routes[address] = False if _NO_ROUTE in str(error) else None
        return self._routes[address]


def _some(addresses: Sequence[str]) -> str:
    more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
    return ", ".join(addresses[:_SHOWN]) + more


# --- traces ---------------------------------------------------------------------------------------


def trace_evidence(
    drivers: Drivers, bridges: Bridges, work: Work, port: SwitchPort, forwarding: Forwarding | None
) -> list[Evidence]:
    """What the switch would do with a frame of the port for a port behind a tunnel, and with one
    from there. For somebody who asks why."""
    rows = tunnels.rows(bridges.ovsdb, work.names.bridge)
    found = _example(bridges, rows, work, forwarding)
    if found is None or not port.is_open:
        return []
    endpoint, row = found
    try:
        return [
            _leaving(drivers, work, port, endpoint),
            _arriving(drivers, bridges, work, port, endpoint, row),
        ]
    except (VifError, ValueError):
        return []  # the traces of every check have said it


def _example(
    bridges: Bridges, rows: dict[Kind, PortRow], work: Work, forwarding: Forwarding | None
) -> tuple[Endpoint, PortRow] | None:
    """An endpoint, one with somebody behind it if there is one, and the tunnel port to it."""
    own = bridges.overlay.local.values()
    for endpoint in sorted(forwarding.endpoints if forwarding else (), key=lambda e: not e.ports):
        row = rows.get(Kind(work.names.network_type, version_of(endpoint.address)))
        if row is not None and (row.ofport or 0) > 0 and endpoint.address not in own:
            return endpoint, row
    return None


def _leaving(drivers: Drivers, work: Work, port: SwitchPort, endpoint: Endpoint) -> Evidence:
    frame = next(frames(port)).text
    if endpoint.ports:
        target = endpoint.ports[0].mac_address
        frame = re.sub(r"dl_dst=[^,]*", f"dl_dst={target}", frame)
    (answer,) = drivers.tracer.traces(work.names.bridge, [frame])
    wanted = f"sent to {endpoint.address}"
    if isinstance(answer, VifError):
        raise answer
    have = wanted if _sent(answer, endpoint.address) else _why(answer)
    return Evidence("tunnel.leaving", have, wanted, have == wanted, "trace", False)


def _sent(answer: str, address: str) -> bool:
    """Whether a trace shows a packet for an endpoint: encapsulated by the switch itself, or by the
    kernel upon what the actions say."""
    inside = rf"tunneling from \S+ \S+ to \S+ {re.escape(address)}$"
    kernel = rf"set\(tunnel\([^)]*(dst|ipv6_dst)={re.escape(address)}[,)]"
    return bool(re.search(inside, answer, re.MULTILINE) or re.search(kernel, answer))


def _why(answer: str) -> str:
    """The switch's own remark on a frame that did not leave."""
    remarks = [line.strip().removeprefix(">> ") for line in answer.splitlines() if ">>" in line]
    return remarks[0] if remarks else "not sent there"


def _arriving(
    drivers: Drivers, bridges: Bridges, work: Work, port: SwitchPort, endpoint: Endpoint,
    row: PortRow,
) -> Evidence:  # fmt: skip
    version = version_of(endpoint.address)
    name = "tun_ipv6" if version == 6 else "tun"
    local = bridges.overlay.local.get(version, "")
    frame = (
        f"arp,in_port={row.ofport},tun_id={port.segment[2]},{name}_src={endpoint.address},"
        f"{name}_dst={local},dl_src={GATEWAY},dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,"
        f"arp_sha={GATEWAY},arp_spa={ANY_ADDRESS}"
    )
    (answer,) = drivers.tracer.traces(work.names.bridge, [frame])
    if isinstance(answer, VifError):
        raise answer
    numbers = datapath.ports(drivers.tracer.call("dpif/show"))
    trace = parse(answer)
    wanted = f"given to {work.device}"
    sent = {number for number, _ in datapath.outputs(trace.datapath)}
    last = f"ended in {trace.hops[-1]}" if trace.hops else "it met no flow"
    have = wanted if numbers.get(work.device) in sent else trace.failure or last
    return Evidence("tunnel.arriving", have, wanted, have == wanted, "trace", False)
