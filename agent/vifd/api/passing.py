"""Whether the security groups of a port let a packet pass."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import falcon

from vifd.api import query
from vifd.api.described import ADDRESSED, Call, Calls, good, parameter
from vifd.api.resource import Resource, answer, port_id_of
from vifd.explain.passing import Passing, other_end, passing, protocol_number, with_peer
from vifd.model import Attachment, PortRecord
from vifd.model.sets import ICMP, ICMPV6, WITH_PORTS
from vifd.policy.groups import Packet
from vifd.policy.rule import Direction

#: An echo request, by protocol.
ECHO = {ICMP: 8, ICMPV6: 128}
_ADDRESS = {"type": "string", "minLength": 2, "maxLength": 45}


class PortPassing(Resource):
    """``/v1/ports/{id}/passes``"""

    calls = Calls(
        get=Call(
            "Which rule lets the first packet of a connection pass, if any does; from memory",
            {200: good("what lets it pass, or that nothing does", Passing)},
            ADDRESSED,
            [parameter("to", _ADDRESS, "the address that the guest sends to; or"),
             parameter("from", _ADDRESS, "the address that sends to the guest"),
             parameter("proto", {"type": "string", "default": "tcp"}, "a name or a number"),
             parameter("port", {"type": "integer", "minimum": 0, "maximum": 65535},
                       "the destination port; of ICMP, the type: by default an echo request"),
             parameter("code", {"type": "integer", "minimum": 0, "maximum": 255, "default": 0},
                       "of ICMP, the code"),
             parameter("sport", {"type": "integer", "minimum": 1, "maximum": 65535},
                       "the source port, where it matters: DHCP")],
        )
    )  # fmt: skip

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        said = query.params(req, ("to", "from", "proto", "port", "code", "sport"))
        packet = _packet(said)
        record = self.backend.port(port_id_of(port_id))
        attachment, records = record.doc.attachment, {r.id: r for r in self.backend.ports()}
        everybody = [r.doc.attachment for r in records.values()]
        found = self._judged(record, packet, everybody)
        if (there := other_end(attachment, packet, everybody)) is not None:
            peer, seen = there
            found = with_peer(found, self._judged(records[peer.id], seen, everybody))
        answer(resp, 200, found)

    def _judged(
        self, record: PortRecord, packet: Packet, everybody: Sequence[Attachment]
    ) -> Passing:
        sets, advert = self.backend.sets, self.backend.offers.advert(record.plugin)
        return passing(
            record.doc.attachment, packet,
            lambda key: r.body if (r := sets.get(key)) is not None else None, everybody,
            advert.unseen_ports if advert is not None else (),
        )  # fmt: skip


def _packet(said: dict[str, str]) -> Packet:
    if ("to" in said) == ("from" in said):
        raise query.bad("to", "either to or from is required, and not both")
    name = "to" if "to" in said else "from"
    try:
        remote = ipaddress.ip_address(said[name])
    except ValueError:
        raise query.bad(name, "is no IP address") from None
    try:
        protocol = protocol_number(said.get("proto", "tcp"), remote.version)
    except ValueError:
        raise query.bad("proto", "is no protocol's name and no number from 1 to 255") from None
    number = query.integer("port", said["port"], 0, 65535) if "port" in said else None
    sport = query.integer("sport", said["sport"], 1, 65535) if "sport" in said else 0
    ported = protocol in WITH_PORTS
    if ported and not number:
        raise query.bad("port", "is required with a protocol that has ports")
    kind, code = _icmp(said, protocol, number)
    return Packet(
        direction=Direction.EGRESS if name == "to" else Direction.INGRESS, remote=str(remote),
        protocol=protocol, sport=sport, dport=(number or 0) if ported else 0, icmp_type=kind,
        icmp_code=code,
    )  # fmt: skip


def _icmp(
    said: dict[str, str], protocol: int, number: int | None
) -> tuple[int | None, int | None]:  # fmt: skip
    """Type and code of an ICMP message; ``None`` of other packets."""
    if protocol not in ECHO:
        if "code" in said:
            raise query.bad("code", "is for ICMP alone")
        return None, None
    code = query.integer("code", said["code"], 0, 255) if "code" in said else 0
    if number is not None and number > 255:
        raise query.bad("port", "is no ICMP type, which is at most 255")
    return ECHO[protocol] if number is None else number, code
