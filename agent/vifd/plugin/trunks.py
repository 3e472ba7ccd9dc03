"""What plugins that carry trunks say of a sub-port and its parent, whatever lies between. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vifd.errors import TrunkConflict
from vifd.model import Attachment, Evidence, Vif
from vifd.model.trunks import Claim, claims, is_sub_port
from vifd.plugin.item import Requirement
from vifd.plugin.ledger import Entry
from vifd.plugin.meanings import Meaning, plain, words

_SOURCE = "journal"
_NONE = "no port of this host has it as a sub-port"
PARENT = "one port of this host that has it as a sub-port"


def relatives(
    attachment: Attachment, ledger: Mapping[str, Entry]
) -> Iterator[tuple[str, Entry]]:  # fmt: skip
    """The ports here that the port shares a trunk's device with."""
    trunk = attachment.port.trunk_details
    if trunk is not None:
        named = (sub_port.port_id for sub_port in trunk.sub_ports)
        yield from ((i, ledger[i]) for i in named if i in ledger)
    if is_sub_port(attachment):
        for port_id, claim in claims({i: e.attachment for i, e in ledger.items()}):
            if port_id == attachment.id:
                yield claim.parent, ledger[claim.parent]


def conflict(problem: str, other: str) -> Requirement:
    """A need that a relative on this host does not leave room for.

    :param other: the port that it is about
    """
    return Requirement("trunk", False, TrunkConflict(facts={"problem": problem, "other": other}))


def vif(attachment: Attachment, bridge: str) -> Vif:
    """Nothing that a guest's definition would name: the guest has the parent's device."""
    return Vif(type="trunk", mac_address=attachment.mac, mtu=attachment.network.mtu, bridge=bridge)


def lacking(fact: str, have: str, wanted: str) -> Evidence:
    """What a sub-port waits for."""
    return Evidence(fact, have, wanted, ok=False, source=_SOURCE, repairable=False)


def unclaimed(found: Sequence[Claim]) -> Evidence:
    """That a sub-port has no parent on this host, or several."""
    parents = ", ".join(claim.parent for claim in found)
    return lacking("trunk.parent", f"several have it: {parents}" if found else _NONE, PARENT)


def without_vlan() -> Evidence:
    """That a sub-port shall inherit its VLAN, and has none to inherit."""
    have = "none: its network, which it shall inherit it from, has none"
    return lacking("trunk.vlan", have, "a VLAN on the parent's device")


def known(parent: str, vlan: int) -> list[Evidence]:
    """By whom and with which tag its frames pass."""
    return [
        Evidence("trunk.parent", f"port {parent}", source=_SOURCE),
        Evidence("trunk.vlan", vlan, source=_SOURCE),
    ]


def closed(parent: str) -> Evidence:
    """That its parent lets nothing pass."""
    return lacking("trunk.carried", f"port {parent} is closed", "open")


no_parent = words("the sub-port waits for its parent: {have}")
parent_away = words("the parent, over whose device its frames pass, does not carry it: {have}")


def meanings(*follow: str) -> tuple[Meaning, ...]:
    """Of those facts.

    :param follow: patterns of the facts that differ only because its parent is not as wanted
    """
    behind = ("trunk.*", *follow)
    return (
        Meaning("port", ("trunk.parent",), no_parent,
                "put the parent's document on this host, with the port among its "
                "trunk_details.sub_ports; the port opens by itself then", behind),
        Meaning("port", ("trunk.device", "trunk.carried"), parent_away,
                "look at the parent: `vifctl port explain` of it says what it lacks; the sub-port "
                "comes back with it", behind),
        Meaning("port", ("trunk.vlan",), plain,
                "give it a segmentation_id in the parent's trunk_details"),
    )  # fmt: skip


#: The facts by which nothing of a sub-port passes.
SEVERING = ("trunk.parent", "trunk.device", "trunk.carried", "trunk.vlan")
