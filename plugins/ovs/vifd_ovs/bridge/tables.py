"""The flow tables of the pipeline.

Only CLASSIFY is shared with whoever else has flows on the bridge; the others are reached through
our own flows alone, and their numbers are such that other software is unlikely to use them.
"""

from __future__ import annotations

#: Where a frame comes from: a port, the uplink of a network, or nowhere.
CLASSIFY = 0
#: What a port with a QoS policy sends: its bandwidth, and the mark that its packets get.
SENT = 102
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
#: Ends an answer in networks with sub-ports of trunks.
ANSWERED = 202
#: Which tunnel endpoints a frame goes to; long lists of them go on in the tables behind it.
TUNNELS = 210
#: What a port with security groups may send: what passes without a connection, the rest tracked.
EGRESS = 150
#: The verdict of rules without state.
EGRESS_STATELESS = 151
#: Whether the receiver is a port here with groups as well.
EGRESS_TO = 152
#: It is, and the sender's zone was asked: what the sender began goes on, of all else the receiver's
#: zone is asked.
EGRESS_BESIDE = 153
#: What the receiver's zone knows, or either of what both began.
EGRESS_BEGUN = 154
#: The receiver is elsewhere, or has no groups, or is not one alone.
EGRESS_ALONE = 155
#: What becomes of it.
EGRESS_VERDICT = 156
#: The receiver is a port here with groups: which of the two comes first.
EGRESS_ORDER = 157
#: Where what no rule lets a port send ends, port by port.
EGRESS_REFUSED = 158
#: The zone of that one is asked.
EGRESS_FIRST = 159
#: It was the receiver's; reached by tracking alone.
EGRESS_ASKED = 148
#: Where a frame goes within its network; long lists of ports go on in the tables behind it.
DELIVER = 160
#: The last one for long lists.
DELIVER_LAST = 168
#: What a port with security groups may receive, in the same steps as what it may send.
INGRESS = 170
INGRESS_STATELESS = 171
INGRESS_TRACKED = 172
INGRESS_VERDICT = 174
#: Where what no rule lets a port receive ends, port by port.
INGRESS_REFUSED = 175
#: What a port is given whose limits are asked; each packet here is given to one port.
GIVEN = 176
#: The second limit of such a port.
GIVEN_FURTHER = 177
#: A subroutine: the groups of the port in :data:`PORT_REGISTER`.
POLICY = 180
#: A subroutine: whether a rule of the group in :data:`GROUP_REGISTER` lets the packet pass.
RULES = 182
#: Where copies of packets go that a log of security groups is about, port by port.
LOGGED = 190

#: The register that holds the local VLAN id from CLASSIFY on.
NETWORK_REGISTER = "reg6"
#: The port whose rules are judged: the one that sends, from DELIVER on the one that receives. It is
#: the zone of its connections as well.
PORT_REGISTER = "reg4"
#: Whether the rules for what the port sends or those for what it receives are judged.
DIRECTION_REGISTER = "reg5"
#: The group whose rules are judged, with the direction in the lowest bit.
GROUP_REGISTER = "reg3"
#: 1 once a rule let the packet pass.
VERDICT_REGISTER = "reg2"
#: What is known of a packet between two ports with groups: its connection is in a zone of one of
#: the two, or it begins one (see :mod:`vifd_ovs.bridge.admission`); 0 of any other packet.
JOINT_REGISTER = "reg8"
#: What a copy in LOGGED is of (:mod:`vifd_ovs.bridge.logflows`).
LOG_REGISTER = "reg7"
#: The zone of the receiver, then that in which a connection begins.
ZONE_REGISTER = "reg9"
#: The life of a port with groups that sends, and of the receiver (:mod:`vifd_ovs.bridge.joint`).
LIFE_REGISTER, OTHER_REGISTER = "reg12", "reg13"
#: 1 for a frame that may have tags of its guest's own.
TAGS_REGISTER = "reg11"

#: The priority of our lowest flow in CLASSIFY that belongs to a port.
LEAST = 90

NAMES = {
    CLASSIFY: "classify",
    SENT: "sent",
    TAGS: "tags",
    PROTOCOL: "protocol",
    SOURCE: "source",
    HARDWARE: "hardware",
    SPOOFED: "spoofed",
    EGRESS: "egress",
    EGRESS_STATELESS: "egress, stateless",
    EGRESS_ASKED: "egress, the receiver's zone first",
    EGRESS_TO: "egress, to whom",
    EGRESS_BESIDE: "egress, to a port here",
    EGRESS_BEGUN: "egress, begun by the other",
    EGRESS_ALONE: "egress, alone",
    EGRESS_VERDICT: "egress, verdict",
    EGRESS_ORDER: "egress, whose zone first",
    EGRESS_FIRST: "egress, first zone",
    EGRESS_REFUSED: "egress, refused",
    DELIVER: "deliver",
    ANSWER: "answer",
    SOLICITED: "solicited",
    ANSWERED: "answered",
    TUNNELS: "tunnels",
    INGRESS: "ingress",
    INGRESS_STATELESS: "ingress, stateless",
    INGRESS_TRACKED: "ingress, tracked",
    INGRESS_VERDICT: "ingress, verdict",
    INGRESS_REFUSED: "ingress, refused",
    GIVEN: "given",
    GIVEN_FURTHER: "given, further",
    POLICY: "policy",
    RULES: "rules",
    LOGGED: "logged",
}


def concerns(table: int, priority: int) -> bool:
    """Whether a flow of others there may stand between a port's frames and our flows."""
    return known(table) and (table != CLASSIFY or priority >= LEAST)


def known(table: int) -> bool:
    """Whether the table is one of ours."""
    return table in NAMES or DELIVER < table <= DELIVER_LAST or table > TUNNELS


def name(table: int) -> str:
    """A table for a reader, e.g. ``160 (deliver)``."""
    if table in NAMES:
        return f"{table} ({NAMES[table]})"
    if not known(table):
        return f"{table} (not ours)"
    return f"{table} ({NAMES[TUNNELS if table > TUNNELS else DELIVER]}, continued)"
