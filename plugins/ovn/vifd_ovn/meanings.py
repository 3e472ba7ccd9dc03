"""What the facts of OVN's wiring mean. Pure.

The order is that of cause and effect: without an encapsulation ovn-controller wires nothing,
whatever its database says.
"""

from __future__ import annotations

from vifd.model import Evidence
from vifd.plugin.meanings import About, Meaning, Meanings, plain, value
from vifd_ovs.bridge.meanings import MEANINGS as OF_BRIDGE

_EFFECTS = ("ovn.installed", "ovn.flows", "ovn.up", "ovn.chassis")


def _encapsulation(_: Evidence, __: About) -> str:
    return (
        "this chassis has no tunnel endpoint, and without one ovn-controller wires no port at all"
    )


def _bridge(finding: Evidence, _: About) -> str:
    return (
        f"ovn-controller works on bridge {value(finding.have)} now, the port stands on "
        f"{value(finding.wanted)}"
    )


def _controller(finding: Evidence, _: About) -> str:
    return f"ovn-controller: {value(finding.have)}; device and switch port are made and wait"


def _not_set(_: Evidence, __: About) -> str:
    return "this host is no OVN chassis any more: external_ids:ovn-remote is not set"


def _logical_port(finding: Evidence, _: About) -> str:
    return f"OVN's southbound database knows no logical port {value(finding.wanted)}"


def _requested(finding: Evidence, _: About) -> str:
    return (
        f"OVN was told to have the port on {value(finding.have)} alone, this chassis is "
        f"{value(finding.wanted)}"
    )


def _chassis(finding: Evidence, _: About) -> str:
    return f"OVN has the port on chassis {value(finding.have)}, this one is {value(finding.wanted)}"


def _up(_: Evidence, __: About) -> str:
    return "OVN's southbound database does not say that the port is up"


def _installed(_: Evidence, __: About) -> str:
    return "ovn-controller has not said that the port is installed"


def _flows(finding: Evidence, _: About) -> str:
    have = value(finding.have)
    return f"OVN has put no flow of the port into the switch: {have}"


def _gate(finding: Evidence, _: About) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return f"the row names logical port {have}, it should name {wanted}"


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
