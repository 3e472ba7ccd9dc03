"""What the host can do."""

from __future__ import annotations

import argparse
from typing import Any

from vifd.cli import hosttext
from vifd.cli.base import ApiShow, Lines, Tree
from vifd.cli.terminal import room


class HostShow(ApiShow):
    """Show what the host can do, and for each plugin what it lacks and how to get it."""

    waits = True
    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--refresh", action="store_true", help="read the host anew first")
        parser.add_argument(
            "--evidence", action="store_true", help="say of everything where it was read, and when"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        found = self._found()
        if not self.for_people:
            return tuple(found), tuple(Tree(value) for value in found.values())
        width = room(hosttext.beside(found), hosttext.WIDTH)
        rows = list(hosttext.rows(found, evidence=parsed_args.evidence, width=width))
        return tuple(name for name, _ in rows), tuple(Lines(text) for _, text in rows)

    def _found(self) -> Any:
        if not self.args.refresh:
            return self.client.call("GET", "/v1/host")
        return self.client.call("POST", "/v1/host/refresh", params={"timeout": self.timeout})
