"""Ports: look at them, check them, open and close them."""

from __future__ import annotations

import argparse
from typing import Any

from cliff.columns import FormattableColumn

from vifd.cli import families, finding, fitting, report
from vifd.cli.base import ApiList, ApiShow, Lines
from vifd.cli.client import Refused, Unreachable, port_path
from vifd.cli.countlines import lines

PORT_HELP = "the port: its id or the beginning of it, name, device, MAC or IP address"
_FIELDS = "id,status,phase,device,error,document"
COLUMNS = ("id", "name", "status", "phase", "device", "network", "instance", "error")


#: What a table has that fits into 80 characters, and what goes first where it does not.
SHORT = ("id", "name", "status", "phase", "device", "error")
_DROP = ("phase", "device")
#: Seconds that a look at a port waits for its counters to be read.
_COUNTED = 1.0


class PortList(ApiList):
    """List the ports of this host.

    The table is 80 characters wide and ids are shortened to what tells them apart; --long shows
    everything, and so do -c and the other formats.
    """

    watchable = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for name in ("phase", "status", "plugin", "network", "instance"):
            parser.add_argument(f"--{name}", help=f"only ports with this {name}")
        parser.add_argument("--long", action="store_true", help="whole ids and every column")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        names = ("phase", "status", "plugin", "network", "instance")
        filters = {name: getattr(parsed_args, name) for name in names}
        for name in ("phase", "status"):
            filters[name] = filters[name] and filters[name].upper()
        answer = self.client.call("GET", "/v1/ports", params={**filters, "fields": _FIELDS})
        rows = [row(port) for port in answer["ports"]]
        if parsed_args.long or parsed_args.columns or parsed_args.formatter != "table":
            return COLUMNS, rows
        return _short(rows)


def _short(rows: list[tuple[str, ...]]) -> tuple[Any, Any]:
    """The table for a glance; no error means no column for it."""
    ids = fitting.short_ids([r[0] for r in rows])
    chosen = [n for n in SHORT if n != "error" or any(r[COLUMNS.index(n)] for r in rows)]
    cells = [
        [short, *(r[COLUMNS.index(name)] for name in chosen[1:])]
        for short, r in zip(ids, rows, strict=True)
    ]
    return fitting.fitted(chosen, cells, give="name", drop=_DROP)


def row(port: dict[str, Any]) -> tuple[str, ...]:
    """A port as a line of the list."""
    document = port["document"]
    return (
        port["id"],
        report.clean(document["port"].get("name", "")),
        port["status"],
        port["phase"],
        port["device"],
        (document.get("network") or {}).get("id", ""),
        (document.get("instance") or {}).get("id", ""),
        (port["error"] or {}).get("code", ""),
    )


class Facts(FormattableColumn[Any]):
    """Evidence: marked lines for people, objects for programs."""

    def human_readable(self) -> str:
        return report.evidence_lines(self._value)


class EnforcementColumn(FormattableColumn[Any]):
    """The enforcement report: marked lines for people, objects for programs."""

    def human_readable(self) -> str:
        return report.enforcement_lines(self._value)


class ErrorColumn(FormattableColumn[Any]):
    """An error object: a line for people, the object for programs."""

    def human_readable(self) -> str:
        return report.error_line(self._value) or "-"


class OnePort(ApiShow):
    """A command that answers with one port."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help=PORT_HELP)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        port = self.fetch(finding.one(self.client, parsed_args.port))
        if not self.for_people:
            return tuple(port), tuple(port.values())
        columns: dict[str, Any] = dict(report.port_summary(port))
        for name, facts in report.sections(port["evidence"]).items():
            columns[name] = Facts(facts)
        columns["findings"] = Facts(port["findings"])
        # absent in the answer of a daemon that is older than this command
        columns["enforced"] = EnforcementColumn(port.get("enforcement") or [])
        if trunk := [*families.lines(port.get("trunk"))]:
            columns["trunk"] = Lines("\n".join(trunk))
        if (counted := self.counted(port)) is not None:
            columns["counted"] = Lines(lines(counted))
        columns["error"] = ErrorColumn(port["error"])
        return tuple(columns), tuple(columns.values())

    def fetch(self, port_id: str) -> dict[str, Any]:
        """The port as the API answers it."""
        raise NotImplementedError

    def counted(self, port: dict[str, Any]) -> dict[str, Any] | None:
        """What became of its frames, where that is shown."""
        del port
        return None


class PortShow(OnePort):
    """Show a port: what is wanted, what was read back, and what differs."""

    watchable = True

    def fetch(self, port_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.call("GET", port_path(port_id))
        return found

    def counted(self, port: dict[str, Any]) -> dict[str, Any] | None:
        try:
            path, params = port_path(port["id"], "counters"), {"timeout": _COUNTED}
            found: dict[str, Any] = self.client.call("GET", path, params=params)
        # a daemon older than this command, a port that waits for a part, or a bundle
        except (Refused, Unreachable):
            return None
        return found


class PortCheck(OnePort):
    """Read a port back now and show it. Fails where something is not as wanted."""

    waits = True
    may_not_wait = False

    def fetch(self, port_id: str) -> dict[str, Any]:
        path = port_path(port_id, "check")
        port: dict[str, Any] = self.client.call("POST", path, params={"timeout": self.timeout})
        self.code = 1 if port["findings"] else 0
        return port


class PortActivate(OnePort):
    """Open the traffic of a port."""

    waits = True
    verb, wanted = "activate", "active"

    def fetch(self, port_id: str) -> dict[str, Any]:
        path = port_path(port_id, self.verb)
        found: dict[str, Any] = self.client.call("POST", path, params=self.waiting(self.wanted))
        return found


class PortDeactivate(PortActivate):
    """Close the traffic of a port and keep everything else."""

    verb, wanted = "deactivate", "inactive"
