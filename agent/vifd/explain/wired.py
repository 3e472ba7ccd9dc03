"""What the facts mean that another program's wiring leaves behind: OVN's, on its own bridge. Pure.

The facts are those of the plugin ``ovn``; the order is that of cause and effect: without an
encapsulation ovn-controller wires nothing, whatever its database says.
"""

from __future__ import annotations

from collections.abc import Callable

from vifd.explain import phrases as say
from vifd.explain.subject import Subject
from vifd.model import Evidence

#: Facts, sentence, hint, and the facts that this one explains.
Row = tuple[tuple[str, ...], Callable[[Evidence, Subject], str], str, tuple[str, ...]]

_EFFECTS = ("ovn.installed", "ovn.flows", "ovn.up", "ovn.chassis")


def _encapsulation(_: Evidence, __: Subject) -> str:
    return (
        "this chassis has no tunnel endpoint, and without one ovn-controller wires no port at all"
    )


def _bridge(finding: Evidence, _: Subject) -> str:
    return (
        f"ovn-controller works on bridge {say.value(finding.have)} now, the port stands on "
        f"{say.value(finding.wanted)}"
    )


def _controller(finding: Evidence, _: Subject) -> str:
    return f"ovn-controller: {say.value(finding.have)}; device and switch port are made and wait"


def _not_set(_: Evidence, __: Subject) -> str:
    return "this host is no OVN chassis any more: external_ids:ovn-remote is not set"


def _logical_port(finding: Evidence, _: Subject) -> str:
    return f"OVN's southbound database knows no logical port {say.value(finding.wanted)}"


def _requested(finding: Evidence, _: Subject) -> str:
    return (
        f"OVN was told to have the port on {say.value(finding.have)} alone, this chassis is "
        f"{say.value(finding.wanted)}"
    )


def _chassis(finding: Evidence, _: Subject) -> str:
    return (
        f"OVN has the port on chassis {say.value(finding.have)}, this one is "
        f"{say.value(finding.wanted)}"
    )


def _up(_: Evidence, __: Subject) -> str:
    return "OVN's southbound database does not say that the port is up"


def _installed(_: Evidence, __: Subject) -> str:
    return "ovn-controller has not said that the port is installed"


def _flows(finding: Evidence, _: Subject) -> str:
    have = say.value(finding.have)
    return f"OVN has put no flow of the port into the switch: {have}"


def _gate(finding: Evidence, _: Subject) -> str:
    have, wanted = say.value(finding.have), say.value(finding.wanted)
    return f"the row names logical port {have}, it should name {wanted}"


_LOG = "ovn-controller's log says what it waits for"

ROWS: tuple[Row, ...] = (
    (("ovn.iface_id",), _gate, "find out who changed external_ids:iface-id of the port", _EFFECTS),
    (("ovn.encapsulation",), _encapsulation,
     "ovs-vsctl set Open_vSwitch . external_ids:ovn-encap-type=geneve "
     "external_ids:ovn-encap-ip=ADDRESS", _EFFECTS),
    (("ovn.bridge",), _bridge,
     "set external_ids:ovn-bridge back, or unplug the port and plug it again", _EFFECTS),
    (("ovn.controller",), _controller,
     "start it (`systemctl status ovn-controller`), or bring its database back; the port is "
     "active as soon as OVN has wired it",
     (*_EFFECTS, "ovn.logical_port", "ovn.requested_chassis")),
    (("ovn.remote",), _not_set, "set external_ids:ovn-remote of the Open_vSwitch row again",
     _EFFECTS),
    (("ovn.logical_port",), _logical_port,
     "the network service has not made it, or has removed it: look for the port there", _EFFECTS),
    (("ovn.requested_chassis",), _requested,
     "bind the port to this host (requested-chassis), or unplug it here",
     (*_EFFECTS, "ovn.chassis")),
    (("ovn.chassis",), _chassis,
     "a second switch port with this iface-id is on that host: remove it, or bind the port here",
     ("ovn.installed", "ovn.flows", "ovn.up")),
    (("ovn.flows",), _flows,
     f"{_LOG}; `ovn-installed` alone is no proof, OVN has set it too early before",
     ("ovn.up",)),
    (("ovn.installed",), _installed, _LOG, ("ovn.flows", "ovn.up")),
    (("ovn.up",), _up, _LOG, ()),
    (("ovn.*",), say.plain, _LOG, ()),
)  # fmt: skip
