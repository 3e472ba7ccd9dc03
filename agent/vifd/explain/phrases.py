"""What findings are in words: what is there, and what should be. Pure."""

from __future__ import annotations

from vifd.model import Evidence
from vifd.plugin.meanings import About, Sentence, value

MAP_AND_RESTART = (
    "add the physical network to the mappings in the plugin's group of agent.conf "
    "(`bridge_mappings`) and restart vifd, or unplug the port"
)


def device_missing(_: Evidence, port: About) -> str:
    return f"the device {port.device} does not exist"


def device_anew(finding: Evidence, port: About) -> str:
    return (
        f"{port.device} was deleted and made anew by another program: it is interface "
        f"{value(finding.have)}, and {value(finding.wanted)} was plugged; what holds the old one "
        "passes nothing"
    )


def device_mark(finding: Evidence, port: About) -> str:
    return (
        f"{port.device} does not bear the mark of this port: its alias is "
        f"{value(finding.have)!r}, wanted {value(finding.wanted)!r}"
    )


def device_down(_: Evidence, port: About) -> str:
    return f"{port.device} is down, wanted up"


def device_ipv6(_: Evidence, port: About) -> str:
    return (
        f"IPv6 is on for {port.device}, wanted off: the host would speak with the guest's MAC "
        "address"
    )


def device_queues(finding: Evidence, port: About) -> str:
    have, wanted = ("several queues" if side else "one queue"
                    for side in (finding.have, finding.wanted))  # fmt: skip
    return f"{port.device} is a device for {have}, wanted {wanted}"


def device_value(what: str, unit: str = "") -> Sentence:
    """A sentence for a property of the device."""

    def sentence(finding: Evidence, port: About) -> str:
        have, wanted = value(finding.have), value(finding.wanted)
        return f"{what} of {port.device} is {have}, wanted {wanted} {unit}".rstrip()

    return sentence


def put_on_device(finding: Evidence, _: About) -> str:
    return f"other software put something on the device: {value(finding.have)}"


_WAYS = {
    "security_groups.egress": " for what the guest sends",
    "security_groups.ingress": " for what is sent to the guest",
}


def awaits_set(finding: Evidence, port: About) -> str:
    way = _WAYS.get(finding.fact, "")
    return (
        f"{port.device} stays closed{way} but for what every guest may do: it "
        f"{value(finding.have)}, which nobody has said on this host"
    )


def held_by_stranger(finding: Evidence, port: About) -> str:
    return f"{port.device} is held open by {finding.have}, which is no guest of this port"


def guest_lost(finding: Evidence, _: About) -> str:
    return f"guest {value(finding.have)}: it holds one that is no more"


def unmapped(finding: Evidence, port: About) -> str:
    physnet = port.attachment.network.segment.physical_network
    return (
        f"physical network {physnet} is not mapped on this host (mapped: {value(finding.have)}): "
        "the configuration says no more where it leaves"
    )


def uplink_down(finding: Evidence, _: About) -> str:
    return f"the interface to the physical network has no carrier: {value(finding.have)}"


def uplink_mtu(finding: Evidence, _: About) -> str:
    have, wanted = value(finding.have), value(finding.wanted)
    return f"the interface to the physical network carries {have} bytes, the network has {wanted}"


def uplink(finding: Evidence, port: About) -> str:
    name = port.details.get("uplink") or "the way out"
    return f"{name}: {value(finding.have)}, wanted {value(finding.wanted)}"
