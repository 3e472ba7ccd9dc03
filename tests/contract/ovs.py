"""The OVS plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from vifd.plugin import Host
from vifd_ovs import options
from vifd_ovs.plugin import OvsPlugin


def conf(**values: Any) -> Any:
    """The option group ``[ovs]``, on the userspace datapath unless said otherwise."""
    parsed = cfg.ConfigOpts()
    parsed.register_opts(list(options.OPTIONS), group="ovs")
    parsed([], default_config_files=[])
    for name, value in {"datapath_type": "netdev", **values}.items():
        parsed.set_override(name, value, group="ovs")
    return parsed.ovs


def plugin(host: Host, **values: Any) -> OvsPlugin:
    """The plugin with these options."""
    return OvsPlugin(host, conf(**values))
