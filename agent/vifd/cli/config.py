"""The daemon's configuration: made of the stock agent's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vifd.cli import report, stockconf
from vifd.cli.base import USAGE, Plain


class FromNeutron(Plain):
    """Make an agent.conf of the files that neutron-openvswitch-agent is started with.

    Name them in the order of its --config-file options, neutron.conf first. The result goes to
    standard output; what vifd has no counterpart for stands in it as a remark, and is told on
    standard error. Nothing is asked of the daemon, and nothing is changed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "files", metavar="FILE", nargs="+", help="neutron.conf, openvswitch_agent.ini, ..."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        try:
            texts = [(name, Path(name).read_text()) for name in parsed_args.files]
            made = stockconf.configuration(stockconf.Files(texts))
        except (OSError, UnicodeDecodeError, stockconf.Unreadable) as error:
            sys.stderr.write(f"vifctl: {report.clean(str(error))}\n")
            return USAGE
        for remark in made.remarks:
            sys.stderr.write(f"vifctl: not carried over: {report.clean(remark)}\n")
        sys.stdout.write(made.text())
        return 0
