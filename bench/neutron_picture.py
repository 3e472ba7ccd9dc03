"""Draws what ``bench/neutron.py`` measured, for the README: one bar for each agent, seconds in a
logarithmic scale. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, BAR = 760, 230, 90, 13
_COLOURS = {"vifd": "#1f7a4d", "stock": "#9aa0a6"}
#: What is shown, where it was measured: a part of its name.
SHOWN = (": first flow", ": ACTIVE", "restart with", "rule with")


def drawn(
    measured: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], load: str
) -> str:  # fmt: skip
    """An SVG of the medians.

    :param measured: by firewall, by agent, by what was done: seconds
    """
    rows = [
        (f"{what} ({firewall})", {n: statistics.median(t[what]) for n, t in agents.items()})
        for firewall, agents in measured.items()
        for what in agents["vifd"]
        if any(part in what for part in SHOWN) and "CPU" not in what and "first port" not in what
    ]
    height = 62 + len(rows) * (2 * BAR + 12)
    values = [value for _, row in rows for value in row.values()]
    low = 10 ** math.floor(math.log10(max(min(values), 0.001)))
    high = 10 ** math.ceil(math.log10(max(values)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="15">One Neutron server: vifd and the stock agent</text>',
        f'<text x="10" y="38" fill="#555">seconds, logarithmic; less is better; load {escape(load)}'
        "</text>",
    ]
    parts += _legend()
    for number, (what, row) in enumerate(rows):
        top = 54 + number * (2 * BAR + 12)
        parts.append(
            f'<text x="{LEFT - 8}" y="{top + BAR + 4}" text-anchor="end">{escape(what)}</text>'
        )
        for index, name in enumerate(("vifd", "stock")):
            parts += _bar(row[name], low, high, top + index * BAR, _COLOURS[name])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    made = []
    for index, (name, colour) in enumerate(_COLOURS.items()):
        x = WIDTH - 180 + index * 80
        made.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/>')
        made.append(f'<text x="{x + 17}" y="20">{name}</text>')
    return made


def _bar(value: float, low: float, high: float, top: float, colour: str) -> list[str]:
    share = math.log10(max(value, low) / low) / math.log10(high / low)
    width = max(2.0, share * (WIDTH - LEFT - RIGHT))
    text = f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
    return [
        f'<rect x="{LEFT}" y="{top}" width="{width:.0f}" height="{BAR - 2}" fill="{colour}"/>',
        f'<text x="{LEFT + width + 5:.0f}" y="{top + BAR - 3}" font-size="11">{text}</text>',
    ]
