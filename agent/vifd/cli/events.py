"""The event stream on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
import time

from vifd.cli import report
from vifd.cli.base import Api
from vifd.cli.client import Unreachable

#: Seconds between attempts to connect again.
BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)


class Events(Api):
    """Print the events of this host, one per line.

    A lost connection is made again and continues where it was, so that no event is missed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--follow", action="store_true", help="go on with new events")
        parser.add_argument(
            "--after", metavar="ID", default="0", help="begin after this id; now: only new ones"
        )
        parser.add_argument(
            "-f", "--format", dest="formatter", choices=("text", "json"), default="text",
            help="text, or one JSON object per line",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        self.after = parsed_args.after
        self.connected = False
        self._print(parsed_args.follow)
        attempt = 0
        while parsed_args.follow:
            before = self.after
            time.sleep(BACK_OFF[min(attempt, len(BACK_OFF) - 1)])
            try:
                self._print(follow=True)
            except Unreachable as error:
                if attempt == 0:
                    sys.stderr.write(f"vifctl: {report.clean(str(error))}; trying again\n")
            attempt = 0 if self.after != before else attempt + 1
        return 0

    def _print(self, follow: bool) -> None:
        """Print until the stream ends; :attr:`after` is where to go on."""
        as_json = self.args.formatter == "json"
        try:
            for number, event in self.client.events(self.after, follow):
                self.connected = True
                self.after = number
                line = json.dumps(event) if as_json else report.event_line(number, event)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        except Unreachable:
            if not (follow and self.connected):
                raise
