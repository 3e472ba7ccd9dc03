"""``vifctl port explain``: why a port works, or does not."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vifd.cli import explained, finding, report
from vifd.cli.base import FAILED, OK, TIMED_OUT, UNREACHABLE, ApiShow
from vifd.cli.client import Refused, TimedOut, Unreachable, port_path
from vifd.cli.port import PORT_HELP
from vifd.cli.terminal import room

DEFAULT_JOURNAL = "/var/lib/vifd/journal.db"
#: Seconds that reading the host may take; who asks at night wants an answer.
PATIENCE = 10.0
#: Seconds besides, until a daemon that says nothing is taken for one that hangs.
MARGIN = 5.0
NOT_FOUND = "E_STATE_NOT_FOUND"


class PortExplain(ApiShow):
    """Say why a port works or does not: every step to the guest, and the first broken one.

    Reads the host and changes nothing. Where the daemon does not run, its journal is read instead.

    Exit codes besides the usual: 0 nothing is broken, 1 something is, 3 nothing is broken in the
    journal of a daemon that does not run, 5 the same, but the host could not be read.
    """

    waits = True
    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "port",
            metavar="PORT",
            help=PORT_HELP + "; of a daemon that does not answer the id alone",
        )
        parser.add_argument(
            "--journal", metavar="PATH",
            default=os.environ.get("VIFD_JOURNAL") or DEFAULT_JOURNAL,
            help=f"what to read where the daemon does not run (default: {DEFAULT_JOURNAL})",
        )  # fmt: skip
        parser.add_argument(
            "--offline", action="store_true", help="read the journal and do not ask the daemon"
        )
        packet = parser.add_argument_group("which security group rule lets a packet pass")
        side = packet.add_mutually_exclusive_group()
        side.add_argument("--to", metavar="ADDRESS", help="a packet that the guest sends there")
        side.add_argument("--from", metavar="ADDRESS", dest="sender", help="one sent to the guest")
        packet.add_argument("--proto", default="tcp", help="its protocol (default: tcp)")
        packet.add_argument(
            "--port",
            metavar="NUMBER",
            dest="number",
            help="its destination port; of ICMP, TYPE[/CODE] (default: a ping)",
        )
        packet.add_argument("--sport", metavar="NUMBER",
                            help="its source port, where it matters: of DHCP")  # fmt: skip
        return parser

    def _passes(self, port_id: str) -> dict[str, Any]:
        """The daemon's answer about one packet; 1 where nothing lets it pass."""
        args = self.args
        number, slash, code = (args.number or "").partition("/")
        said = {"to": args.to, "from": args.sender, "proto": args.proto, "port": number or None,
                "code": code if slash else None, "sport": args.sport}  # fmt: skip
        params = {name: value for name, value in said.items() if value is not None}
        path = port_path(finding.one(self.client, port_id), "passes")
        found: dict[str, Any] = self.client.call("GET", path, params=params)
        peer = found.get("peer")
        self.code = OK if found["passes"] and (peer is None or peer["passes"]) else FAILED
        return found

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        if parsed_args.to or parsed_args.sender:
            self.found = self._passes(parsed_args.port)
            return tuple(self.found), tuple(self.found.values())
        self.found = self._ask(parsed_args.port)
        return tuple(self.found), tuple(self.found.values())

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Sequence[Any]
    ) -> int:
        """People get a page; programs get what the API answers."""
        if self.for_people and "passes" in self.found:
            for line in _verdict(self.found):
                sys.stdout.write(f"{report.clean(line)}\n")
        elif not self.for_people or parsed_args.columns:
            super().produce_output(parsed_args, column_names, data)
        else:
            width = room(0, explained.WIDTH)
            sys.stdout.write(explained.page(self.found, colours=_colours(), width=width))
        return 0

    def _ask(self, port_id: str) -> dict[str, Any]:
        """The daemon's answer; where it gives none, the journal's."""
        if self.args.offline:
            return self._recall(port_id, "the daemon was not asked; this is what its journal says")
        given = self.option("timeout")
        params = {"timeout": PATIENCE if given is None else given}
        self.client.margin = MARGIN
        try:
            port_id = finding.one(self.client, port_id)
            found: dict[str, Any] = self.client.call(
                "GET", port_path(port_id, "explain"), params=params
            )
        except Unreachable as problem:
            if self.option("bundle"):
                raise  # the journal of this host is another's
            stopped = "vifd cannot be reached; this is what its journal says"
            return self._recall(port_id, stopped, problem)
        except TimedOut as problem:
            return self._recall(
                port_id, "vifd does not answer; this is what its journal says", problem
            )
        self.code = OK if found["healthy"] else FAILED
        if found["healthy"] and not found["asked"]:
            self.code = TIMED_OUT
        return found

    def _recall(
        self, port_id: str, unasked: str, problem: Exception | None = None
    ) -> dict[str, Any]:
        """What the journal says. The daemon's own code reads it; it is loaded here and not before,
        so that the client starts without it."""
        from vifd.explain import offline

        found = offline.answer(Path(self.args.journal), port_id, unasked)
        error = found.get("error")
        if error is not None:
            if problem is not None and error["code"] != NOT_FOUND:
                sys.stderr.write(f"vifctl: {report.clean(str(problem))}\n")
            raise Refused(0, error)
        explanation: dict[str, Any] = found["explanation"]
        self.code = UNREACHABLE if explanation["healthy"] else FAILED
        return explanation


def _verdict(found: dict[str, Any]) -> Iterator[str]:
    """What becomes of a packet, and why; a port of this host at its other end judges it as well."""
    passes, why, peer = found["passes"], found["why"], found.get("peer")
    if peer is None:
        yield f"passes: {why}" if passes else f"is refused: {why}"
        return
    there = f"port {peer['port']} of this host"
    if passes and peer["passes"]:
        yield f"passes: {why}"
        yield f"{there} lets it pass: {peer['why']}"
    elif passes:
        yield f"is refused by {there}: {peer['why']}"
        yield f"this port lets it pass: {why}"
    else:
        yield f"is refused: {why}"
        also = "lets it pass" if peer["passes"] else "refuses it as well"
        yield f"{there} {also}: {peer['why']}"


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
