"""Garbage: list it, remove it, put it back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from vifd.cli import report
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import ApiList, Moment, UsageError, Words
from vifd.cli.plug import Many
from vifd.cli.progress import Progress

#: Orphans in one call: a few portions of the daemon's, so that progress can be shown.
CHUNK = 64
COLUMNS = ("id", "plugin", "port", "state", "result", "why", "objects")
REMOVED = ("id", "plugin", "port", "state", "removed_at", "until", "objects", "document")


class Gc(Many):
    """Remove what bears the mark of vifd and belongs to no port.

    An orphan is removed only once it was seen as one, and held by no guest, at least twice with a
    grace period in between. More than a few at once need a "yes".
    """

    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("orphans", metavar="ID", nargs="*", help="only these orphans")
        parser.add_argument(
            "--dry-run", "-n", action="store_true", help="look and list; remove nothing"
        )
        parser.add_argument(
            "--yes", "--force", "-y", action="store_true", dest="yes",
            help="remove all that is listed: more than [garbage] lets go at once, and although a "
            "journal was lost",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        found = self.client.call("GET", "/v1/garbage", params={"timeout": self.timeout})
        chosen = self._chosen(found["orphans"])
        self._remarks(found)
        if parsed_args.dry_run:
            return COLUMNS, [_row(o, "") for o in chosen]
        ripe = [o["id"] for o in chosen if o["state"] == "ripe"]
        force = parsed_args.yes or self._asked(found, chosen, ripe)
        results = self._remove(ripe, force) if ripe else {}
        return COLUMNS, [_row(o, results.get(o["id"], "left alone")) for o in chosen]

    def _chosen(self, orphans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = list(dict.fromkeys(self.args.orphans))
        known = {o["id"]: o for o in orphans}
        unknown = [i for i in wanted if i not in known]
        if unknown:
            raise UsageError(f"{unknown[0]} is no orphan of this host; gc --dry-run lists them")
        return [known[i] for i in wanted] if wanted else orphans

    def _asked(self, found: dict[str, Any], chosen: Sequence[Any], ripe: Sequence[str]) -> bool:
        """Ask on a terminal where more would go than may without asking."""
        reason = found["doubt"] or found["excess"]
        if not (ripe and reason and someone_to_ask() and sys.stderr.isatty()):
            return False
        for orphan in chosen:
            sys.stderr.write(f"{report.clean(orphan['id'])}: {report.clean(orphan['why'])}\n")
        return agreed(f"{report.clean(reason)}. Remove these {len(ripe)}? [y/N] ")

    def _remove(self, ids: Sequence[str], force: bool) -> dict[str, str]:
        """All in one call where the daemon shall judge their number, else portion by portion."""
        results: dict[str, str] = {}
        failures: list[dict[str, Any]] = []
        chunks = [ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK)] if force else [ids]
        with Progress(len(ids), "remove") as progress:
            for chunk in chunks:
                answer = self.client.call(
                    "POST", "/v1/garbage", {"ids": list(chunk), "force": force},
                    {"timeout": self.timeout},
                )  # fmt: skip
                results |= {r["id"]: "removed" for r in answer["removed"]}
                results |= {f["id"]: f["error"]["code"] for f in answer["failed"]}
                failures += [f["error"] for f in answer["failed"]]
                progress.update(len(results))
        self.judge(failures)
        return results

    def _remarks(self, found: dict[str, Any]) -> None:
        """What is not in the table, for people."""
        if self.args.formatter in ("json", "yaml"):
            return
        for plugin, reason in found["silent"].items():
            _say(f"plugin {plugin} cannot tell what it has: {reason}")
        for text in found["suspects"]:
            _say(f"{text} bears the id of a port, and is none of its objects; it is left alone")
        for port, lacks in found["missing"].items():
            _say(f"port {port} lacks {', '.join(lacks)}; it is repaired")
        if not found["orphans"]:
            _say("there are no orphans")
        if found["doubt"]:
            _say(f"nothing is removed by itself: {found['doubt']}")


class GcUndo(ApiList):
    """Put removed orphans back, as they were and closed; without an id the last one."""

    waits = True
    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("orphans", metavar="ID", nargs="*", help="which ones")
        parser.add_argument("--list", action="store_true", help="what can be put back, and until "
                            "when")  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        params = {"timeout": self.timeout}
        if parsed_args.list:
            if parsed_args.orphans:
                raise UsageError("--list takes no ids")
            found = self.client.call("GET", "/v1/garbage", params=params)["removed"]
            return self._table(found)
        ids = list(dict.fromkeys(parsed_args.orphans))
        body = {"ids": ids} if ids else {}
        answer = self.client.call("POST", "/v1/garbage/undo", body, params)
        for failure in answer["failed"]:
            self.explain(failure["error"])
            self.code = 1
        return self._table(answer["restored"])

    def _table(self, entries: list[dict[str, Any]]) -> tuple[Any, Any]:
        """Programs get the documents as well."""
        shown = len(REMOVED) if self.args.formatter in ("json", "yaml") else len(REMOVED) - 1
        return REMOVED[:shown], [_removed(e)[:shown] for e in entries]


def _row(orphan: dict[str, Any], result: str) -> tuple[Any, ...]:
    return (
        report.clean(orphan["id"]), orphan["plugin"], orphan["port"], orphan["state"], result,
        report.clean(orphan["why"]), Words(orphan["objects"]),
    )  # fmt: skip


def _removed(entry: dict[str, Any]) -> tuple[Any, ...]:
    state = "put back" if entry["restored_at"] else "removed"
    return (
        report.clean(entry["id"]), entry["plugin"], entry["port"], state,
        Moment(entry["removed_at"]), Moment(entry["until"]), Words(entry["objects"]),
        entry["document"],
    )  # fmt: skip


def _say(text: str) -> None:
    sys.stderr.write(f"vifctl: {report.clean(text)}\n")
