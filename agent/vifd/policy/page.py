"""The page on anti-spoofing, written from the rules: ``python -m vifd.policy.page``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from vifd.policy import spoofing
from vifd.policy.claims import claims
from vifd.policy.rule import Rule, Verdict

_HEAD = """\
# Anti-spoofing

Written from `vifd.policy`; `make docs/antispoofing` writes it anew. The rules are data and
stand in the code once; Open vSwitch (with vhost-user) and the Linux bridge plugin translate
them. A frame of a port with port security is judged by the first rule that it meets, in the
order of this page; what meets none is refused. `tests/functional/spoofing` sends some 630
frames, each with its verdict and source, from ports of five kinds to a port beside them and
over the uplink, through both bridges.

*By hardware*: passes if the Ethernet source is one of the port's MACs. *By address*: passes if
Ethernet and IP source are one pair of the port's fixed IPs and allowed address pairs.
"""

_OWN = """\
What a port may claim is judged by what was allowed and not by equality of fields: each hardware
address that a message names must be allowed for the IP address that it is about. A link-layer
address option may be left out. This table is that of a port with one MAC and one address.
"""

_REST = """\
## Tags

A frame with a VLAN tag is refused from every guest, with port security and without. A priority
tag (VLAN id 0, any priority) is none (IEEE 802.1Q-2022, 6.9), from guests and from a flat
network: Open vSwitch takes it off, so its priority is cleared; the Linux bridge leaves it, so
its priority is kept. A second tag below it is refused.

## Fragments

First fragments are judged as whole packets. Later ones have no ports and no types: they pass by
their addresses, and can bring nothing whose first fragment was refused. Large datagrams pass.

On Open vSwitch first fragments show their headers only where a bridge says so (`nx-match`,
OpenFlow's OFPT_SET_CONFIG). vifd sets that on the integration bridge, for whoever else has
flows there too, and reads it back (`flows.fragments`). Where another program takes it back,
first fragments of UDP, TCP and ICMPv6 look like cut ones and are refused until it is set again:
nothing is let through.

## What a back end cannot tell apart

These stand in the enforcement report of each port (`port_security`) as well.

- **Open vSwitch, vhost-user**: OpenFlow has no field for the type of an IGMP message. A query
  to all hosts is known by its destination; one to a single multicast group looks like a report
  and passes. The link-layer address in a router solicitation is not seen. The kernel's own
  datapath reads extension headers of a fragment also behind the end of the packet.
- **Linux bridge**: nftables reads headers at fixed places. Neighbour discovery whose link-layer
  address is not the first option is refused, and so are ICMPv6, UDP and extension headers
  behind an authentication header, and first fragments with extension headers behind the
  fragment header.
"""

_WORDS = {
    Verdict.REFUSE: "refused",
    Verdict.ACCEPT: "passes",
    Verdict.BY_HARDWARE: "by hardware",
    Verdict.BY_ADDRESS: "by address",
}
_SAMPLE = (("fa:16:3e:00:00:01", ("10.0.0.1",), ("fd00::1",)),)


def page() -> str:
    """The whole page in Markdown."""
    parts = [
        _HEAD,
        *_table("Refused from every secured port", spoofing.REFUSED),
        *_table("Claims of the port itself", tuple(claims(_SAMPLE))),
        _OWN,
        *_table("What is no claim of the port", spoofing.UNPROVEN),
        *_table("Before there is an address", spoofing.UNADDRESSED),
        *_table("Everything else", spoofing.ADDRESSED),
        _REST,
    ]
    return "\n".join(parts)


def _table(title: str, rules: Sequence[Rule]) -> Iterator[str]:
    yield f"## {title}\n\n| frames | verdict | source |\n|---|---|---|"
    for what, verdict, source in dict.fromkeys((r.what, r.verdict, r.source) for r in rules):
        yield f"| {what} | {_WORDS[verdict]} | {source} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
