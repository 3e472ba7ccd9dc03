"""Logs of what security groups decide: ``vifctl log set`` and its like."""

from __future__ import annotations

import argparse
from typing import Any

from vifd.cli import report, sets
from vifd.cli.base import UsageError

LOG = sets.Kind("log", "log", "/v1/logs", "logs", ())
#: What a log is about: the option, the field, what it says.
_ABOUT = (
    ("--event", "event", "ACCEPT, DROP or ALL (default: ALL)"),
    ("--group", "resource_id", "id of the security group that it is about (default: every one)"),
    ("--port", "target_id", "id of the port that it is about (default: every one of the group)"),
    ("--project", "project_id", "id of the project whose ports it is about, where it names "
     "neither group nor port (default: every one's)"),
)  # fmt: skip


class LogList(sets.ListSets):
    """List the logs of security groups: what each is about, and whether it is in force."""

    kind = LOG

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        params = {"owner": parsed_args.owner}
        logs = self.client.call("GET", LOG.path, params=params)[LOG.key]
        columns = "id", "name", "event", "group", "port", "enabled", "owner", "state"
        return columns, [
            (
                found["id"], report.clean(found["name"]), found["event"],
                found["resource_id"] or "every", found["target_id"] or "every", found["enabled"],
                report.clean(found["owner"]), _state(found),
            )
            for found in logs
        ]  # fmt: skip


def _state(found: dict[str, Any]) -> str:
    """Whether it is as it was said; one that is switched off logs nothing."""
    state = sets.state(found)
    return state if found["enabled"] or state != sets.IN_FORCE else "off"


class _OneLog(sets.One):
    kind = LOG

    def show(self, shown: dict[str, Any]) -> tuple[Any, Any]:
        if not self.for_people:
            return super().show(shown)
        names = ("id", "name", "event", "enabled", "resource_id", "target_id", "project_id",
                 "owner", "revision", "request_id")  # fmt: skip
        columns = {name: shown[name] or "-" for name in names if name != "enabled"}
        columns |= {"enabled": shown["enabled"], "state": _state(shown)}
        return tuple(columns), tuple(
            report.clean(v) if isinstance(v, str) else v for v in columns.values()
        )


class LogShow(_OneLog):
    """Show a log of security groups."""

    watchable = True

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        return self.show(self.client.call("GET", self.path(self.find(parsed_args.set))))


class LogSet(_OneLog, sets.WantSet):
    """Want a log of security groups to be this, whole."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for option, _, text in _ABOUT:
            parser.add_argument(option, help=text)
        parser.add_argument("--off", action="store_true", help="switched off: nothing is written, "
                            "and nothing is looked at for it")  # fmt: skip
        return parser

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found = super().body(parsed_args)
        for option, field, _ in _ABOUT:
            if (value := getattr(parsed_args, option[2:])) is not None:
                found[field] = value.upper() if field == "event" else value
        if parsed_args.off:
            found["enabled"] = False
        event = found.get("event", "ALL")
        if event not in ("ACCEPT", "DROP", "ALL"):
            raise UsageError(f"event {event!r:.40} is not ACCEPT, DROP or ALL")
        return found


class LogDelete(_OneLog, sets.DeleteSet):
    """Delete a log of security groups."""
