"""Documents: made of what other services answer."""

from __future__ import annotations

import argparse
import json
import sys

from vifd.cli import documents, neutron, report
from vifd.cli.base import USAGE, Plain, UsageError


class FromNeutron(Plain):
    """Make attachment documents of a port, its network and what belongs to them.

    Each file holds answers of the Networking API (port, network, subnets, QoS policy, security
    groups, segments) or the Compute and Image APIs (server, flavor, image), as the REST API gives
    them or "openstack ... show -f json" prints them, in any order. The documents go to standard
    output, ready for "vifctl port plug -f -". Nothing is asked of the daemon.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("files", metavar="FILE", nargs="+", help="- is standard input")
        parser.add_argument(
            "--role", choices=("ACTIVE", "INACTIVE"), default="ACTIVE",
            help="whether traffic shall pass, or the binding is one that waits (default: ACTIVE)",
        )  # fmt: skip
        parser.add_argument(
            "--physical-network", metavar="NAME", default="",
            help="which segment of a network with several reaches this host",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        try:
            values = [value for name in parsed_args.files for value in documents.values(name)]
            made = neutron.documents(
                values, role=parsed_args.role, physical_network=parsed_args.physical_network
            )
        except (neutron.Lacking, UsageError) as error:
            sys.stderr.write(f"vifctl: {report.clean(str(error))}\n")
            return USAGE
        shown = made[0] if len(made) == 1 else {"ports": made}
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        return 0
