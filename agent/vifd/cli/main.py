"""The entry point of ``vifctl``."""

from __future__ import annotations

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    if sys.stdout.isatty():
        # A table that is wider than the terminal is unreadable; elsewhere nothing may be cut.
        os.environ.setdefault("CLIFF_FIT_WIDTH", "1")
    try:
        # Inside, so that an interrupt while modules load ends as quietly as one later on.
        from vifd.cli.app import Vifctl

        code = Vifctl().run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Nobody reads any more: the interpreter shall not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
