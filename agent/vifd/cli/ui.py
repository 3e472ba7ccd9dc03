"""``vifctl ui``: the host in a browser."""

from __future__ import annotations

import argparse
import sys
import webbrowser

from vifd.cli import switchrows
from vifd.cli.base import Api, UsageError
from vifd.cli.client import socket_path
from vifd.cli.uiserver import Ui as Server


class Ui(Api):
    """Show this host in a browser: the wiring as a picture, ports, evidence, explain, events.

    Serves the page on loopback and passes on what the daemon answers to this user. The address
    that is printed works once, in one browser. From elsewhere: ssh -L PORT:127.0.0.1:PORT HOST.
    Ends at Ctrl-C.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--port", type=int, default=0, metavar="NUMBER", help="of TCP (default: any)"
        )
        parser.add_argument(
            "--write", action="store_true",
            help="let the page check, open, close and repair ports; without, it only reads",
        )  # fmt: skip
        parser.add_argument(
            "--no-open", action="store_true", help="print the address, open no browser"
        )
        parser.add_argument(
            "--ovsdb", metavar="PATH", default=switchrows.DATABASE,
            help="the switch's database, for counters of vhost-user ports",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        if self.option("bundle"):
            raise UsageError("a bundle has no page: vifctl --bundle FILE port list reads it")
        self.client.call("GET", "/v1/status")  # said at once where nobody is there
        path = socket_path(self.option("socket"))
        try:
            server = Server(
                parsed_args.port, path, write=parsed_args.write, database=parsed_args.ovsdb
            )
        except (OSError, OverflowError) as error:
            raise UsageError(f"cannot listen on 127.0.0.1:{parsed_args.port}: {error}") from error
        with server:
            sys.stdout.write(f"{server.address}\n")
            sys.stdout.flush()
            if not parsed_args.no_open and sys.stdout.isatty():
                webbrowser.open(server.address)
            server.serve_forever(poll_interval=0.2)
        return 0
