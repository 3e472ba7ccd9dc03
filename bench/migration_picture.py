"""Draws the timelines of ``bench/migration.py``: one line per migration, milliseconds after the
guest stopped on the source. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from support.moving.figures import Figures

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 190, 30, 16, 66
_MARKS = {
    "asked": "#8a63d2", "opened": "#1f7a4d", "announced": "#1f5fbf",
    "destination resumed": "#c25b1a", "recorded": "#9aa0a6",
}  # fmt: skip


def drawn(every: Sequence[Figures]) -> str:
    """An SVG."""
    alive = [one for one in every if not one.dead]
    ends = [at for one in alive for _, at in one.timeline]
    low, high = max(-100.0, min([0.0, *ends])), min(1000.0, max([100.0, *ends]))
    scale = (_WIDTH - _LEFT - _RIGHT) / (high - low)

    def across(at: float) -> float:
        return _LEFT + (max(low, min(at, high)) - low) * scale

    height = _TOP + len(alive) * _ROW + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        "<title>Live migrations: when the port was opened, and when the guest answered</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="15">Live migration, milliseconds after the guest '
        "stopped on the source</text>",
        '<text x="10" y="38" fill="#555">grey: nobody got an answer</text>',
    ]
    x = 220
    for name, colour in _MARKS.items():
        parts.append(f'<circle cx="{x}" cy="34" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 8}" y="38">{name}</text>')
        x += 24 + 7 * len(name)
    bottom = _TOP + len(alive) * _ROW
    step = 50 if high - low <= 600 else 100
    for value in range(int(low // step) * step, int(high) + 1, step):
        if low <= value:
            at = f"{across(value):.1f}"
            parts.append(f'<path d="M{at} {_TOP - 12}V{bottom}" stroke="#ddd"/>')
            parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{value}</text>')
    for number, one in enumerate(alive):
        parts += _line(one, _TOP + number * _ROW, across)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(one: Figures, y: float, across: Callable[[float], float]) -> list[str]:
    """One migration."""
    known = dict(one.timeline)
    begin, end = known["last answer"], known["next answer"]
    parts = [
        f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{one.kind}, {one.how}</text>',
        f'<rect x="{across(begin):.1f}" y="{y - 5}" width="{across(end) - across(begin):.1f}" '
        'height="10" fill="#e3e5e8"/>',
    ]
    for name, colour in _MARKS.items():
        if name in known:
            parts.append(f'<circle cx="{across(known[name]):.1f}" cy="{y}" r="4" fill="{colour}"/>')
    return parts
