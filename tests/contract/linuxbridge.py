"""The Linux bridge plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from oslo_config import cfg

from vifd.model import Attachment
from vifd.plugin import Host
from vifd.testing.attachments import attachment, flat
from vifd.testing.sets import MemorySets
from vifd_linuxbridge import options
from vifd_linuxbridge.plugin import LinuxBridgePlugin


def conf(**values: Any) -> Any:
    """The option group ``[linuxbridge]``."""
    parsed = cfg.ConfigOpts()
    parsed.register_opts(list(options.OPTIONS), group="linuxbridge")
    parsed([], default_config_files=[])
    for name, value in values.items():
        parsed.set_override(name, value, group="linuxbridge")
    return parsed.linuxbridge


#: The group of ports that are held to one, and one that its rules name.
GROUP, OTHER = "11111111-0000-4000-8000-0000000000a1", "11111111-0000-4000-8000-0000000000a2"


def groups() -> MemorySets:
    """Sets with a rule of every kind."""
    sets = MemorySets()
    sets.group(
        GROUP, {"direction": "ingress", "protocol": "tcp", "port_range_min": 22,
                "port_range_max": 23},
        {"direction": "ingress", "remote_group_id": GROUP},
        {"direction": "egress", "remote_group_id": OTHER}, {"direction": "egress"},
    )  # fmt: skip
    members = [{"ip_address": "192.0.2.0/24"}, {"ip_address": "fd07::9"}]
    sets.group(OTHER, members=members, stateful=False)
    return sets


#: Every limit and a mark; and one limit more, one less, one at another rate, and no mark.
POLICY: dict[str, Any] = {"rules": [
    *({"type": "bandwidth_limit", "max_kbps": 5000, "direction": d} for d in ("egress", "ingress")),
    {"type": "packet_rate_limit", "max_kpps": 3},
    {"type": "dscp_marking", "dscp_mark": 46},
]}  # fmt: skip
OTHER_POLICY: dict[str, Any] = {"rules": [
    {"type": "bandwidth_limit", "max_kbps": 7000, "direction": "ingress"},
    *({"type": "packet_rate_limit", "max_kpps": 3, "direction": d} for d in ("egress", "ingress")),
]}  # fmt: skip


class Flat:
    """Ports of a flat network."""

    def attachment(self, number: int) -> Attachment:
        return attachment(number, segment=flat())


class Limited:
    """Ports with a QoS policy, of which a change gives another one."""

    def attachment(self, number: int) -> Attachment:
        return attachment(number, segment=flat(), qos_policy=POLICY)

    def altered(self, wanted: Attachment) -> Attachment:
        other = attachment(1, qos_policy=OTHER_POLICY).port.qos_policy
        return replace(wanted, port=replace(wanted.port, qos_policy=other))


class Grouped:
    """Ports of a flat network that are held to a security group."""

    def attachment(self, number: int) -> Attachment:
        return attachment(number, segment=flat(), security_groups=[GROUP])


def plugin(host: Host, **values: Any) -> LinuxBridgePlugin:
    """The plugin with these options."""
    return LinuxBridgePlugin(host, conf(**values))
