"""What an operator wants to know before the switch, as JSON: ``python -m vifd_nova.check``.

To be run by nova's own interpreter, as nova's user.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import os_vif
from oslo_config import cfg

from vifd_nova import __version__
from vifd_nova.client import Away, Client, Refused
from vifd_nova.options import Settings
from vifd_nova.place import problem
from vifd_nova.plugin import StandIn, VifdPlugin


def look(config_files: list[str]) -> dict[str, Any]:
    """Everything that is known here."""
    cfg.CONF([], project="nova", default_config_files=config_files or None)
    os_vif.initialize()
    manager = os_vif._EXT_MANAGER
    plugins = {extension.name: extension.obj for extension in manager or ()}
    mine = plugins.get("vifd")
    known: Settings = mine.vifd.settings if isinstance(mine, VifdPlugin) else Settings()
    taken = sorted(n for n, obj in plugins.items() if isinstance(obj, StandIn))
    problems = [p for p in (problem(), *_lacks(mine, known, taken, list(plugins))) if p]
    daemon, away = _daemon(known.socket)
    return {
        "version": __version__,
        "python": sys.executable,
        "uid": os.getuid(),
        "socket": known.socket,
        "plugins": sorted(plugins),
        "take_over": list(known.take_over),
        "taken_over": taken,
        "vifd": daemon,
        "problems": [*problems, *([away] if away else [])],
    }


def _lacks(mine: Any, known: Settings, taken: list[str], plugins: list[str]) -> list[str]:
    found = []
    if not isinstance(mine, VifdPlugin):
        found.append("os-vif does not load the plugin vifd: see the log above")
    elif not known.take_over:
        found.append("nothing would be taken over: [os_vif_vifd] take_over in nova.conf is empty")
    found += [
        f"take_over names {name}, which os-vif has not (it has {', '.join(sorted(plugins))})"
        for name in known.take_over
        if name not in plugins
    ]
    found += [
        f"{name} is not taken over: another distribution came first"
        for name in known.take_over
        if name in plugins and name not in taken
    ]
    return found


def _daemon(socket: str) -> tuple[dict[str, Any] | None, str]:
    try:
        status = Client(socket).call("GET", "/v1/status", timeout=3.0, away=0.0)
    except (Away, Refused) as error:
        return None, str(error)
    return {k: status.get(k) for k in ("version", "ready", "plugins")}, ""


def main(argv: list[str] | None = None) -> int:
    """Print what was found; 1 where something stands in the way."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    files = list(sys.argv[1:] if argv is None else argv)
    found = look(files)
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
