"""What the codecs of our own save: ``python bench/codec_costs.py`` prints a table.

Each row does the same to the same bytes with ours and with the general library that tests hold ours
against. The best of several rounds counts, so that a busy machine matters little.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from itertools import count

from os_ken.ofproto import ofproto_v1_4, ofproto_v1_4_parser
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from vifd.drivers import linkmessage
from vifd.openflow import action as act
from vifd.openflow import message
from vifd.openflow.flow import flow

ROUNDS, TIMES = 7, 2000
MAC = "fa:16:3e:00:00:05"


class _Datapath:
    """What os_ken wants to know of a switch."""

    ofproto = ofproto_v1_4
    ofproto_parser = ofproto_v1_4_parser
    id = 1

    def set_xid(self, msg: object) -> None:
        msg.xid = 1  # type: ignore[attr-defined]


def best(work: Callable[[], object]) -> float:
    """Microseconds that one call takes."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(TIMES):
            work()
        rounds.append(time.perf_counter() - start)
    return min(rounds) / TIMES * 1e6


def link_reply() -> bytes:
    """An answer of the kernel about a tap, as far as both read it."""
    made = ifinfmsg()
    made["index"], made["flags"] = 7, 1
    made["attrs"] = [
        ("IFLA_IFNAME", "tap00000001-00"), ("IFLA_MTU", 1450), ("IFLA_ADDRESS", MAC),
        ("IFLA_IFALIAS", "vifd:00000001-0000-4000-8000-000000000001"), ("IFLA_CARRIER", 1),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "tun")]}),
    ]  # fmt: skip
    made["header"]["type"] = 16
    made.encode()
    return bytes(made.data)


def netlink() -> tuple[float, float]:
    """Reading one link."""
    reply = link_reply()

    def general() -> object:
        parsed = ifinfmsg(reply)
        parsed.decode()
        return parsed.get_attr("IFLA_IFNAME"), parsed.get_attr("IFLA_MTU")

    payload = reply[16:]
    assert linkmessage.link(payload).name == "tap00000001-00"
    return best(lambda: linkmessage.link(payload)), best(general)


def writing() -> tuple[float, float]:
    """Writing one flow of a port, for another address each time."""
    parser, datapath = ofproto_v1_4_parser, _Datapath()
    numbers = count()

    def address() -> str:
        """Another one each time: neither shall live on what it remembers."""
        return str(IPv4Address(0x0A00_0000 + next(numbers)))

    def ours() -> bytes:
        made = flow(120, 50, 0x7601_0000_0000_0001, [act.output(9)],
                    in_port=5, eth_src=MAC, eth_type=0x0800, ipv4_src=address())  # fmt: skip
        return message.flow_mod(1, made, message.Command.ADD)

    def general() -> bytes:
        match = parser.OFPMatch(in_port=5, eth_src=MAC, eth_type=0x0800, ipv4_src=address())
        actions = [parser.OFPActionOutput(9)]
        inst = [parser.OFPInstructionActions(ofproto_v1_4.OFPIT_APPLY_ACTIONS, actions)]
        made = parser.OFPFlowMod(datapath, cookie=0x7601_0000_0000_0001, table_id=120, priority=50,
                                 match=match, instructions=inst)  # fmt: skip
        made.set_xid(1)
        made.serialize()
        return bytes(made.buf)

    assert struct.unpack_from("!BBH", ours()) == struct.unpack_from("!BBH", general())
    return best(ours), best(general)


def main() -> None:
    print(f"{'':34} {'ours':>9} {'library':>9} {'ratio':>6}")
    for what, measure in {
        "netlink: reading a link (pyroute2)": netlink,
        "OpenFlow: writing a flow (os_ken)": writing,
    }.items():
        ours, general = measure()
        print(f"{what:34} {ours:6.1f} µs {general:6.1f} µs {general / ours:6.1f}")


if __name__ == "__main__":
    main()
