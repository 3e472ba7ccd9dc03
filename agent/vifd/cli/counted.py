"""``vifctl port counters``: what became of a port's frames."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from vifd.cli import finding, report
from vifd.cli.base import ApiList
from vifd.cli.client import port_path
from vifd.cli.countlines import COLUMNS, rows
from vifd.cli.port import PORT_HELP


class PortCounters(ApiList):
    """Show what became of a port's frames: passed, or refused and why, in each direction.

    Seen from the guest. Counted since the port was made; a device or flow that was made anew takes
    nothing away that was counted before.
    """

    watchable = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help=PORT_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        path = port_path(finding.one(self.client, parsed_args.port), "counters")
        found = self.client.call("GET", path)
        if found.get("note"):
            sys.stderr.write(f"vifctl: {report.clean(str(found['note']))}\n")
        return COLUMNS, [*rows(found)]
