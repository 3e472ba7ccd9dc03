"""Adopt: have vifd take over ports that others plugged."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from vifd.cli import documents, report, scan
from vifd.cli.base import FAILED, UsageError, code_of
from vifd.cli.client import Refused, port_path
from vifd.cli.plug import COLUMNS, WHOLE, Many, _row, id_of, warn


class Adopt(Many):
    """Take over ports that somebody else plugged, in place, without losing a frame.

    A port is found by the iface-id of its interface. The file holds its attachment document, as for
    "port plug"; --scan makes it of what is plugged on this host, --dry-run says of each port what
    would serve it.
    """

    # "-f" is the file here; the output format keeps its long form.
    conflict_handler = "resolve"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("ports", metavar="PORT", nargs="*", help="ids of ports in the file")
        parser.add_argument("--all", action="store_true", help="every port in the file")
        documents.add_option(parser, required=False)
        parser.add_argument(
            "-n", "--dry-run", action="store_true",
            help="say what would take each port over, and take none",
        )  # fmt: skip
        scan.add_options(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """A scan asks this host, and not the daemon."""
        return scan.run(parsed_args) if parsed_args.scan else super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        if not parsed_args.file:
            raise UsageError("give the documents with -f FILE, or have them made by --scan")
        chosen = self._chosen(documents.read(parsed_args.file))
        if parsed_args.dry_run:
            return self._would(chosen)
        items = self.send_all(chosen, "adopt", self._send)
        if parsed_args.formatter in ("json", "yaml"):
            return WHOLE, [[item.get(name) for name in WHOLE] for item in items]
        warn([(item["id"], item.get("port") or {}) for item in items])
        return COLUMNS, [_row(item) for item in items]

    def _chosen(self, docs: list[Any]) -> list[Any]:
        if bool(self.args.ports) == self.args.all and len(docs) != 1:
            raise UsageError("name ports of the file, or give --all")
        nameless = [doc for doc in docs if not id_of(doc)]
        if nameless:
            raise UsageError(f"{self.args.file}: a document has no port.id")
        if not self.args.ports:
            return docs
        known = {id_of(doc): doc for doc in docs}
        missing = [port for port in self.args.ports if port not in known]
        if missing:
            raise UsageError(f"{self.args.file}: there is no document of port {missing[0]}")
        return [known[port] for port in dict.fromkeys(self.args.ports)]

    def _would(self, docs: Sequence[Any]) -> tuple[Any, Any]:
        """What would serve each port, by what the daemon offers; nothing is changed."""
        rows = []
        for doc in docs:
            try:
                offer = self.client.call("POST", "/v1/offers", {"attachment": doc},
                                         {"timeout": self.timeout})  # fmt: skip
                best = offer["candidates"][0]
                rows.append((id_of(doc), f"{best['plugin']}/{best['vif_type']}", "-"))
            except Refused as refused:
                error = refused.error
                why = f"{error.get('code', '')}: {error.get('message', refused)}"
                rows.append((id_of(doc), "-", report.clean(why)))
                self.code = FAILED
        return ("port", "would be served by", "why not"), rows

    def _send(self, docs: Sequence[Any]) -> list[dict[str, Any]]:
        """One call for each: one that cannot be taken over is no reason to leave the next."""
        return [self._one(doc) for doc in docs]

    def _one(self, doc: Any) -> dict[str, Any]:
        port_id, params = id_of(doc), self.waiting("active")
        try:
            port = self.client.call("POST", port_path(port_id, "adopt"), doc, params)
        except Refused as refused:
            if not refused.error:
                raise
            return {"id": port_id, "status": code_of(refused.error), "error": refused.error}
        return {"id": port_id, "status": 200 if params else 202, "port": port}
