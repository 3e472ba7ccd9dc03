"""Give a running guest a device back that it lost."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from vifd.cli import finding, report
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import FAILED, ApiShow
from vifd.cli.client import port_path
from vifd.cli.port import PORT_HELP

#: The fact that says that a guest lost its device.
LOST = "guest.device"


class PortRepair(ApiShow):
    """Take a port's interface out of its running guest and put it back.

    That is the repair for a guest that runs, but lost its device because somebody removed it: the
    device is made again at once, and the guest keeps the old one. The interface keeps its MAC
    address, model and place on the guest's bus; the guest sees its network card leave and return.
    A guest that has its device open is left alone.
    """

    waits = True
    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help=PORT_HELP)
        parser.add_argument(
            "-y", "--yes", action="store_true", help="do not ask, where a terminal is used"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        parsed_args.port = finding.one(self.client, parsed_args.port)
        if not parsed_args.yes and someone_to_ask() and not self._agreed(parsed_args.port):
            sys.stderr.write("vifctl: nothing was done\n")
            self.code = FAILED
            return (), ()
        path = port_path(parsed_args.port, "repair")
        done = self.client.call("POST", path, params={"timeout": self.timeout})
        self.code = FAILED if done["port"]["findings"] else 0
        if not self.for_people:
            return tuple(done), tuple(done.values())
        port = done["port"]
        shown = {
            "result": report.clean(done["text"]),
            "guest": report.clean(done["guest"]),
            "device": done["device"],
            "port": port["id"],
            "status": port["status"],
            "phase": port["phase"],
            "findings": report.evidence_lines(port["findings"]) or "-",
        }
        return tuple(shown), tuple(shown.values())

    def _agreed(self, port_id: str) -> bool:
        """Whether the one at the terminal wants it, knowing what is known."""
        port = self.client.call("GET", port_path(port_id))
        lost = [fact for fact in port["findings"] if fact["fact"] == LOST]
        text = str(lost[0]["have"]) if lost else "no check found that its guest lost the device"
        return agreed(
            f"{report.clean(text)}.\nIf so, the network card of the running guest is taken out and "
            "put back; it is offline meanwhile. Go on? [y/N] "
        )
