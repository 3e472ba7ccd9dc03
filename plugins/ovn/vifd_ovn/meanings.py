"""What the facts of OVN's wiring mean. Pure.

The order is that of cause and effect: without an encapsulation ovn-controller wires nothing,
whatever its database says.
"""

from __future__ import annotations

from vifd.plugin.meanings import Meaning, Meanings, plain, words
from vifd_ovs.bridge.meanings import MEANINGS as OF_BRIDGE

_EFFECTS = ("ovn.installed", "ovn.flows", "ovn.up", "ovn.chassis")

_encapsulation = words(
    "this chassis has no tunnel endpoint, and without one ovn-controller wires no port at all"
)
_bridge = words("ovn-controller works on bridge {have} now, the port stands on {wanted}")
_controller = words("ovn-controller: {have}; device and switch port are made and wait")
_not_set = words("this host is no OVN chassis any more: external_ids:ovn-remote is not set")
_logical_port = words("OVN's southbound database knows no logical port {wanted}")
_requested = words("OVN was told to have the port on {have} alone, this chassis is {wanted}")
_chassis = words("OVN has the port on chassis {have}, this one is {wanted}")
_up = words("OVN's southbound database does not say that the port is up")
_installed = words("ovn-controller has not said that the port is installed")
_flows = words("OVN has put no flow of the port into the switch: {have}")
_gate = words("the row names logical port {have}, it should name {wanted}")


_LOG = "ovn-controller's log says what it waits for"

_WIRING = (
    Meaning("wiring", ("ovn.iface_id",), _gate,
            "find out who changed external_ids:iface-id of the port", _EFFECTS),
    Meaning("wiring", ("ovn.encapsulation",), _encapsulation,
            "ovs-vsctl set Open_vSwitch . external_ids:ovn-encap-type=geneve "
            "external_ids:ovn-encap-ip=ADDRESS", _EFFECTS),
    Meaning("wiring", ("ovn.bridge",), _bridge,
            "set external_ids:ovn-bridge back, or unplug the port and plug it again", _EFFECTS),
    Meaning("wiring", ("ovn.controller",), _controller,
            "start it (`systemctl status ovn-controller`), or bring its database back; the port is "
            "active as soon as OVN has wired it",
            (*_EFFECTS, "ovn.logical_port", "ovn.requested_chassis")),
    Meaning("wiring", ("ovn.remote",), _not_set,
            "set external_ids:ovn-remote of the Open_vSwitch row again", _EFFECTS),
    Meaning("wiring", ("ovn.logical_port",), _logical_port,
            "the network service has not made it, or has removed it: look for the port there",
            _EFFECTS),
    Meaning("wiring", ("ovn.requested_chassis",), _requested,
            "bind the port to this host (requested-chassis), or unplug it here",
            (*_EFFECTS, "ovn.chassis")),
    Meaning("wiring", ("ovn.chassis",), _chassis,
            "a second switch port with this iface-id is on that host: remove it, or bind the port "
            "here",
            ("ovn.installed", "ovn.flows", "ovn.up")),
    Meaning("wiring", ("ovn.flows",), _flows,
            f"{_LOG}; `ovn-installed` alone is no proof, OVN has set it too early before",
            ("ovn.up",)),
    Meaning("wiring", ("ovn.installed",), _installed, _LOG, ("ovn.flows", "ovn.up")),
    Meaning("wiring", ("ovn.up",), _up, _LOG, ()),
    Meaning("wiring", ("ovn.*",), plain, _LOG, ()),
)  # fmt: skip

MEANINGS = Meanings(_WIRING).besides(OF_BRIDGE)
