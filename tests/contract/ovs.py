"""The OVS plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from vifd.plugin import Host
from vifd.testing.sandbox import DATAPATH
from vifd_ovs import options
from vifd_ovs.plugin import OvsPlugin

#: Every limit, and a mark.
POLICY: dict[str, Any] = {"rules": [
    *({"type": "bandwidth_limit", "max_kbps": 5000, "direction": d} for d in ("egress", "ingress")),
    {"type": "packet_rate_limit", "max_kpps": 3},
    {"type": "dscp_marking", "dscp_mark": 46},
]}  # fmt: skip
#: One limit more, one less, one at another rate, and no mark.
OTHER_POLICY: dict[str, Any] = {"rules": [
    {"type": "bandwidth_limit", "max_kbps": 7000, "direction": "ingress"},
    *({"type": "packet_rate_limit", "max_kpps": 3, "direction": d} for d in ("egress", "ingress")),
]}  # fmt: skip


def conf(**values: Any) -> Any:
    """The option group ``[ovs]``, on the userspace datapath unless said otherwise."""
    parsed = cfg.ConfigOpts()
    parsed.register_opts(list(options.OPTIONS), group="ovs")
    parsed([], default_config_files=[])
    for name, value in {"datapath_type": DATAPATH, **values}.items():
        parsed.set_override(name, value, group="ovs")
    return parsed.ovs


def plugin(host: Host, **values: Any) -> OvsPlugin:
    """The plugin with these options."""
    return OvsPlugin(host, conf(**values))
