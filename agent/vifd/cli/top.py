"""``vifctl port top``: which ports have traffic, and how much."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from vifd.cli import counters, fitting, refusals, report, switchrows, watching
from vifd.cli.base import OK, ApiList, UsageError
from vifd.cli.client import Refused
from vifd.cli.counters import Rate

_FIELDS = "id,status,phase,device,vif,document"
#: What a table has; the other formats have whole numbers and everything.
COLUMNS = (
    "id", "name", "status", "sent", "frames out", "received", "frames in", "lost", "refused",
)  # fmt: skip
WHOLE = (
    "id", "name", "status", "device", *Rate._fields, *counters.Count._fields, "refused",
    *refusals.COLUMNS,
)  # fmt: skip
#: What is left out where a line is too narrow, in this order.
_DROPPED = ("status", "lost", "frames in", "frames out")
#: Seconds that the daemon has to read what it counts of all ports; then its last reading has to do.
_PATIENCE = 5
_SORTS: dict[str, Callable[[Rate], float]] = {
    "total": lambda r: r.bits_out + r.bits_in, "sent": lambda r: r.bits_out,
    "received": lambda r: r.bits_in, "lost": lambda r: r.lost,
    "frames": lambda r: r.frames_out + r.frames_in,
}  # fmt: skip


class PortTop(ApiList):
    """Show the ports with the most traffic, from the counters of kernel and switch.

    Seen from the guest: what it sends and what it receives, per second. Lost is what its device
    had no room for, refused what filters, groups and limits dropped, with the most frequent reason
    ("vifctl port counters" has all of them). Goes on until Ctrl-C.
    """

    looks_here = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--interval", metavar="SECONDS", type=_interval, default=watching.EVERY,
            help=f"between two looks (default: {watching.EVERY:g})",
        )  # fmt: skip
        parser.add_argument("--once", action="store_true", help="one table, then end")
        parser.add_argument(
            "--rows", metavar="N", type=int, help="so many ports (default: what fits)"
        )
        parser.add_argument(
            "--by",
            choices=(*_SORTS, "refused"),
            default="total",
            help="what to sort by (default: total)",
        )
        parser.add_argument(
            "--ovsdb", metavar="PATH", default=switchrows.DATABASE,
            help=f"the switch's database, for vhost-user ports (default: {switchrows.DATABASE})",
        )  # fmt: skip
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Look, wait, look again; the difference is a table."""
        self._before: dict[str, counters.Count] | None = None
        self._told: dict[str, Mapping[str, Any]] = {}
        self._at = 0.0
        if parsed_args.formatter == "table" and not parsed_args.once:
            return watching.forever(lambda: self._once(parsed_args), 0.0)
        if not parsed_args.once:
            raise SystemExit(_say("a format for programs needs --once"))
        return self._once(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        ports = self._read()
        if self._before is None:
            self._keep(ports)
        time.sleep(parsed_args.interval)
        before, told, at = self._before or {}, self._told, self._at
        ports = self._read()
        self._keep(ports)
        found = counters.rates(before, self._before or {}, self._at - at)
        self._became = {i: refusals.between(told.get(i), now) for i, now in self._told.items()}
        # of a port without a device, as of a trunk's sub-port, the daemon alone knows
        found |= {i: refusals.rate(each) for i, each in self._became.items() if i not in found}
        order = sorted(ports, key=lambda p: (-self._weight(parsed_args.by, found, p), p["id"]))
        most = parsed_args.rows or watching.rows_that_fit()
        self.code = OK
        if parsed_args.formatter != "table" or parsed_args.columns:
            return WHOLE, [self._whole(port, _of(found, port)) for port in order]
        ids = fitting.short_ids([str(p["id"]) for p in order])
        rows = [
            _row(i, p, found.get(p["id"]), self._refused(p))
            for i, p in zip(ids, order[:most], strict=False)
        ]
        return fitting.fitted(list(COLUMNS), rows, give="name", drop=_DROPPED)

    def _refused(self, port: dict[str, Any]) -> refusals.Refused | None:
        """``None`` where nobody counts that."""
        became = self._became.get(port["id"])
        return None if became is None else refusals.refused(became)

    def _weight(self, by: str, found: dict[str, Rate], port: dict[str, Any]) -> float:
        if by == "refused":
            refused = self._refused(port)
            return refused.total if refused is not None else 0.0
        return _SORTS[by](_of(found, port))

    def _read(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.call(
            "GET", "/v1/ports", params={"fields": _FIELDS}
        )["ports"]
        return found

    def _keep(self, ports: list[dict[str, Any]]) -> None:
        try:
            self._before = counters.read(ports, self.args.ovsdb)
        except OSError as error:
            raise UsageError(f"no counters can be read: {error}") from error
        self._at = time.monotonic()
        try:
            params = {"timeout": _PATIENCE}
            told = self.client.call("GET", "/v1/counters", params=params)["ports"]
        except Refused:  # an older daemon
            told = []
        self._told = refusals.by_port(told)

    def _whole(self, port: dict[str, Any], rate: Rate) -> tuple[Any, ...]:
        zero = counters.Count(*([0] * len(counters.Count._fields)))
        count = (self._before or {}).get(port["id"], zero)
        became = self._became.get(port["id"], {})
        return (
            port["id"], _name(port), port["status"], port["device"], *rate, *count,
            refusals.refused(became).total, *refusals.whole(became),
        )  # fmt: skip


def _of(found: dict[str, Rate], port: dict[str, Any]) -> Rate:
    return found.get(port["id"], Rate(0.0, 0.0, 0.0, 0.0, 0.0))


def _name(port: dict[str, Any]) -> str:
    return report.clean(str(port["document"]["port"].get("name", "")))


def _row(
    short: str, port: dict[str, Any], rate: Rate | None, refused: refusals.Refused | None = None
) -> list[str]:
    there = refused is not None and refused.total > 0
    why = f"{number(refused.total)} {refused}" if refused is not None and there else "-"
    if rate is None:  # nobody counts it
        return [short, _name(port), port["status"], *("-" * 5), why]
    return [
        short, _name(port), port["status"], bits(rate.bits_out), number(rate.frames_out),
        bits(rate.bits_in), number(rate.frames_in), number(rate.lost) if rate.lost else "-", why,
    ]  # fmt: skip


def bits(value: float) -> str:
    """Bits per second as people say them."""
    return f"{number(value)}bit/s" if value >= 1000 else f"{value:.0f} bit/s"


def number(value: float) -> str:
    """Three figures and a prefix."""
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}" if prefix else f"{value:.0f}"
        value /= 1000
    return f"{value:.3g} T"


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError("must be seconds from 0.1 to 600")
    return value


def _say(text: str) -> int:
    sys.stderr.write(f"vifctl: {text}\n")
    return 2
