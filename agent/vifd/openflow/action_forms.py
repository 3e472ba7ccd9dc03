"""Numbers and forms of actions: OpenFlow 1.4 section 7.2.5, and the Nicira extension."""

from __future__ import annotations

import struct

from vifd.openflow.field import BY_NAME

#: OFPCML_NO_BUFFER: the whole packet goes to the controller.
WHOLE = 0xFFFF
ETHERTYPE_VLAN = 0x8100
#: Bits 0 to 15 of a field, as the Nicira extension writes a range: first bit, number of bits.
LOW_BITS = 0 << 6 | 15

OUTPUT, PUSH_VLAN, POP_VLAN, SET_FIELD, EXPERIMENTER = 0, 17, 18, 25, 0xFFFF
NICIRA = 0x2320
MOVE, RESUBMIT_TABLE, OUTPUT_REGISTER, CONJUNCTION, CT = 6, 14, 15, 34, 35
CONTROLLER, OUTPUT_TRUNC, CLONE = 20, 39, 42
NO_TABLE = 0xFF
#: Why a frame is handed over: by an action.
BY_ACTION = 1
NXM_IN_PORT = 0x0000_0002

HEAD = struct.Struct("!HH")
OUTPUT_FORM = struct.Struct("!HHIH6x")
TAG_FORM = struct.Struct("!HHH2x")
RESUBMIT_FORM = struct.Struct("!HHIHHB3x")
OUTPUT_REGISTER_FORM = struct.Struct("!HHIHHIH6x")
CONJUNCTION_FORM = struct.Struct("!HHIHBBI")
MOVE_FORM = struct.Struct("!HHIHHHHII")
CT_FORM = struct.Struct("!HHIHHIHB3xH")
TRUNC_FORM = struct.Struct("!HHIHHI")
CONTROLLER_FORM = struct.Struct("!HHIHHHBx")
CLONE_FORM = struct.Struct("!HHIH6x")

#: Fields that are copied: as ovs-ofctl calls them there, and the header that the switch answers
#: with, which is the older one of NXM.
NXM = {
    "eth_src": ("NXM_OF_ETH_SRC", 0x0000_0406), "eth_dst": ("NXM_OF_ETH_DST", 0x0000_0206),
    "arp_spa": ("NXM_OF_ARP_SPA", 0x0000_2004), "arp_tpa": ("NXM_OF_ARP_TPA", 0x0000_2204),
    **{f"reg{n}": (f"NXM_NX_REG{n}", 0x0001_0004 | n << 9) for n in range(16)},
    "arp_sha": ("NXM_NX_ARP_SHA", 0x0001_2206), "arp_tha": ("NXM_NX_ARP_THA", 0x0001_2406),
    "ipv6_src": ("NXM_NX_IPV6_SRC", 0x0001_2610), "ipv6_dst": ("NXM_NX_IPV6_DST", 0x0001_2810),
    "ct_mark": ("NXM_NX_CT_MARK", 0x0001_D604),
    "nd_sll": ("NXM_NX_ND_SLL", 0x0001_3006), "nd_tll": ("NXM_NX_ND_TLL", 0x0001_3206),
}  # fmt: skip
BY_NXM = {header: BY_NAME[name] for name, (_, header) in NXM.items()}
