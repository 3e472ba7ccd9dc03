"""What nova-compute's environment on this host is like, before plugging is handed over."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
from typing import Any

from vifd.cli.base import FAILED, ApiShow, UsageError
from vifd.cli.report import clean

#: Seconds for nova's interpreter, which loads every plugin of os-vif.
_PATIENCE = 120.0
_MISSING = "No module named vifd_nova"

#: What vifd-nova says of itself.
_SAID = frozenset(("version", "uid", "plugins", "taken_over", "vifd", "socket", "problems"))


class NovaCheck(ApiShow):
    """Look at nova-compute's environment before it hands plugging over, and change nothing.

    Says whether the os-vif plugin of vifd is installed there, whether it answers and for which
    names, whether nova's user may open the socket, and what stands in the way. Fails where
    something does. Run it as root, so that it can take the place of nova's user.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--python", metavar="PATH", default="/usr/bin/python3",
            help="nova-compute's own interpreter (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--config-file", metavar="PATH", action="append",
            help="a configuration file of nova; may be repeated (default: /etc/nova/nova.conf)",
        )  # fmt: skip
        parser.add_argument(
            "--user", metavar="NAME", default="nova" if os.geteuid() == 0 else "",
            help="nova-compute's user (default: nova; as another user than root: yourself)",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        files = parsed_args.config_file or ["/etc/nova/nova.conf"]
        found = look(parsed_args.python, files, parsed_args.user)
        self.code = FAILED if found["problems"] else 0
        if not self.for_people:
            return tuple(found), tuple(found.values())
        daemon = found["vifd"] or {}
        shown = {
            "installed": f"vifd-nova {found['version']} in {clean(parsed_args.python)}",
            "user": f"uid {found['uid']}",
            "os-vif plugins": ", ".join(found["plugins"]) or "-",
            "taken over": ", ".join(found["taken_over"]) or "-",
            "vifd": f"{daemon.get('version')} on {found['socket']}" if daemon else "-",
            "problems": "\n".join(clean(p) for p in found["problems"]) or "none",
        }
        return tuple(shown), tuple(shown.values())


def look(python: str, files: list[str], user: str) -> dict[str, Any]:
    """What nova's interpreter says, as nova's user.

    :raises UsageError: it cannot be asked
    """
    argv = [python, "-m", "vifd_nova.check", *files]
    try:
        done = subprocess.run(  # noqa: S603 - the operator names the program
            argv, capture_output=True, text=True, timeout=_PATIENCE, check=False, cwd="/",
            stdin=subprocess.DEVNULL, **_as(user),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UsageError(f"{python} did not answer within {_PATIENCE:g} s") from None
    except OSError as error:
        raise UsageError(f"{python} cannot be run: {error.strerror or error}") from error
    try:
        found: Any = json.loads(done.stdout)
    except (ValueError, RecursionError):
        raise UsageError(_why(python, done.stderr)) from None
    if not isinstance(found, dict) or not found.keys() >= _SAID:
        raise UsageError(
            f"{python} answered {str(found)[:60]!r}, which vifd-nova of this version does not. "
            "Next: install vifd-nova there in the version of vifd"
        )
    return dict(found)


def _as(user: str) -> dict[str, Any]:
    if not user:
        return {}
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"there is no user {user!r} on this host; see --user") from None
    groups = os.getgrouplist(user, known.pw_gid)
    return {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": groups}


def _why(python: str, text: str) -> str:
    if _MISSING in text:
        return (
            f"vifd-nova is not installed in the environment of {python}. "
            f"Next: {python} -m pip install vifd-nova"
        )
    last = clean(text.strip().splitlines()[-1]) if text.strip() else "it said nothing"
    return f"{python} cannot say: {last}"
