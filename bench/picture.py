"""The picture of the bench: one plug beside more and more ports, on two logarithmic scales.

``python bench/picture.py`` draws it anew. Written as SVG by hand: a dozen lines and their names are
no reason for a plotting library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from report import RESULTS

PICTURE = Path(__file__).parent.parent / "docs" / "plug-time.svg"
COLOURS = {"vifd": "#1f5fbf", "floor": "#7a7a7a", "os-vif": "#c25b1a"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 420, 64, 150, 44, 52
_TITLE = re.compile(r"one plug, (\d+) ports present( on one network)?$")
#: Where the medians stand in a row of the table.
_COLUMNS = {"vifd": 3, "floor": 5, "os-vif": 7}

#: By who plugs, and whether all ports are on one network: (ports present, milliseconds).
Lines = Mapping[tuple[str, bool], Sequence[tuple[int, float]]]


def lines(table: str) -> dict[tuple[str, bool], list[tuple[int, float]]]:
    """What the picture is drawn from: the lines of bench/RESULTS.md about one plug."""
    found: dict[tuple[str, bool], list[tuple[int, float]]] = {}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        match = _TITLE.match(cells[0])
        for name, column in _COLUMNS.items() if match else ():
            if match is not None and cells[column] not in ("", "-"):
                key = name, match[2] is not None
                found.setdefault(key, []).append((int(match[1]), float(cells[column])))
    return {key: sorted(points) for key, points in found.items()}


class Scale:
    """A logarithmic axis over whole decades.

    :param first: pixels of its lower end
    :param last: of its upper end
    """

    def __init__(self, values: Iterable[float], first: float, last: float) -> None:
        logs = [math.log10(value) for value in values]
        self.low = math.floor(min(logs))
        self.high = max(math.ceil(max(logs)), self.low + 1)
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        """Where a value is."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._first + share * (self._last - self._first)

    def marks(self) -> list[tuple[float, bool]]:
        """Values with a line, and whether they are named."""
        return [
            (step * 10.0**decade, step in (1, 2, 5))
            for decade in range(self.low, self.high)
            for step in range(1, 10)
        ] + [(10.0**self.high, True)]


def svg(found: Lines) -> str:
    """The picture."""
    points = [point for line in found.values() for point in line]
    across = Scale((present for present, _ in points), _LEFT, _WIDTH - _RIGHT)
    up = Scale((took for _, took in points), _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img">',
        "<title>One plug beside ports that are present: vifd, its floor, os-vif</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 20, "One plug, milliseconds (median)", 'font-size="14"'),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, "ports present", 'text-anchor="middle"'),
    ]
    for value, named in across.marks():
        x = across.at(value)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, named))
        if named:
            parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{value:g}", 'text-anchor="middle"'))
    for value, named in up.marks():
        y = up.at(value)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, named))
        if named:
            parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", 'text-anchor="end"'))
    for (name, one), line in sorted(found.items()):
        parts += _series(name, line, across, up, one=one)
    parts += _legend(found)
    return "\n".join([*parts, "</svg>", ""])


def _series(
    name: str, line: Sequence[tuple[int, float]], across: Scale, up: Scale, *, one: bool
) -> list[str]:
    places = [(across.at(present), up.at(took)) for present, took in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashes = ' stroke-dasharray="6 4"' if one else ""
    colour = COLOURS[name]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places),
    ]


def _legend(found: Lines) -> list[str]:
    parts = []
    for index, (name, one) in enumerate(sorted(found)):
        x, y = _WIDTH - _RIGHT + 12, _TOP + 14 + 20 * index
        dashes = ' stroke-dasharray="6 4"' if one else ""
        parts.append(
            f'<path d="M{x} {y - 4}h24" stroke="{COLOURS[name]}" stroke-width="2"{dashes}/>'
        )
        parts.append(_text(x + 30, y, f"{name}, one net" if one else name))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, named: bool) -> str:
    colour = "#d0d0d0" if named else "#eeeeee"
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more} fill="#222222">{text}</text>'


def keep() -> None:
    """Draw docs/plug-time.svg from bench/RESULTS.md."""
    PICTURE.write_text(svg(lines(RESULTS.read_text())))


if __name__ == "__main__":
    keep()
