"""The flows of a network's tunnels, changed by what changed, are those made anew; and a change
costs what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unit.ovs.world import port
from vifd.model.sets import Endpoint, Forwarding, Reachable
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd_ovs.bridge.flows import shared_macs
from vifd_ovs.bridge.reached import Local, Reached
from vifd_ovs.bridge.tunnelflows import Overlaid

VXLAN = {"network_type": "vxlan", "segmentation_id": 101}
OWN = ("172.31.0.1",)
#: Endpoints; this host, one of a version that has no tunnel, and one of IPv6 among them.
PLACES = ["172.31.0.2", "172.31.0.3", "172.31.0.4", "fd31::5", *OWN]
PORTS = [
    Reachable(mac_address=mac(n), ip_addresses=ips)
    for n in range(2, 6)
    for ips in ((ipv4(n), ipv6(n)), (ipv4(n), ipv4(9)), ("10.0.0.0/24", "fe80::1", ipv4(1)), ())
]
endpoints = st.builds(
    lambda address, ports: Endpoint(address=address, ports=tuple(ports)),
    st.sampled_from(PLACES), st.lists(st.sampled_from(PORTS), max_size=3),
)  # fmt: skip
forwardings = st.lists(endpoints, max_size=4, unique_by=lambda e: e.address).map(
    lambda found: Forwarding(id="net", endpoints=tuple(found))
)


def local(**more: Any) -> Local:
    pair = [{"ip_address": "10.0.0.5", "mac_address": mac(5)}]
    members = [port(attachment(1, segment=VXLAN, allowed_address_pairs=pair, **more))]
    return Local.of(7, members, shared_macs(members))


def overlaid(
    forwarding: Forwarding | None, exits: tuple[tuple[int, int], ...] = ((4, 801),)
) -> Overlaid:
    return Overlaid(101, exits, OWN, forwarding)


def kept(before: Forwarding, after: Forwarding) -> Forwarding:
    """As a change of pieces leaves it: an endpoint that is the same is the same object."""
    known = {e.address: e for e in before.endpoints}
    return Forwarding(
        id=after.id,
        endpoints=tuple(
            e if known.get(e.address) != e else known[e.address] for e in after.endpoints
        ),
    )


@given(st.lists(forwardings, min_size=2, max_size=6), st.booleans(), st.booleans())
def test_changed_is_made_anew(told: list[Forwarding], six: bool, bare: bool) -> None:
    here = local(port_security_enabled=False) if bare else local()
    exits = ((4, 801), (6, 802)) if six else ((4, 801),)
    found = Reached.made(here, overlaid(None, exits))
    last = Forwarding(id="net")
    for said in told:
        before, last = found, kept(last, said)
        found = found.now(overlaid(last, exits))
        assert dict(found.entries) == dict(Reached.made(here, overlaid(last, exits)).entries)
        if found.base is before.entries:
            model = dict(before.entries)
            for flow in found.removed:
                del model[flow.key]
            model.update((flow.key, flow) for flow in found.added)
            assert model == dict(found.entries)


def test_other_ways_out_make_all_anew() -> None:
    told = Forwarding(id="net", endpoints=(Endpoint(address=PLACES[3], ports=(PORTS[0],)),))
    here = local()
    found = Reached.made(here, overlaid(told)).now(overlaid(told, ((4, 801), (6, 802))))
    assert dict(found.entries) == dict(
        Reached.made(here, overlaid(told, ((4, 801), (6, 802)))).entries
    )


def test_a_port_behind_two_endpoints_is_behind_the_one_that_is_left() -> None:
    first, second = (Endpoint(address=a, ports=(PORTS[0],)) for a in PLACES[:2])
    empty = Endpoint(address=second.address)
    here, both = local(), Forwarding(id="net", endpoints=(first, second))
    left = overlaid(Forwarding(id="net", endpoints=(first, empty)))
    found = Reached.made(here, overlaid(both)).now(left)
    assert dict(found.entries) == dict(Reached.made(here, left).entries)
    again = found.now(overlaid(both))
    assert dict(again.entries) == dict(Reached.made(here, overlaid(both)).entries)
    assert dict(again.now(left).entries) == dict(found.entries)


def calls(work: Callable[[], object]) -> int:
    """How many functions it calls."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def moves(entries: int) -> int:
    """The calls of a move of one of so many ports, ten behind each endpoint."""
    ports = [
        Reachable(mac_address=f"fa:16:3e:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}",
                  ip_addresses=(f"10.{1 + (n >> 16)}.{n >> 8 & 255}.{n & 255}",))
        for n in range(entries)
    ]  # fmt: skip
    found = [
        Endpoint(address=f"172.30.{n >> 8}.{n & 255}", ports=tuple(ports[10 * n : 10 * n + 10]))
        for n in range(entries // 10)
    ]
    told = Forwarding(id="net", endpoints=tuple(found))
    before = Reached.made(local(), overlaid(told))
    first, second, *others = found
    after = Forwarding(
        id="net",
        endpoints=(
            Endpoint(address=first.address, ports=first.ports[1:]),
            Endpoint(address=second.address, ports=(*second.ports, first.ports[0])),
            *others,
        ),
    )
    made: list[Reached] = []
    count = calls(lambda: made.append(before.now(overlaid(after))))
    assert (len(made[0].added), len(made[0].removed)) == (1, 0)
    assert made[0].base is before.entries
    return count


def test_a_move_costs_what_it_is() -> None:
    few, many = moves(100), moves(10_000)
    assert many <= few + 20, (few, many)
