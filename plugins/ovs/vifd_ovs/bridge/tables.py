"""The flow tables of the pipeline.

Only CLASSIFY is shared with whoever else has flows on the bridge; the others are reached through
our own flows alone, and their numbers are such that other software is unlikely to use them.
"""

from __future__ import annotations

#: Where a frame comes from: a port, the uplink of a network, or nowhere.
CLASSIFY = 0
#: Whether a guest without port security brings VLAN tags of its own.
TAGS = 105
#: Which protocol a guest speaks, and whether it may.
PROTOCOL = 110
#: Whether the MAC and IP source addresses belong to the port.
SOURCE = 120
#: Whether the MAC source address alone belongs to the port.
HARDWARE = 130
#: Where refused frames end, port by port.
SPOOFED = 140
#: Where what is asked of all is answered, in networks with tunnels.
ANSWER = 200
#: Where an answer to neighbour discovery gets what only an answer has.
SOLICITED = 201
#: Which tunnel endpoints a frame goes to; long lists of them go on in the tables behind it.
TUNNELS = 210
#: Where a frame goes within its network; long lists of ports go on in the tables behind it.
DELIVER = 160

#: The priority of our lowest flow in CLASSIFY that belongs to a port.
LEAST = 90

NAMES = {
    CLASSIFY: "classify",
    TAGS: "tags",
    PROTOCOL: "protocol",
    SOURCE: "source",
    HARDWARE: "hardware",
    SPOOFED: "spoofed",
    DELIVER: "deliver",
    ANSWER: "answer",
    SOLICITED: "solicited",
    TUNNELS: "tunnels",
}


def concerns(table: int, priority: int) -> bool:
    """Whether a flow of others there may stand between a port's frames and our flows."""
    return table in NAMES and (table != CLASSIFY or priority >= LEAST)


def name(table: int) -> str:
    """A table for a reader, e.g. ``160 (deliver)``."""
    if table in NAMES:
        return f"{table} ({NAMES[table]})"
    before = TUNNELS if table > TUNNELS else DELIVER
    return f"{table} ({NAMES[before]}, continued)" if table > before else f"{table} (not ours)"
