"""Whether a guest may move to a port of this host."""

from __future__ import annotations

import argparse
from typing import Any

from vifd.cli import documents, finding, report
from vifd.cli.base import ApiList, UsageError
from vifd.cli.client import port_path
from vifd.cli.port import PORT_HELP


class PortPrecheck(ApiList):
    """Say whether a guest may move to this port from another host's, with every reason against it.

    FILE is the port as the host shows it where the guest runs: "vifctl port show PORT -f json".
    Nothing is changed. Exits with 1 where it may not.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help=PORT_HELP)
        parser.add_argument(
            "--source", metavar="FILE", required=True,
            help="the port on the other host, as JSON; - is standard input",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        values = documents.values(parsed_args.source)
        if len(values) != 1 or not isinstance(values[0], dict):
            raise UsageError(f"{parsed_args.source}: it is not one port as vifctl shows it")
        shown = values[0]
        asked = {n: shown[n] for n in ("document", "vif", "evidence") if shown.get(n)}
        path = port_path(finding.one(self.client, parsed_args.port), "precheck")
        found = self.client.call("POST", path, asked)
        self.code = 0 if found["ok"] else 1
        return ("code", "aspect", "there", "here"), [
            (r["code"], r["facts"]["aspect"], _shown(r["facts"]["there"]),
             _shown(r["facts"]["here"]))
            for r in found["reasons"]
        ]  # fmt: skip


def _shown(value: Any) -> str:
    return report.clean(", ".join(map(str, value)) if isinstance(value, list) else str(value))
