"""What this host could give a port, without plugging it."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from vifd.cli import documents, report
from vifd.cli.base import FAILED, OK, ApiList, UsageError
from vifd.cli.client import Refused
from vifd.cli.plug import warn
from vifd.cli.terminal import room

#: Characters of a line of reasons: they are sentences.
WIDTH = 78

NOTHING = "E_NEG_NO_COMMON_VIF"

#: What people get, what they may choose from and other formats get, and what programs get whole.
PAGE = ("candidate", "why")
PLAIN = ("port", "candidate", "versions", "answer", "why", "token")
WHOLE = ("port", "offer", "error")


class Reasons(FormattableColumn[Any]):
    """Why: a paragraph for people, one line elsewhere."""

    #: characters that the other columns of the page take, with its rules
    beside = 0

    def human_readable(self) -> str:
        width = room(self.beside, WIDTH)
        return "\n".join(_wrapped(line, width) for line in self._value) or "-"

    def machine_readable(self) -> str:
        return "; ".join(line.strip() for line in self._value)


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


class Offer(ApiList):
    """Show what could serve a port on this host, and why the rest cannot. Changes nothing.

    The file holds one document, a list, {"ports": [...]}, JSON lines or YAML, as for port plug.
    Fails where nothing can serve one of them.
    """

    waits = True
    may_not_wait = False
    # "-f" is the file here; the output format keeps its long form.
    conflict_handler = "resolve"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        documents.add_option(parser)
        parser.add_argument(
            "--accept",
            action="append",
            metavar="VIF[:MIN[-MAX]]",
            help="a VIF type or class that the network service takes, with its versions, e.g. "
            "VIFVHostUser:1.0-1.1; repeat it in order of preference (default: everything)",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        acceptable = [accepted(text) for text in parsed_args.accept or ()]
        docs = documents.read(parsed_args.file)
        answers = [self._ask(doc, acceptable, alone=len(docs) == 1) for doc in docs]
        self.code = FAILED if any(answer["error"] for answer in answers) else OK
        if parsed_args.formatter in ("json", "yaml"):
            return WHOLE, [[answer[name] for name in WHOLE] for answer in answers]
        warn([(report.clean(a["port"]) or "-", a["offer"] or {}) for a in answers])
        if parsed_args.formatter == "table" and not parsed_args.columns:
            return PAGE, page(answers)
        return PLAIN, [row for answer in answers for row in rows(answer)]

    def _ask(self, doc: Any, acceptable: list[Any], *, alone: bool) -> dict[str, Any]:
        """The offer, or the error object where there is none."""
        body = {"attachment": doc, **({"acceptable": acceptable} if acceptable else {})}
        port = str(_port(doc).get("id", ""))
        try:
            offer = self.client.call("POST", "/v1/offers", body, {"timeout": self.timeout})
        except Refused as refused:
            if alone and refused.error.get("code") != NOTHING:
                raise
            return {"port": port, "offer": None, "error": refused.error}
        return {"port": port, "offer": offer, "error": None}


def _port(doc: Any) -> dict[str, Any]:
    port = doc.get("port") if isinstance(doc, dict) else None
    return port if isinstance(port, dict) else {}


def accepted(text: str) -> dict[str, str]:
    """An entry of the network side's list.

    :raises UsageError: the text is none
    """
    name, colon, versions = text.partition(":")
    low, dash, high = versions.partition("-")
    if not name or (colon and not low) or (dash and not high):
        raise UsageError(f"--accept {text}: is not VIF[:MIN[-MAX]]")
    entry = {"vif_class" if name.startswith("VIF") else "vif_type": name}
    entry |= {"min_version": low} if low else {}
    return entry | ({"max_version": high} if high else {})


def page(answers: Sequence[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """The table for people, narrow enough for a terminal; of one port it is not said which."""
    found: list[tuple[str, Any]] = []
    for answer in answers:
        if len(answers) > 1:
            found.append((report.clean(answer["port"]) or "-", ""))
        for _, name, versions, said, why, _ in rows(answer):
            who = f"{name}: {said}" if name != "-" else said
            found.append((f"{who}\n{versions}".rstrip(), why))
    first = max(len(line) for cell, _ in found for line in cell.split("\n"))
    for _, why in found:
        if isinstance(why, Reasons):
            why.beside = first + 7
    return found


def rows(answer: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """An answer as lines of the table: those that can, the best first, then the others."""
    port, offer, error = answer["port"], answer["offer"], answer["error"]
    if offer is not None:
        for place, one in enumerate(offer["candidates"]):
            said = "usable" if place else "chosen"
            yield port, _name(one), _versions(one), said, Reasons(_notes(one)), one["token"]
        for one in offer["refused"]:
            yield port, _name(one), "", "refused", Reasons(_why(one["error"], one["also"])), ""
        return
    for one in error.get("candidates") or [error]:
        name = _name(one.get("facts") or {}) if "candidates" in error else "-"
        yield port, name, "", "refused", Reasons(_why(one, ())), ""


def _repeats(value: Any, sentence: str) -> bool:
    """Whether a fact is nothing, or itself a sentence that was said."""
    return value is None or (isinstance(value, str) and " " in value and value in sentence)


def _name(one: dict[str, Any]) -> str:
    parts = (one.get("plugin"), one.get("vif_type"))
    return report.clean("/".join(str(part) for part in parts if part)) or "-"


def _versions(one: dict[str, Any]) -> str:
    profile = f"{one['port_profile']} {one['port_profile_version']}"
    kind = f"{one['vif_class']['name']} {one['version']}"
    return f"{report.clean(kind)}\n{report.clean(profile)}"


def _notes(one: dict[str, Any]) -> list[str]:
    """What should be known of one that can."""
    health = "" if one["health"] == "ready" else f"{one['health']}: "
    reasons = [health + text for text in one["reasons"] or [""]]
    said = [report.clean(text) for text in (*reasons, *one["notes"]) if text]
    open_ = [entry for entry in one["enforcement"] if entry.get("level") == "none"]
    lacking = [entry for entry in open_ if entry.get("requested") not in (None, False)]
    return said + [report.enforcement_line(entry) for entry in lacking]


def _why(error: dict[str, Any], also: Any) -> list[str]:
    """The reasons against one that cannot, with what was wanted and what helps."""
    facts = dict(error.get("facts") or {})
    more = facts.pop("also", [])
    said = report.error_line(error)
    lines = [said]
    lines += [
        f"  {report.clean(str(name))} = {report.flat(value)}"
        for name, value in facts.items()
        if name not in ("plugin", "vif_type", "reason") and not _repeats(value, said)
    ]
    lines += [f"also {report.error_line(other)}" for other in also]
    lines += [f"also {report.clean(str(text))}" for text in more]
    if error.get("remediation"):
        lines.append(f"hint: {report.clean(str(error['remediation']))}")
    return lines
