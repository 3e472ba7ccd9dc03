"""What findings are in words: what is there, and what should be. Pure."""

from __future__ import annotations

from vifd.model import Evidence
from vifd.plugin.meanings import About, value, words

MAP_AND_RESTART = (
    "add the physical network to the mappings in the plugin's group of agent.conf "
    "(`bridge_mappings`) and restart vifd, or unplug the port"
)
device_missing = words("the device {device} does not exist")
device_anew = words(
    "{device} was deleted and made anew by another program: it is interface {have}, and "
    "{wanted} was plugged; what holds the old one passes nothing"
)
device_mark = words(
    "{device} does not bear the mark of this port: its alias is {have!r}, wanted {wanted!r}"
)
device_mtu = words("the MTU of {device} is {have}, wanted {wanted} bytes")
device_mac = words("the MAC address of {device} is {have}, wanted {wanted}")
device_down = words("{device} is down, wanted up")
device_ipv6 = words(
    "IPv6 is on for {device}, wanted off: the host would speak with the guest's MAC address"
)


def device_elsewhere(finding: Evidence, port: About) -> str:
    what = "a bridge of the kernel" if finding.have == "bridge" else f"a {value(finding.have)}"
    return f"{port.device} is a port of {what}: what the guest sends goes there as well"


def device_queues(finding: Evidence, port: About) -> str:
    have, wanted = ("several queues" if side else "one queue"
                    for side in (finding.have, finding.wanted))  # fmt: skip
    return f"{port.device} is a device for {have}, wanted {wanted}"


device_limited = words("{device} is limited, and what is more is dropped: {have}")
way_limited = words("the way out of the host is limited, and what is more is dropped: {have}")
put_on_device = words("other software put something on the device: {have}")
put_on_way = words("other software put something on the way out of the host: {have}")
claimed_by_host = words(
    "the host itself has an address of this port, and answers in its place: {have}"
)
filtered_device = words("a filter of other software is on the device: {have}")
filtered_way = words("a filter of other software is on the way out of the host: {have}")


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


no_carrier = words(
    "{device} has no carrier although {have} has it open: nothing that is sent to the guest arrives"
)
held_by_stranger = words("{device} is held open by {have}, which is no guest of this port")
guest_lost = words("guest {have}: it holds one that is no more")


def unmapped(finding: Evidence, port: About) -> str:
    physnet = port.attachment.network.segment.physical_network
    return (
        f"physical network {physnet} is not mapped on this host (mapped: {value(finding.have)}): "
        "the configuration says no more where it leaves"
    )


uplink_down = words("the interface to the physical network has no carrier: {have}")
uplink_mtu = words(
    "the interface to the physical network carries {have} bytes, the network has {wanted}"
)


def uplink(finding: Evidence, port: About) -> str:
    name = port.details.get("uplink") or "the way out"
    return f"{name}: {value(finding.have)}, wanted {value(finding.wanted)}"
