"""The OVN plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from vifd.plugin import Host
from vifd_ovn import options
from vifd_ovn.plugin import OvnPlugin


def conf(**values: Any) -> Any:
    """The option group ``[ovn]``."""
    parsed = cfg.ConfigOpts()
    parsed.register_opts(list(options.OPTIONS), group="ovn")
    parsed([], default_config_files=[])
    for name, value in values.items():
        parsed.set_override(name, value, group="ovn")
    return parsed.ovn


def plugin(host: Host, **values: Any) -> OvnPlugin:
    """The plugin with these options."""
    return OvnPlugin(host, conf(**values))
