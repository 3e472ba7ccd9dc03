"""Who plugs the ports of instances on a host, as the parts of its ports tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vifd.model.parts import Part, Parts
from vifd.model.values import Id

#: The owner that vifd-nova gives of compute's part.
VIFD_NOVA = "nova"


@dataclass(frozen=True)
class Plugger:
    """Who plugged a port of an instance last.

    :param asks: it was vifd-nova, which asks vifd; else a program that plugs by itself
    :param port: the port's id
    :param device: what the other program plugged; empty where vifd-nova did
    :param at: when, seconds since the epoch
    """

    asks: bool
    port: Id
    device: str = ""
    at: float = 0.0


def spoken(port_id: Id, part: Part | None) -> Plugger | None:
    """What follows from what compute says of a port; ``None``: nothing."""
    if part is None or part.owner != VIFD_NOVA:
        return None
    return Plugger(True, port_id, at=part.at)


def plugger(port_id: Id, parts: Parts) -> Plugger | None:
    """What follows from the parts of one port; ``None``: nothing. A port that the network side has
    not made ahead in any case may be another program's to plug, and is no evidence."""
    if parts.compute is not None:
        return spoken(port_id, parts.compute)
    if parts.hosted is None or not parts.ahead:
        return None
    device = str(parts.hosted.body.get("device", ""))
    return Plugger(False, port_id, device, parts.hosted.at)


def latest(known: Plugger | None, parts: Mapping[str, Parts | None]) -> Plugger | None:
    """The last that is known, with what these ports tell."""
    for port_id, said in parts.items():
        found = plugger(port_id, said) if said is not None else None
        known = newer(known, found)
    return known


def newer(known: Plugger | None, found: Plugger | None) -> Plugger | None:
    """The later one of the two."""
    if found is None or (known is not None and known.at > found.at):
        return known
    return found
