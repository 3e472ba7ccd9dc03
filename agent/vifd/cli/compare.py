"""A side's list of its ports, held against what is on this host."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, ClassVar

from vifd.cli import report
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import ApiList, UsageError

COLUMNS = ("port", "finding", "result")


class Compare(ApiList):
    """Hold the ports that compute says should be on this host against what it said here.

    STALE: compute once said its part, and does not list the port: it gave it up while nobody could
    be told. MISSING: it is listed, and nothing was said of it here. Nothing is changed without
    --remove, by which the stale parts are taken away: the devices go, what the network service said
    stays. More than a few at once need a "yes".
    """

    side: ClassVar[str] = "compute"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="ID", nargs="*", help="a port that should be here")
        parser.add_argument(
            "--from", dest="file", metavar="FILE", help="read their ids from a file, one a line; - "
            "is standard input: openstack port list --host HOST --format value --column ID",
        )  # fmt: skip
        parser.add_argument(
            "--none", action="store_true", help="no port should be here"
        )  # fmt: skip
        parser.add_argument("--owner", metavar="NAME", help="only parts of this owner, nova say")
        parser.add_argument("--remove", action="store_true", help="take the stale parts away")
        parser.add_argument(
            "--yes", "-y", action="store_true",
            help="more than [garbage] lets go at once as well",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        body = {"ids": self._listed(), "owner": parsed_args.owner}
        path = f"/v1/{self.side}:compare"
        found = self.client.call("POST", path, body)
        if parsed_args.remove and found["stale"]:
            force = parsed_args.yes or self._asked(found["stale"])
            found = self.client.call("POST", path, {**body, "remove": True, "force": force})
        result = "removed" if found["removed"] else ""
        stale = [(port, "STALE", result) for port in found["stale"]]
        return COLUMNS, [*stale, *((port, "MISSING", "") for port in found["missing"])]

    def _listed(self) -> list[str]:
        """The ids; an empty list must be meant, since then everything is stale."""
        given = list(self.args.ports)
        if self.args.file is not None:
            given += _read(self.args.file).split()
        if bool(given) == self.args.none:
            raise UsageError(
                "--none and ids contradict each other" if given else
                "no port is listed: name them, or read them with --from; --none says that none "
                "should be here"
            )  # fmt: skip
        return list(dict.fromkeys(given))

    def _asked(self, stale: list[str]) -> bool:
        """Ask on a terminal; else the limits of [garbage] decide."""
        if not (someone_to_ask() and sys.stderr.isatty()):
            return False
        for port in stale:
            sys.stderr.write(f"{report.clean(port)}\n")
        return agreed(f"Take {self.side}'s part of these {len(stale)} away? [y/N] ")


class CompareNetwork(Compare):
    """Hold the ports that the network service has bound to this host against what it said here.

    STALE: the network service once said its part, and does not list the port. MISSING: it is
    listed, and nothing was said of it here. Nothing is changed without --remove, by which the stale
    parts are taken away, and the devices with them. More than a few at once need a "yes".
    """

    side: ClassVar[str] = "network"


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
