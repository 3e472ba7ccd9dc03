"""Move ports to another back end of this host, under their running guests."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from vifd.cli import documents, finding, report
from vifd.cli.base import FAILED, UsageError, code_of
from vifd.cli.client import Refused, port_path
from vifd.cli.plug import Many, id_of
from vifd.cli.port import PORT_HELP

_NAMES = ("id", "from", "to", "result", "gap", "error")
_WHOLE = ("id", "result", "moved", "error")


class Asked(NamedTuple):
    """A port that is to move.

    :param doc: of one that vifd does not have yet
    """

    port_id: str
    doc: Any = None


class PortMoveBackend(Many):
    """Have another plugin serve ports, each with its tap as it stands and its guest running.

    The tap changes hands at the last moment, with filters and flows in force before; the gap is
    measured and told. A port that cannot be proven on the other plugin goes back. The same command
    with the other plugin's name is the way back.

    A port that nova plugged in the hybrid way (its tap on a bridge qbr…) is moved onto the switch
    itself: the file holds its attachment document, as "vifctl adopt --scan" makes it. The way back
    of such a port is "vifctl port release".
    """

    # "-f" is the file here; the output format keeps its long form.
    conflict_handler = "resolve"

    may_not_wait = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="PORT", nargs="*", help=PORT_HELP)
        parser.add_argument("--to", metavar="PLUGIN", required=True, help="who shall serve them")
        parser.add_argument("--all", action="store_true", help="every port of --from's plugin")
        parser.add_argument(
            "--from", metavar="PLUGIN", dest="source", help="whose ports are all moved"
        )
        documents.add_option(parser, required=False)
        parser.add_argument(
            "-n", "--dry-run", action="store_true",
            help="say which ports could be moved and what stands in the way, and move none",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        _judge(parsed_args)
        chosen = self._chosen()
        send = partial(self._send, alone=len(chosen) == 1)
        items = self.send_all(chosen, "move", send, size=1)
        if parsed_args.formatter in ("json", "yaml"):
            return _WHOLE, [[item.get(name) for name in _WHOLE] for item in items]
        return _NAMES, [_row(item) for item in items]

    def _chosen(self) -> list[Asked]:
        """The ports that are to move, those of the file with their documents."""
        if not self.args.file:
            named = finding.ids(self.client, self.args.ports)
            return [Asked(port_id) for port_id in (self._every() if self.args.all else named)]
        docs = {id_of(doc): doc for doc in documents.read(self.args.file)}
        wanted = list(dict.fromkeys(self.args.ports)) or list(docs)
        missing = [port for port in (*wanted, *docs) if not port or port not in docs]
        if missing:
            raise UsageError(f"{self.args.file}: there is no document of port {missing[0]!r}")
        return [Asked(port_id, docs[port_id]) for port_id in wanted]

    def _every(self) -> list[str]:
        answer = self.client.call("GET", "/v1/ports", params={"fields": "id,plugin"})
        return [port["id"] for port in answer["ports"] if port["plugin"] == self.args.source]

    def _send(self, asked: Sequence[Any], *, alone: bool) -> list[dict[str, Any]]:
        """One after the other: a port that is refused, or goes back, is no reason to leave the
        next, and no two of them are without frames at once."""
        return [self._one(one.port_id, one.doc, alone=alone) for one in asked]

    def _one(self, port_id: str, doc: Any, *, alone: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"to": self.args.to, "dry_run": self.args.dry_run}
        if doc is not None:
            body["document"] = doc
        try:
            moved = self.client.call(
                "POST", port_path(port_id, "backend"), body, {"timeout": self.timeout}
            )
        except Refused as refused:
            if not refused.error or (alone and code_of(refused.error) != FAILED):
                raise
            return {"id": port_id, "result": "failed", "error": refused.error}
        return {"id": port_id, "result": _result(moved, dry=self.args.dry_run), "moved": moved}


def _judge(args: argparse.Namespace) -> None:
    """:raises UsageError: it is not said which ports are meant, or said twice"""
    if args.file and (args.all or args.source):
        raise UsageError("--all and --from are about ports that vifd has, the file about others")
    if args.all != bool(args.source):
        raise UsageError("--all needs --from, the plugin whose ports are moved, and --from --all")
    if not args.file and bool(args.ports) == args.all:
        raise UsageError("name ports, give --all --from PLUGIN, or a file of documents")


def _result(moved: dict[str, Any], *, dry: bool) -> str:
    if moved["source"] == moved["target"]:
        return "is there"
    if dry:
        return "could be moved"
    return "moved, not all is swept" if moved["left"] else "moved"


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    moved, error = item.get("moved") or {}, item.get("error") or {}
    gap = moved.get("gap_ms")
    said = "" if gap is None else f"{gap:.0f} ms (within {moved['gap_within_ms']:.0f})"
    return (
        item["id"], report.clean(moved.get("source", "")), report.clean(moved.get("target", "")),
        item["result"], said, error.get("code", ""),
    )  # fmt: skip
