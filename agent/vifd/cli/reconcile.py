"""The difference that an upgrade would make, and its approval."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from vifd.cli import report
from vifd.cli.base import ApiList

COLUMNS = ("port", "plugin", "device", "network", "fact", "have", "wanted")
#: Seconds between two looks at what becomes of an approval.
PAUSE = 0.2


class Reconcile(ApiList):
    """Show what an upgrade would change of ports that pass traffic, and let it begin.

    After an upgrade vifd reads every port back before it changes any. Where more would change than
    [upgrade] allows it waits: everything passes traffic as before. Approved, it brings one port to
    the new version, proves it, and then goes on with all others.
    """

    waits = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--approve", action="store_true", help="let it begin, with one port")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        view = self.client.call("GET", "/v1/reconcile")
        if parsed_args.approve and view["state"] != "none":
            view = self._approve()
        self._remarks(view)
        shown = parsed_args.formatter in ("json", "yaml")
        rows = [_row(port, change, whole=shown) for port in view["affected"]
                for change in port["changes"]]  # fmt: skip
        return COLUMNS, rows

    def _approve(self) -> Any:
        view = self.client.call("POST", "/v1/reconcile", {"approve": True})
        end = time.monotonic() + self.timeout
        while not self.option("no_wait") and view["state"] == "first" and time.monotonic() < end:
            time.sleep(PAUSE)
            view = self.client.call("GET", "/v1/reconcile")
        if view["state"] == "held":
            self.code = 1
        return view

    def _remarks(self, view: dict[str, Any]) -> None:
        """What is not in the table, for people."""
        if self.args.formatter in ("json", "yaml"):
            return
        if view["state"] == "none":
            _say("nothing waits for approval")
            return
        _say("; ".join(view["upgraded"]))
        count = f"{len(view['affected'])} of {view['total']} ports that pass traffic differ"
        _say(f"{view['state']}: {count}; {view['allowed']} may be changed without asking")
        if view["unread"]:
            _say(f"{len(view['unread'])} ports cannot be read back yet")
        if view["waiting"]:
            _say(f"{len(view['waiting'])} ports wait to be made or changed")
        if view["error"]:
            _say(f"port {view['first']}, the first, failed: {report.error_line(view['error'])}")


def _row(port: dict[str, Any], change: dict[str, Any], *, whole: bool) -> tuple[Any, ...]:
    have, wanted = change["have"], change["wanted"]
    if not whole:
        have, wanted = report.clean(report.flat(have)), report.clean(report.flat(wanted))
    return (
        port["port"], port["plugin"], report.clean(port["device"]), port["network"],
        change["fact"], have, wanted,
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stderr.write(f"vifctl: {report.clean(text)}\n")
