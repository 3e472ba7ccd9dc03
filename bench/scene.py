"""The ports that every contender plugs: the same documents, names and numbers."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any

from vifd.model import Document, decode
from vifd.openflow.flow import Flow
from vifd_ovs.bridge import flows, marks
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.wiring import OvsWiring

BRIDGE = "br-int"
MTU = 1450
#: How many callers plug at the same time where many do.
CALLERS = 8
#: A multiple of the callers: caller ``n % CALLERS`` plugs port ``n``, so that no two callers ever
#: change the flows of one network at the same time.
NETWORKS = int(os.environ.get("BENCH_NETWORKS", "24"))


def network_of(number: int) -> int:
    """The network that a port is on."""
    return number % NETWORKS


def port_id(number: int) -> str:
    """The port's id; its first eleven characters, which name the device, are its own."""
    return f"{number:08x}-00{number % 97:02d}-4000-8000-{number:012x}"


def device(number: int) -> str:
    """The name of the port's tap."""
    return f"tap{port_id(number)[:11]}"


def mac(number: int) -> str:
    """The guest's MAC address."""
    return f"fa:16:3e:00:{number >> 8:02x}:{number & 0xFF:02x}"


def instance_id(number: int) -> str:
    """The id of the guest."""
    return f"{number:08x}-0000-4000-a000-{number:012x}"


def network_id(number: int) -> str:
    """The id of the port's network."""
    return f"00000000-0000-4000-9000-{network_of(number):012x}"


def document(number: int) -> dict[str, Any]:
    """The attachment document, as it goes over the API."""
    subnet = f"00000000-0000-4000-b000-{network_of(number):012x}"
    address = f"10.{network_of(number)}.{number >> 8}.{number & 0xFF}"
    return {
        "version": "1.0",
        "role": "ACTIVE",
        "port": {"id": port_id(number), "name": f"port-{number}", "mac_address": mac(number)},
        "network": {
            "id": network_id(number),
            "mtu": MTU,
            "segment": {"network_type": "local"},
        },
        "fixed_ips": [{"ip_address": address, "subnet_id": subnet}],
        "subnets": [{"id": subnet, "cidr": f"10.{network_of(number)}.0.0/16"}],
        "instance": {
            "id": instance_id(number),
            "name": f"instance-{number:08x}",
            "project_id": "bench",
            "vcpus": 2,
        },
    }


# --- the same port as the switch and the database see it ------------------------------------------


@cache
def _document(number: int) -> Document:
    return decode(document(number))


@cache
def wiring(number: int) -> OvsWiring:
    """Numbers for the port, as the plugin would choose them."""
    return OvsWiring(
        bridge=BRIDGE,
        ofport=number + 1,
        tag=network_of(number) + 1,
        generation=1 + number,
        network_id=network_id(number),
    )


@cache
def _port(number: int) -> SwitchPort:
    return switch_port(_document(number).attachment, wiring(number), opened=True)


def external_ids(number: int) -> dict[str, str]:
    """What the daemon writes beside the port into the database."""
    attachment = _document(number).attachment
    return {
        **marks.external_ids(attachment, wiring(number), "ovs"),
        **marks.document_ids(attachment),
    }


def cookie(number: int) -> int:
    """The cookie of the port's flows."""
    return _port(number).cookie


def bridge_flows() -> list[Flow]:
    """The flows that belong to no port."""
    return flows.bridge_flows(ours=True)


def port_flows(number: int) -> Sequence[Flow]:
    """The flows of an open port."""
    return flows.port_flows(_port(number))


def network_flows(network: int, present: Collection[int]) -> list[Flow]:
    """The flows of a network that these ports are on."""
    members = [_port(n) for n in present if network_of(n) == network]
    segment: tuple[str, str | None, int | None] = ("local", None, None)
    return flows.network_flows(flows.Network(network + 1, segment), members)


def networks(numbers: Iterable[int]) -> list[int]:
    """The networks that ports are on."""
    return sorted({network_of(n) for n in numbers})
