"""Adopt: have vifd take over ports that others plugged."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from vifd.cli import documents
from vifd.cli.base import UsageError, code_of
from vifd.cli.client import Refused, port_path
from vifd.cli.plug import COLUMNS, WHOLE, Many, _id, _row, warn


class Adopt(Many):
    """Take over ports that somebody else plugged, in place, without losing a frame.

    A port is found by the iface-id of its interface. The file holds its attachment document, as for
    "port plug".
    """

    # "-f" is the file here; the output format keeps its long form.
    conflict_handler = "resolve"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="PORT", nargs="*", help="ids of ports in the file")
        parser.add_argument("--all", action="store_true", help="every port in the file")
        documents.add_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        chosen = self._chosen(documents.read(parsed_args.file))
        items = self.send_all(chosen, "adopt", self._send)
        if parsed_args.formatter in ("json", "yaml"):
            return WHOLE, [[item.get(name) for name in WHOLE] for item in items]
        warn([(item["id"], item.get("port") or {}) for item in items])
        return COLUMNS, [_row(item) for item in items]

    def _chosen(self, docs: list[Any]) -> list[Any]:
        if bool(self.args.ports) == self.args.all and len(docs) != 1:
            raise UsageError("name ports of the file, or give --all")
        nameless = [doc for doc in docs if not _id(doc)]
        if nameless:
            raise UsageError(f"{self.args.file}: a document has no port.id")
        if not self.args.ports:
            return docs
        known = {_id(doc): doc for doc in docs}
        missing = [port for port in self.args.ports if port not in known]
        if missing:
            raise UsageError(f"{self.args.file}: there is no document of port {missing[0]}")
        return [known[port] for port in dict.fromkeys(self.args.ports)]

    def _send(self, docs: Sequence[Any]) -> list[dict[str, Any]]:
        """One call for each: one that cannot be taken over is no reason to leave the next."""
        return [self._one(doc) for doc in docs]

    def _one(self, doc: Any) -> dict[str, Any]:
        port_id, params = _id(doc), self.waiting("active")
        try:
            port = self.client.call("POST", port_path(port_id, "adopt"), doc, params)
        except Refused as refused:
            if not refused.error:
                raise
            return {"id": port_id, "status": code_of(refused.error), "error": refused.error}
        return {"id": port_id, "status": 200 if params else 202, "port": port}
