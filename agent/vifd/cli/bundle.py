"""``vifctl bundle``: everything that support needs, in one file."""

from __future__ import annotations

import argparse
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

from vifd.cli import collecting
from vifd.cli.base import ApiShow, Lines, UsageError
from vifd.cli.progress import Progress
from vifd.cli.tarball import Tarball

#: MiB before compression, where nobody says otherwise.
MOST = 64
DEFAULT_CONFIG = "/etc/vifd/agent.conf"


class Bundle(ApiShow):
    """Collect what support needs into one tar: versions, configuration with secrets masked,
    journal, why each broken port does not work, the switch's rows and flows, logs, metrics.

    Reads and changes nothing. Works without the daemon as well; what cannot be had is noted in the
    bundle with the reason. Read it anywhere with "vifctl --bundle FILE port explain PORT".
    """

    looks_here = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "-o", "--output", metavar="FILE",
            help="where it goes (default: vifd-HOST-TIME.tar.gz in this directory)",
        )  # fmt: skip
        parser.add_argument(
            "--limit", metavar="MIB", type=_size, default=MOST,
            help=f"how much goes in, before compression (default: {MOST})",
        )  # fmt: skip
        parser.add_argument(
            "--config-file", metavar="PATH",
            help=f"the daemon's configuration (default: {DEFAULT_CONFIG})",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        if parsed_args.config_file and not Path(parsed_args.config_file).is_file():
            raise UsageError(f"{parsed_args.config_file} is no file; see --config-file")
        path = Path(parsed_args.output or _name())
        if path.exists():
            raise UsageError(f"{path} is there already")
        self.client.margin = 10.0
        lacking: dict[str, str] = {}
        try:
            with Tarball(path, parsed_args.limit << 20) as tar:
                self._fill(tar, lacking)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
        sys.stderr.write(f"vifctl: {path} has addresses and names of guests; secrets are masked\n")
        found = {"file": str(path), "bytes": tar.size, "not complete": lacking}
        shown = "\n".join(f"{name}: {problem}" for name, problem in lacking.items()) or "-"
        if self.for_people:
            return tuple(found), (str(path), tar.size, Lines(shown))
        return tuple(found), tuple(found.values())

    def _fill(self, tar: Tarball, lacking: dict[str, str]) -> None:
        where = collecting.places(Path(self.args.config_file or DEFAULT_CONFIG))
        pieces = list(collecting.pieces(self.client, where))
        with Progress(len(pieces), "bundle") as progress:
            for done, piece in enumerate(pieces, 1):
                content, problem, seconds = collecting.answered(piece)
                if content:
                    tar.add(piece.name, content, problem, seconds)
                else:
                    tar.note(piece.name, problem or "it is empty", seconds)
                if problem:
                    lacking[piece.name] = problem
                progress.update(done)


def _name() -> str:
    host = re.sub(r"[^\w.-]", "_", socket.gethostname())
    return f"vifd-{host}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"


def _size(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError("must be MiB from 1 to 4096")
    return int(text)
