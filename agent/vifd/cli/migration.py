"""Migrations of guests to this host."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from vifd.cli import report
from vifd.cli.base import ApiList, ApiShow

COLUMNS = ("id", "port", "trigger", "began", "opening", "added", "gap", "state")
#: Characters of a timeline at a terminal.
WIDTH = 40


class MigrationList(ApiList):
    """List migrations of guests to this host, the oldest first.

    "opening" is the time from the first word that the guest has arrived until its port was open and
    announced; "added" is how long the guest ran here without it, where the hypervisor said since
    when it ran; "gap" is from its last frame on the old host to the first one here, where the
    agents of both are peers.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        every = self.client.call("GET", "/v1/migrations")["migrations"]
        if parsed_args.formatter in ("json", "yaml"):
            names = ("id", "port", "trigger", "began", "opening_ms", "added_ms", "gap_ms", "state")
            return names, [tuple(one[n] for n in names) for one in every]
        return COLUMNS, [
            (one["id"], one["port"], one["trigger"], _clock(one["began"]),
             _milliseconds(one["opening_ms"]), _milliseconds(one["added_ms"]),
             _milliseconds(one["gap_ms"]), one["state"])
            for one in every
        ]  # fmt: skip


class MigrationShow(ApiShow):
    """Show one migration with its timeline."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("migration", metavar="ID", type=int, help="of vifctl migration list")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        one = self.client.call("GET", f"/v1/migrations/{parsed_args.migration}")
        if parsed_args.formatter in ("json", "yaml"):
            return tuple(one), tuple(one.values())
        rows = {
            "id": one["id"],
            "port": one["port"],
            "instance": one["instance"],
            "state": one["state"],
            "trigger": one["trigger"],
            "said by": "\n".join(_said(m) for m in one["triggers"]),
            "hypervisor": "\n".join(_said(m) for m in one["guest"]),
            "opening": _milliseconds(one["opening_ms"]),
            "added": _milliseconds(one["added_ms"]),
            "network gap": _gap(one),
            "timeline": "\n".join(timeline(one)),
            "error": report.clean(one["error"]),
        }
        return tuple(rows), tuple(rows.values())


def timeline(one: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    """The steps as bars, one under the other, to scale."""
    steps = one["timeline"]
    if not steps:
        return []
    begin = steps[0]["begin"]
    total = max(s["begin"] + s["milliseconds"] / 1000 for s in steps) - begin
    scale = width / total if total > 0 else 0.0
    lines = []
    for step in steps:
        at = min(width - 1, int((step["begin"] - begin) * scale))
        long = max(1, min(width - at, round(step["milliseconds"] / 1000 * scale)))
        bar = "." * at + "#" * long + "." * (width - at - long)
        lines.append(f"{bar} {step['milliseconds']:8.1f} ms  {step['name']}")
    return lines


def _gap(one: Mapping[str, Any]) -> str:
    """With how much it may be wrong."""
    gap, within = one["gap_ms"], one["gap_within_ms"]
    if gap is None or within is None:
        return "not known"
    return f"{gap:.1f} ms (to within {within:.1f} ms)"


def _said(moment: Mapping[str, Any]) -> str:
    return f"{_clock(moment['at'])}  {report.clean(moment['what'])}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"


def _milliseconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f} ms"
