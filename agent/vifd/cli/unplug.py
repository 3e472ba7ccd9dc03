"""Unplug ports, one or many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from vifd.cli import finding, inuse, report
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import FAILED, UsageError
from vifd.cli.client import port_path
from vifd.cli.plug import Many
from vifd.cli.port import PORT_HELP

#: Ports whose guest runs that are named in the question; the rest is counted.
NAMED = 20
COLUMNS = ("id", "result", "error")


class PortUnplug(Many):
    """Unplug ports. One that is gone already is no error.

    With --all it asks first, and names the ports whose guest runs: that guest loses its network.
    Where nobody can be asked, such ports are unplugged with --yes only.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="PORT", nargs="*", help=PORT_HELP)
        parser.add_argument("--all", action="store_true", help="every port of this host")
        parser.add_argument(
            "-y", "--yes", action="store_true", help="with --all: do not ask, and unplug ports "
            "whose guest runs as well",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        if bool(parsed_args.ports) == parsed_args.all:
            raise UsageError("name ports, or give --all")
        ids = finding.ids(self.client, parsed_args.ports) or self._every()
        if ids is None:
            sys.stderr.write("vifctl: nothing was unplugged\n")
            self.code = FAILED
            return COLUMNS, []
        items = self.send_all(ids, "unplug", self._send)
        results = {202: "accepted", 204: "gone"}
        return COLUMNS, [
            (i["id"], results.get(i["status"], "failed"), (i.get("error") or {}).get("code", ""))
            for i in items
        ]

    def _every(self) -> list[str] | None:
        """The ids of all ports; ``None`` where that is not wanted after all."""
        params = {"fields": "id,device,document,evidence"}
        ports = self.client.call("GET", "/v1/ports", params=params)["ports"]
        ids = [port["id"] for port in ports]
        if not ids or self.args.yes:
            return ids
        used = list(filter(None, map(inuse.sentence, ports)))
        for line in used[:NAMED]:
            sys.stderr.write(f"{report.clean(line)}\n")
        if len(used) > NAMED:
            sys.stderr.write(f"and {len(used) - NAMED} more ports whose guest runs\n")
        if someone_to_ask():
            return ids if agreed(_question(len(ids), len(used))) else None
        if used:
            raise UsageError(f"the guests of {len(used)} ports run; with --yes they are unplugged")
        return ids

    def _send(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        if len(ids) == 1:
            return [self._one(ids[0])]
        answer = self.client.call(
            "POST", "/v1/ports:unplug", {"ids": list(ids)}, self.waiting("gone")
        )
        found: list[dict[str, Any]] = answer["ports"]
        return found

    def _one(self, port_id: str) -> dict[str, Any]:
        left = self.client.call("DELETE", port_path(port_id), params=self.waiting("gone"))
        return {"id": port_id, "status": 202 if left else 204}


def _question(ports: int, used: int) -> str:
    cut = f"; the guests of {used} run and lose their network" if used else ""
    return f"All {ports} ports of this host will be unplugged{cut}. Go on? [y/N] "
