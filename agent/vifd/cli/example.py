"""A document to begin with."""

from __future__ import annotations

import argparse
import json
import sys

from vifd.cli import samples
from vifd.cli.base import Plain


class PortExample(Plain):
    """Print a complete attachment document to begin with, ready for "vifctl port plug -f -".

    Nothing is asked of the daemon. Change ids, addresses and names before you plug it for good.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "kind", metavar="KIND", nargs="?", default="local", choices=samples.SAMPLES,
            help=f"which one: {', '.join(samples.SAMPLES)} (default: local)",
        )  # fmt: skip
        parser.add_argument("--list", action="store_true", help="what each is for")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.list:
            for name, (text, _) in samples.SAMPLES.items():
                sys.stdout.write(f"{name:16}{text}\n")
            return 0
        sys.stdout.write(text_of(parsed_args.kind))
        return 0


def text_of(name: str) -> str:
    """The document as it stands in its file."""
    return json.dumps(samples.sample(name), indent=2) + "\n"
