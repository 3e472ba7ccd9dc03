"""From a networks file and a definition to ports, and back. Pure."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vifd import errors
from vifd.cli import networks
from vifd.cli.domain import Card, Definition

#: Characters of a port's id in a tap's name.
_OF_ID = 11


@dataclass(frozen=True)
class Port:
    """One port of a guest: what is to be plugged, and the card in whose place it comes."""

    document: dict[str, Any]
    card: Card | None

    @property
    def id(self) -> str:
        return str(self.document["port"]["id"])

    @property
    def mac(self) -> str:
        return str(self.document["port"]["mac_address"])

    @property
    def addresses(self) -> list[str]:
        return [fixed["ip_address"] for fixed in self.document["fixed_ips"]]


def ports(
    plan: networks.Plan, wishes: Sequence[networks.Wish], definition: Definition,
    known: Iterable[Mapping[str, Any]],
) -> list[Port]:  # fmt: skip
    """The ports that a guest gets, each with the card that it replaces.

    A wish with a MAC address takes the card that has it; the others take the cards that are left,
    in order; who finds none is a card more.

    :param definition: of the guest, not wired
    :param known: the documents of ports that the daemon has
    :raises errors.BadDocument: an address cannot be given
    """
    made: list[Port] = []
    others = list(known)
    for wish, card in _matched(wishes, definition.cards):
        net = plan.networks[wish.network]
        mac = wish.mac or (card.mac if card else "") or new_mac(definition, others, made)
        own = networks.port_id(definition.uuid, mac)
        taken = _taken(net.id, own, [*others, *(p.document for p in made)])
        kept = _kept(wish, net, own, others)
        guest = (definition.uuid, definition.name)
        made.append(Port(networks.document(kept, net, mac, guest, taken), card))
        others.append(made[-1].document)
    return made


def _matched(
    wishes: Sequence[networks.Wish], cards: Sequence[Card]
) -> Iterator[tuple[networks.Wish, Card | None]]:
    named = {wish.mac for wish in wishes if wish.mac}
    free = [card for card in cards if card.mac not in named]
    by_mac = {card.mac: card for card in cards}
    for wish in wishes:
        if wish.mac:
            yield wish, by_mac.get(wish.mac)
        else:
            yield wish, free.pop(0) if free else None


def new_mac(
    definition: Definition, documents: Iterable[Mapping[str, Any]], made: Iterable[Port]
) -> str:
    """A MAC address for a card more: of QEMU's range, and the same for the same guest each time.

    :param made: the guest's ports before this one
    """
    others = [doc for doc in documents if (doc.get("instance") or {}).get("id") != definition.uuid]
    used = {doc["port"]["mac_address"] for doc in others}
    used |= {card.mac for card in definition.cards} | {port.mac for port in made}
    dice = random.Random(definition.uuid)
    while True:
        mac = "52:54:00:" + ":".join(f"{dice.randrange(256):02x}" for _ in range(3))
        if mac not in used:
            return mac


def _taken(network: str, own: str, documents: Iterable[Mapping[str, Any]]) -> set[str]:
    return {
        str(ipaddress.ip_address(fixed["ip_address"]))
        for doc in documents
        if (doc.get("network") or {}).get("id") == network and doc["port"]["id"] != own
        for fixed in doc.get("fixed_ips") or ()
    }


def _kept(
    wish: networks.Wish, net: networks.Net, own: str, documents: Iterable[Mapping[str, Any]]
) -> networks.Wish:
    """A port that is there already keeps its addresses, where the file says none."""
    if wish.addresses is not None:
        return wish
    for doc in documents:
        if doc["port"]["id"] == own and (doc.get("network") or {}).get("id") == net.id:
            have = tuple(ipaddress.ip_address(f["ip_address"]) for f in doc.get("fixed_ips") or ())
            fits = all(any(a in prefix for prefix in net.prefixes) for a in have)
            if fits and len(have) == len(net.prefixes):
                return networks.Wish(wish.network, wish.mac, have, wish.name, wish.port_security)
    return wish


def foreseen(port: Port, candidate: Mapping[str, Any]) -> dict[str, Any]:
    """What vifd will most likely answer of a port, for a run that changes nothing.

    :param candidate: the one that the daemon would choose
    """
    vif = {
        "type": "ethernet", "device": f"tap{port.id[:_OF_ID]}", "mac_address": port.mac,
        "managed": False, "mtu": port.document["network"]["mtu"],
    }  # fmt: skip
    if candidate.get("vif_type") == "vhostuser":
        vif |= {
            "type": "vhostuser",
            "socket_path": f"(socket of {port.id})",
            "socket_mode": "server",
        }
    return vif


def fit(definition: Definition, vifs: Iterable[Mapping[str, Any]]) -> None:
    """Whether the guest can use what its ports are.

    :raises errors.GuestUnfit: a shared ring needs memory that the switch can map
    """
    if any(vif["type"] == "vhostuser" for vif in vifs) and not definition.shared_memory:
        problem = "a vhost-user port needs shared memory"
        hint = (
            "add <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking> to "
            "the domain (virsh edit), or say vif_type: ovs in the file; nothing was changed"
        )
        facts = {"guest": definition.name, "problem": problem}
        raise errors.GuestUnfit(facts=facts, hint=hint)
