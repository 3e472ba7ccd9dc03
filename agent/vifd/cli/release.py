"""Give ports back to the hand that they were adopted from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from vifd.cli import finding
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import FAILED, UsageError, code_of
from vifd.cli.client import Refused, port_path
from vifd.cli.plug import Many
from vifd.cli.port import PORT_HELP

_WARNING = """\
%d port(s) will be nobody's in vifd: device and switch port stay, with the VLAN and the external
ids that they had. Anti-spoofing and repair by vifd end; a port that is closed is open then, if the
flows of the other hand let it.
"""
_FORCED = """\
A port that vifd made, or that stands where only vifd passes frames, PASSES NOTHING afterwards.
"""


class PortRelease(Many):
    """Give ports back in place, as they were before they were adopted, without losing a frame.

    That undoes "vifctl adopt". Device, switch port and guest stay; the flows, marks and the record
    of vifd go. A port that vifd made itself is refused, unless it is forced.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="PORT", nargs="*", help=PORT_HELP)
        parser.add_argument("--all", action="store_true", help="every port of this host")
        parser.add_argument(
            "--force", action="store_true",
            help="also ports that vifd made, and where nobody else passes frames: device and "
            "switch port are left for another program",
        )  # fmt: skip
        parser.add_argument(
            "-y", "--yes", action="store_true", help="do not ask, where a terminal is used"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        if bool(parsed_args.ports) == parsed_args.all:
            raise UsageError("name ports, or give --all")
        names = ("id", "result", "error")
        ids = finding.ids(self.client, parsed_args.ports) or self._every()
        if ids and not parsed_args.yes and someone_to_ask() and not self._agreed(len(ids)):
            sys.stderr.write("vifctl: nothing was done\n")
            self.code = FAILED
            return names, []
        return names, [
            (i["id"], i["result"], (i.get("error") or {}).get("code", ""))
            for i in self.send_all(ids, "release", self._send)
        ]

    def _every(self) -> list[str]:
        answer = self.client.call("GET", "/v1/ports", params={"fields": "id"})
        return [port["id"] for port in answer["ports"]]

    def _agreed(self, count: int) -> bool:
        return agreed(_WARNING % count + (_FORCED if self.args.force else "") + "Go on? [y/N] ")

    def _send(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """One call for each: one that is refused is no reason to leave the next."""
        return [self._one(port_id, alone=len(ids) == 1) for port_id in ids]

    def _one(self, port_id: str, *, alone: bool) -> dict[str, Any]:
        body, params = {"force": self.args.force}, self.waiting("gone")
        try:
            left = self.client.call("POST", port_path(port_id, "release"), body, params)
        except Refused as refused:
            if not refused.error or (alone and code_of(refused.error) != FAILED):
                raise
            return {"id": port_id, "result": "failed", "error": refused.error}
        return {"id": port_id, "result": "accepted" if left else "released"}
