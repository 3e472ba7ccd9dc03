"""The daemon and its host."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from vifd.cli.base import FAILED, OK, ApiList, ApiShow, Moment, Words


class Status(ApiShow):
    """Show whether the daemon is live and ready, its plugins and its ports."""

    watchable = True

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        found = self.client.call("GET", "/v1/status")
        if "version" not in found:  # every vifd says it
            raise KeyError("version")
        kinds = {"started_at": Moment, "configuration_read_at": Moment}
        return tuple(found), tuple(kinds.get(k, Words)(v) for k, v in found.items())


class PluginList(ApiList):
    """List the plugins that were found, admitted or refused, with the reasons."""

    watchable = True

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        names = ("name", "distribution", "version", "state", "reasons")
        found = self.client.call("GET", "/v1/plugins")["plugins"]
        return names, [[Words(plugin.get(name)) for name in names] for plugin in found]


class PluginVerify(ApiList):
    """Hold a plugin against its contract on this host, without touching a port."""

    waits = True
    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("plugin", metavar="PLUGIN", help="the plugin's name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        path = f"/v1/plugins/{quote(parsed_args.plugin, safe='')}/verify"
        found = self.client.call("POST", path, params={"timeout": self.timeout})
        self.code = OK if found["ok"] else FAILED
        names = ("name", "ok", "detail")
        return names, [[Words(check[name]) for name in names] for check in found["checks"]]
