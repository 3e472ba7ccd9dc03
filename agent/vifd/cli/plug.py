"""Plug ports, one or many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vifd.cli import documents, report
from vifd.cli.base import FAILED, OK, TIMED_OUT, ApiList, UsageError, code_of
from vifd.cli.client import port_path
from vifd.cli.progress import Progress

#: Ports in one call: large enough for the daemon to batch, small enough to show progress.
CHUNK = 50
#: Errors that are explained in full; the table names them all.
EXPLAINED = 10

#: What programs get of each port, and what people get.
WHOLE = ("id", "status", "port", "error")
COLUMNS = ("id", "name", "status", "phase", "device", "choice", "not chosen", "error")

Send = Callable[[Sequence[Any]], list[dict[str, Any]]]


class Many(ApiList):
    """A command for many ports."""

    waits = True

    def send_all(
        self, things: Sequence[Any], verb: str, send: Send, size: int = CHUNK
    ) -> list[dict[str, Any]]:
        """Send in chunks with a progress bar; what became of each port.

        :param size: of a chunk
        """
        items: list[dict[str, Any]] = []
        with Progress(len(things), verb) as progress:
            for chunk in _chunks(things, size):
                items += send(chunk)
                progress.update(len(items))
        self.judge([item["error"] for item in items if item.get("error")])
        return items

    def judge(self, failures: list[dict[str, Any]]) -> None:
        """Explain failures to people and set the exit code."""
        codes = {code_of(error) for error in failures}
        self.code = OK if not codes else codes.pop() if codes == {TIMED_OUT} else FAILED
        if self.args.formatter in ("json", "yaml"):
            return
        for error in failures[:EXPLAINED]:
            sys.stderr.write(report.error_text(error))
        if len(failures) > EXPLAINED:
            sys.stderr.write(f"vifctl: and {len(failures) - EXPLAINED} errors more\n")


class PortPlug(Many):
    """Plug ports from attachment documents, or change plugged ports in place.

    The file holds one document, a list, {"ports": [...]}, JSON lines or YAML.
    """

    # "-f" is the file here; the output format keeps its long form.
    conflict_handler = "resolve"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        documents.add_option(parser)
        parser.add_argument(
            "--token",
            help="of an offer: take just that candidate, if the host is still as it was then",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        docs = documents.read(parsed_args.file)
        if parsed_args.token is not None and len(docs) != 1:
            raise UsageError("--token belongs to one port; the file has several")
        only = id_of(docs[0]) if len(docs) == 1 else ""
        items = [self._one(only, docs[0])] if only else self.send_all(docs, "plug", self._send)
        if parsed_args.formatter in ("json", "yaml"):
            return WHOLE, [[item.get(name) for name in WHOLE] for item in items]
        warn([(item["id"], item.get("port") or {}) for item in items])
        return COLUMNS, [_row(item) for item in items]

    def _one(self, port_id: str, document: Any) -> dict[str, Any]:
        """A call of its own: its errors name the fields of the document."""
        params = self.waiting("active")
        given = {**params, "token": self.args.token}
        port = self.client.call("PUT", port_path(port_id), document, given)
        return {"id": port_id, "status": 200 if params else 202, "port": port}

    def _send(self, docs: Sequence[Any]) -> list[dict[str, Any]]:
        body = {"ports": list(docs)}
        answer = self.client.call("POST", "/v1/ports:plug", body, self.waiting("active"))
        found: list[dict[str, Any]] = answer["ports"]
        return found


def warn(answers: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Tell people what of their documents was not read, or is probably not meant."""
    noted = sys.stderr.isatty()
    said = [
        f"port {port}: {text}"
        for port, one in answers
        for text in report.warnings(one, noted=noted)
    ]
    for line in said[:EXPLAINED]:
        sys.stderr.write(f"vifctl: {line}\n")
    if len(said) > EXPLAINED:
        sys.stderr.write(f"vifctl: and {len(said) - EXPLAINED} remarks more; see port show\n")


def _chunks(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def id_of(document: Any) -> str:
    """The port's id, where the document has a usable one."""
    port = document.get("port") if isinstance(document, dict) else None
    found = port.get("id") if isinstance(port, dict) else None
    return found if isinstance(found, str) else ""


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    port, error = item.get("port"), item.get("error")
    if port is None:
        return (report.clean(item["id"]), "", "", "", "", "", "", (error or {}).get("code", ""))
    name = report.clean(port["document"]["port"].get("name", ""))
    choice = report.clean(f"{port['plugin']}/{port['vif_type']}")
    lost = "\n".join(map(report.clean, _lost(port.get("selection") or {})))
    return (item["id"], name, port["status"], port["phase"], port["device"], choice, lost, "")


def _lost(selection: dict[str, Any]) -> Iterator[str]:
    """Who could not serve the port; port show says why in full."""
    for one in selection.get("refused") or ():
        code = (one.get("error") or {}).get("code")
        yield f"{one.get('plugin')}/{one.get('vif_type')} {code}"
