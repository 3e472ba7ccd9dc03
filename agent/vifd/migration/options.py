"""The options of live migration, ``[migration]`` of agent.conf."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.BoolOpt(
        "libvirt",
        default=True,
        mutable=True,
        help="Open a port of an INACTIVE binding as soon as libvirt says that its guest runs here "
        "(resumed by a migration), without waiting for the network service; and the port of a "
        "guest that runs on here because its migration failed.",
    ),
    cfg.BoolOpt(
        "guest_frames",
        default=False,
        help="Open a port of an INACTIVE binding on the first frame by which its guest announces "
        "itself there, a reverse ARP, a gratuitous ARP or an unsolicited neighbour advertisement: "
        "where nobody else can say so in time, as without libvirt or with another hypervisor. "
        "Ports on Open vSwitch hand such frames to vifd while they are closed, and nothing else. "
        "To taps for Linux bridges packet sockets listen, which takes CAP_NET_RAW. Other plugins "
        "cannot. Where libvirt can be heard the guest must have come by a migration as well. A "
        "guest that was started on two hosts opens its port on both: hence the default.",
    ),
    cfg.IntOpt(
        "budget_ms",
        default=100,
        mutable=True,
        min=0,
        help="Milliseconds that a port may take from the word that its guest has arrived until it "
        "is open and announced. What takes longer is a warning that names the step that took most "
        "of it. 0 warns of nothing.",
    ),
    cfg.FloatOpt(
        "remove_failed",
        default=300.0,
        mutable=True,
        min=0,
        help="Seconds after which a port goes by itself that was made for an incoming migration "
        "which failed: its binding is INACTIVE, no guest has it, and nobody said anything of it "
        "since. 0 leaves it until somebody unplugs it, as nova does in its rollback.",
    ),
    cfg.ListOpt(
        "peers",
        default=[],
        help="Agents of other hosts that are told when a guest stops here to go on there, and may "
        "tell it: host:port or [address]:port. Their certificates must be for these hosts. "
        "Empty: nobody is told, and nobody may tell.",
    ),
    cfg.StrOpt(
        "peer_listen",
        default="",
        help="Where peers are listened for: address:port. Empty: peers are told, and not heard.",
    ),
    cfg.StrOpt(
        "peer_certificate",
        default="",
        help="File with this host's certificate (PEM), for the host by which peers know it. Read "
        "anew for each connection, like the two below.",
    ),
    cfg.StrOpt("peer_key", default="", help="File with the key of peer_certificate (PEM)."),
    cfg.StrOpt(
        "peer_authority",
        default="",
        help="File with the certificates of the authorities that sign peers' (PEM).",
    ),
]
