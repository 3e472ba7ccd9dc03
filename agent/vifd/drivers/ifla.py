"""Numbers of rtnetlink: the messages' as pyroute2 has them; of attributes, many of which it does
not have, those of ``linux/if_link.h``, ``neighbour.h``, ``if_bridge.h`` and ``if_addr.h``."""

import struct

from pyroute2.netlink import rtnl

NEWLINK, DELLINK = rtnl.RTM_NEWLINK, rtnl.RTM_DELLINK
GETLINK, SETLINK = rtnl.RTM_GETLINK, rtnl.RTM_SETLINK
GETADDR = rtnl.RTM_GETADDR
NEWNEIGH, DELNEIGH, GETNEIGH = rtnl.RTM_NEWNEIGH, rtnl.RTM_DELNEIGH, rtnl.RTM_GETNEIGH

AF_BRIDGE, AF_INET6 = 7, 10
INET6_CONF, DISABLE_IPV6 = 2, 26
TUN_OWNER, TUN_GROUP, TUN_MULTI_QUEUE = 1, 2, 7
UP = 0x1

# attributes of links
ADDRESS, IFNAME, MTU, LINK, MASTER, LINKINFO, ALIAS, AF_SPEC = 1, 3, 4, 5, 10, 18, 20, 26
EXT_MASK, CARRIER = 29, 33
KIND, DATA, SLAVE_KIND, SLAVE_DATA = 1, 2, 4, 5
# of bridges
FORWARD_DELAY, STP, VLAN_FILTERING, VLAN_PROTOCOL, SNOOPING, DEFAULT_PVID = 1, 5, 7, 8, 23, 39
OPTIONS, NO_LINK_LOCAL_LEARNING = 46, 1
NF_CALLS = {36: "iptables", 37: "ip6tables", 38: "arptables"}
# of their ports
STATE, LEARNING, FLOOD, MCAST_FLOOD, BCAST_FLOOD, ISOLATED = 1, 8, 9, 27, 30, 33
NEIGH_SUPPRESS, LOCKED = 32, 39
HAIRPIN, PROXY_ARP, PROXY_ARP_WIFI = 4, 10, 11
FORWARDING = 3
VLAN_INFO, VLAN_PVID, VLAN_UNTAGGED = 2, 0x2, 0x4
# of VLAN and VXLAN devices
VLAN_ID = 1
VNI, GROUP, LOWER, LOCAL, TTL, VX_LEARNING, PORT, GROUP6, LOCAL6 = (
    1, 2, 3, 4, 5, 7, 15, 16, 17,
)  # fmt: skip
# of forwarding tables
DST, LLADDR, VLAN = 1, 2, 5
SELF, MASTER_FLAG, STICKY = 0x02, 0x04, 0x40
NOARP, PERMANENT = 0x40, 0x80
ADDR, LOCAL_ADDR = 1, 2

#: ``struct ifinfomsg``: family, type, index, flags, change.
IFINFO = struct.Struct("BxHiII")
