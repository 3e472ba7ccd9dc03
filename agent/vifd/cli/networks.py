"""The small file that says which networks there are, and which guest is on which. Pure.

::

    networks:
      lab: {cidr: 192.0.2.0/24, gateway: 192.0.2.254}
      office: {physical_network: physnet1, vlan: 101, cidr: [198.51.100.0/24, 2001:db8::/64]}
    guests:                       # optional; a guest that is not here gets what --network says
      web:
        - {network: lab, address: 192.0.2.10}
        - office
"""

from __future__ import annotations

import difflib
import ipaddress
import itertools
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Ids are made from names, so that a file means the same ports on every host and every time.
_NAMES = uuid.UUID("b8f6c1d2-7f4e-5a09-9c53-6d1f0e3a2b4c")
_OF_NETWORK = {
    "cidr", "gateway", "mtu", "vlan", "physical_network", "id", "port_security", "plugin",
    "vif_type",
}  # fmt: skip
_OF_PORT = {"network", "mac", "address", "name", "port_security"}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
#: Addresses of a prefix that are tried before it counts as full.
_TRIED = 70_000


@dataclass(frozen=True)
class Net:
    """One network of the file.

    :param gateways: by IP version
    :param extra: wishes for the document: ``plugin``, ``vif_type``
    """

    name: str
    id: str
    segment: dict[str, Any]
    prefixes: tuple[Prefix, ...] = ()
    gateways: Mapping[int, str] = field(default_factory=dict)
    mtu: int = 1500
    port_security: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """One port that a guest shall have; what is not said is found.

    :param addresses: ``None``: the first free one of each prefix
    """

    network: str
    mac: str = ""
    addresses: tuple[Address, ...] | None = None
    name: str = ""
    port_security: bool | None = None


@dataclass(frozen=True)
class Plan:
    """What a file says."""

    networks: Mapping[str, Net]
    guests: Mapping[str, tuple[Wish, ...]]

    def wishes(self, guest: str, named: Collection[str], cards: int) -> list[Wish]:
        """What a guest shall have: what the file says of it, or a port per network card it has.

        :param named: networks of the command line, in order
        :param cards: how many network cards the guest's definition has
        :raises errors.GuestNetworkUnknown: it is not clear which network, or there is none such
        """
        if not named and guest in self.guests:
            return list(self.guests[guest])
        names = list(named) or ([next(iter(self.networks))] if len(self.networks) == 1 else [])
        if not names:
            listed = ", ".join(self.networks)
            problem = (
                f"the file does not say what {guest} is on, and has several networks: {listed}"
            )
            raise errors.GuestNetworkUnknown(facts={"problem": problem}, stage="file")
        wanted = names if named else names * max(1, cards)
        return [Wish(known(name, self.networks)) for name in wanted]


def read(value: Any) -> Plan:
    """A file's value.

    :raises errors.BadDocument: with the path of the field
    :raises errors.GuestNetworkUnknown: a guest is on a network that is not there
    """
    top = _mapping(value, "(file)", {"networks", "guests"})
    found = _mapping(top.get("networks"), "networks")
    if not found:
        raise _bad("networks", "must name a network at least")
    networks = {name: _network(name, spec) for name, spec in found.items()}
    guests = {}
    for guest, listed in _mapping(top.get("guests") or {}, "guests").items():
        if not isinstance(listed, list):
            raise _bad(f"guests.{guest}", "must be a list of ports")
        wishes = tuple(_wish(f"guests.{guest}[{i}]", one) for i, one in enumerate(listed))
        for wish in wishes:
            known(wish.network, networks)
        guests[guest] = wishes
    return Plan(networks, guests)


def known(name: str, networks: Mapping[str, Net]) -> str:
    """The name, if there is such a network.

    :raises errors.GuestNetworkUnknown: there is none
    """
    if name in networks:
        return name
    close = difflib.get_close_matches(name, list(networks), 1, 0.6)
    meant = f"did you mean {close[0]}?" if close else f"it has {', '.join(networks)}"
    problem = f"the file has no network {name}; {meant}"
    raise errors.GuestNetworkUnknown(facts={"problem": problem, "network": name}, stage="file")


def _network(name: str, spec: Any) -> Net:
    path = f"networks.{name}"
    spec = _mapping(spec if spec is not None else {}, path, _OF_NETWORK)
    prefixes = tuple(_prefixes(f"{path}.cidr", spec.get("cidr", [])))
    gateways: dict[int, str] = {}
    for text in _list(spec.get("gateway", [])):
        gateway = _address(f"{path}.gateway", text)
        if not any(gateway in prefix for prefix in prefixes):
            raise _bad(f"{path}.gateway", f"{gateway} is in no cidr of the network")
        gateways[gateway.version] = str(gateway)
    extra = {key: str(spec[key]) for key in ("plugin", "vif_type") if key in spec}
    return Net(
        name, _id(path, spec.get("id"), "network", name), _segment(path, spec), prefixes, gateways,
        _number(f"{path}.mtu", spec.get("mtu", 1500), 68, 65535),
        _flag(f"{path}.port_security", spec.get("port_security", True)), extra,
    )  # fmt: skip


def _segment(path: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    physical, tag = spec.get("physical_network"), spec.get("vlan")
    if physical is None:
        if tag is not None:
            raise _bad(f"{path}.physical_network", "is required beside vlan")
        return {"network_type": "local"}
    if tag is None:
        return {"network_type": "flat", "physical_network": str(physical)}
    return {
        "network_type": "vlan", "physical_network": str(physical),
        "segmentation_id": _number(f"{path}.vlan", tag, 1, 4094),
    }  # fmt: skip


def _wish(path: str, one: Any) -> Wish:
    if isinstance(one, str):
        return Wish(one)
    one = _mapping(one, path, _OF_PORT)
    if not isinstance(one.get("network"), str):
        raise _bad(f"{path}.network", "is required")
    mac = str(one.get("mac", "")).lower()
    if mac and not _MAC.fullmatch(mac):
        raise _bad(f"{path}.mac", f"{mac!r:.40} is no MAC address")
    addresses = None
    if "address" in one:
        listed = _list(one["address"])
        addresses = tuple(_address(f"{path}.address", text) for text in listed)
    security = one.get("port_security")
    if security is not None:
        security = _flag(f"{path}.port_security", security)
    return Wish(one["network"], mac, addresses, str(one.get("name", "")), security)


def document(
    wish: Wish, net: Net, mac: str, guest: tuple[str, str], taken: Collection[str]
) -> dict[str, Any]:
    """The attachment document of one port of a guest.

    :param guest: its UUID and name
    :param taken: addresses of the network that others have
    :raises errors.BadDocument: an address is taken, or in no prefix of the network
    """
    fixed = [_fixed(net, address) for address in _addresses(wish, net, taken)]
    security = net.port_security if wish.port_security is None else wish.port_security
    return {
        "version": "1.0", "role": "ACTIVE",
        "port": {
            "id": port_id(guest[0], mac), "name": wish.name or f"{guest[1]}-{net.name}"[:255],
            "mac_address": mac, "port_security_enabled": security,
        },
        "network": {"id": net.id, "name": net.name, "mtu": net.mtu, "segment": net.segment},
        "fixed_ips": fixed,
        "subnets": [_subnet(net, prefix) for prefix in net.prefixes],
        "instance": {"id": guest[0], "name": guest[1]},
        **net.extra,
    }  # fmt: skip


def port_id(guest: str, mac: str) -> str:
    """The id of a guest's port: the same each time."""
    return str(uuid.uuid5(_NAMES, f"port/{guest}/{mac}"))


def _addresses(wish: Wish, net: Net, taken: Collection[str]) -> Iterator[Address]:
    if wish.addresses is not None:
        for address in wish.addresses:
            if str(address) in taken:
                raise _bad("address", f"{address} is another port's on network {net.name}")
            yield address
        return
    for prefix in net.prefixes:
        yield _free(net, prefix, taken)


def _free(net: Net, prefix: Prefix, taken: Collection[str]) -> Address:
    """The first address of a prefix that nobody has."""
    for text in map(str, itertools.islice(prefix.hosts(), _TRIED)):
        if text not in taken and text not in net.gateways.values():
            return ipaddress.ip_address(text)
    raise _bad(f"networks.{net.name}.cidr", f"{prefix} has no free address")


def _fixed(net: Net, address: Address) -> dict[str, str]:
    for prefix in net.prefixes:
        if address in prefix:
            return {"ip_address": str(address), "subnet_id": _subnet_id(net, prefix)}
    raise _bad("address", f"{address} is in no cidr of network {net.name}")


def _subnet(net: Net, prefix: Prefix) -> dict[str, Any]:
    gateway = net.gateways.get(prefix.version)
    inside = gateway is not None and ipaddress.ip_address(gateway) in prefix
    made = {"id": _subnet_id(net, prefix), "cidr": str(prefix)}
    return {**made, "gateway_ip": gateway} if inside else made


def _subnet_id(net: Net, prefix: Prefix) -> str:
    return str(uuid.uuid5(_NAMES, f"subnet/{net.id}/{prefix}"))


# --- values ---


def _bad(path: str, problem: str) -> errors.BadDocument:
    return errors.BadDocument.at_field(path, problem)


def _mapping(value: Any, path: str, names: Collection[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(path, "must be names with values")
    for name in value:
        if names and name not in names:
            close = difflib.get_close_matches(name, list(names), 1, 0.6)
            meant = (
                f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(names))}"
            )
            raise _bad(f"{path}.{name[:64]}", f"is not a field of it; {meant}")
    return value


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _prefixes(path: str, value: Any) -> Iterator[Prefix]:
    for text in _list(value):
        try:
            yield ipaddress.ip_network(str(text))
        except ValueError as error:
            raise _bad(path, f"{text!r:.64} is no prefix ({error})") from error


def _address(path: str, text: Any) -> Address:
    try:
        return ipaddress.ip_address(str(text))
    except ValueError as error:
        raise _bad(path, f"{text!r:.64} is no IP address") from error


def _number(path: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(path, f"{value!r:.40} is no number from {least} to {most}")
    return value


def _flag(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _bad(path, f"{value!r:.40} is neither true nor false")
    return value


def _id(path: str, given: Any, kind: str, name: str) -> str:
    if given is None:
        return str(uuid.uuid5(_NAMES, f"{kind}/{name}"))
    try:
        return str(uuid.UUID(str(given)))
    except ValueError as error:
        raise _bad(f"{path}.id", f"{given!r:.64} is no UUID") from error
