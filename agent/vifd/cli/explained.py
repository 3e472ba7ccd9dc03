"""An explanation as a page for people. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from vifd.cli import families
from vifd.cli.report import clean, when
from vifd.safety.plain import plain_lines

_SIGNS = {"ok": "✓", "broken": "✗", "unknown": "?", "not reached": "·"}
_COLOURS = {"ok": "32", "broken": "31", "unknown": "33", "not reached": "2"}
#: Of a page that nobody reads on a terminal, and of a wide one.
WIDTH = 100
_NAME = 8
#: The most lines of a broken step; others get half of that.
_LINES = 6
#: So much of the past is on the page.
_PAST = 3


def page(found: Mapping[str, Any], *, colours: bool = False, width: int = WIDTH) -> str:
    """The whole answer: who, the verdict, every step, what happened before.

    :param found: what the API answers
    :param colours: for a terminal
    :param width: characters of a line
    """
    paint = _paint if colours else _plain
    lines = [*_head(found, width), ""]
    lines += _verdict(found, paint, width)
    lines += ["", *_steps(found, paint, width)]
    lines += _trunk(found, width)
    lines += _history(found, width)
    return clean_but_colours("\n".join(lines)) + "\n"


def clean_but_colours(text: str) -> str:
    """Without control characters other than those of colours and line ends."""
    return "\x1b".join(plain_lines(part) for part in text.split("\x1b"))


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _plain(text: str, _colour: str) -> str:
    return text


def _head(found: Mapping[str, Any], width: int) -> Iterator[str]:
    name = f" ({found['name']})" if found.get("name") else ""
    yield from textwrap.wrap(_safe(f"port {found['port']}{name}"), width)
    state = f"{found['status']} ({found['phase']}, role {found['role']})"
    device = f", device {found['device']}" if found.get("device") else ""
    yield from textwrap.wrap(_safe(f"{state}, plugin {found['plugin']}{device}"), width)


def _safe(text: Any) -> str:
    """A text of others: it shall not bring colours of its own."""
    return clean(str(text))


def _verdict(found: Mapping[str, Any], paint: Any, width: int) -> Iterator[str]:
    healthy = found["healthy"]
    word, colour = ("nothing broken", "32;1") if healthy else ("broken", "31;1")
    label = paint(word, colour)
    yield from _item(label, len(word), found["sentence"], width)
    if found.get("action"):
        yield from _item("vifd", 4, found["action"], width)
    if found.get("hint"):
        yield from _item("you", 3, found["hint"], width)
    yield from _item("read", 4, _read(found), width)


def _read(found: Mapping[str, Any]) -> str:
    if found["asked"]:
        return "from the host, just now; nothing was changed"
    if found["read_at"] is None:
        return f"nothing: {found['unasked']}, and there is no earlier report"
    age = f"{_ago(found['age'])} old ({when(found['read_at'])})"
    return f"the host was not asked: {found['unasked']}. The last report is {age}"


def _item(label: str, taken: int, text: Any, width: int) -> Iterator[str]:
    """A labelled paragraph; of the label ``taken`` characters are seen, colours are not."""
    column = 16
    first, *more = textwrap.wrap(_safe(text), width - column) or [""]
    yield label + " " * max(1, column - taken) + first
    yield from (" " * column + line for line in more)


def _steps(found: Mapping[str, Any], paint: Any, width: int) -> Iterator[str]:
    for step in found["steps"]:
        state, name = step["state"], step["name"]
        sign = paint(_SIGNS.get(state, "?"), _COLOURS.get(state, "0"))
        first = name == found["broken"]
        because = f" (because of {step['because']})" if step.get("because") else ""
        text = _safe(step["sentence"]) + because
        most = _LINES if state == "broken" else _LINES // 2
        head, *more = _lines(text, width - _NAME - 6, most)
        yield f"{'→' if first else ' '} {sign} {name:<{_NAME}} {head}"
        yield from (" " * (_NAME + 5) + line for line in more)


def _trunk(found: Mapping[str, Any], width: int) -> Iterator[str]:
    # absent in the answer of a daemon that is older than this command
    told = [*families.lines(found.get("trunk"))]
    if told:
        yield from ("", "trunk:")
    for text in told:
        head, *more = _lines(_safe(text), width - 4, 3)
        yield f"  {head}"
        yield from (" " * 4 + line for line in more)


def _history(found: Mapping[str, Any], width: int) -> Iterator[str]:
    if found["history"]:
        yield ""
        yield "before:"
    for item in found["history"][:_PAST]:
        lasted = item.get("lasted")
        end = "not over yet" if lasted is None else f"over after {_ago(lasted)}"
        told = f"({item['event']}, {end}) {item['text']}"
        head, *more = _lines(_safe(told), width - 28, 2)
        yield f"  {when(item['at'])}  {head}"
        yield from (" " * 28 + line for line in more)


def _lines(text: str, width: int, most: int) -> list[str]:
    """A text in lines, cut where it is too long for a page; ``-f json`` has all of it."""
    return textwrap.wrap(text, width, max_lines=most, placeholder=" …") or [""]


def _ago(seconds: float) -> str:
    """A span of time in the unit that fits."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            shown = f"{seconds / unit:.1f}" if seconds < 10 * unit else f"{seconds / unit:.0f}"
            return f"{shown} {name}"
    return f"{seconds / 86400:.0f} days"
