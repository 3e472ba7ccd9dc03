"""The vhost-user plugin as the contract suite makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oslo_config import cfg

from vifd.plugin import Host
from vifd_vhostuser import options
from vifd_vhostuser.plugin import VhostUserPlugin


def conf(socket_dir: Path, **values: Any) -> Any:
    """The option group ``[vhostuser]``; all guests have shared memory unless said otherwise."""
    parsed = cfg.ConfigOpts()
    parsed.register_opts(list(options.OPTIONS), group="vhostuser")
    parsed([], default_config_files=[])
    chosen = {"socket_dir": str(socket_dir), "file_backed_memory": True, **values}
    for name, value in chosen.items():
        parsed.set_override(name, value, group="vhostuser")
    return parsed.vhostuser


def plugin(host: Host, socket_dir: Path, **values: Any) -> VhostUserPlugin:
    """The plugin with these options."""
    return VhostUserPlugin(host, conf(socket_dir, **values))
