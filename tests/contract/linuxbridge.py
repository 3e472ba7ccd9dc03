"""The Linux bridge plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from vifd.plugin import Host
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


def plugin(host: Host, **values: Any) -> LinuxBridgePlugin:
    """The plugin with these options."""
    return LinuxBridgePlugin(host, conf(**values))
