"""The daemon and its host."""

from __future__ import annotations

import argparse
from typing import Any

from vifd.cli.base import ApiList, ApiShow, Words


class Status(ApiShow):
    """Show whether the daemon is live and ready, its plugins and its ports."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        return _columns(self.client.call("GET", "/v1/status"))


class HostShow(ApiShow):
    """Show what is known of the host: kernel, switch, bridges, probes of the plugins."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        return _columns(self.client.call("GET", "/v1/host"))


class PluginList(ApiList):
    """List the plugins that were found, admitted or refused, with the reasons."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        names = ("name", "distribution", "version", "state", "reasons")
        found = self.client.call("GET", "/v1/plugins")["plugins"]
        return names, [[Words(p[n]) if n == "reasons" else p.get(n, "") for n in names]
                       for p in found]  # fmt: skip


def _columns(value: dict[str, Any]) -> tuple[Any, Any]:
    return tuple(value), tuple(Words(v) for v in value.values())
