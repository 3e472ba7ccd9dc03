"""The one place that makes foreign text safe to show: in log lines, errors, tables and terminals.

Names come from users, reasons from plugins, rows from other programs. A newline in one forges a log
line, an escape sequence drives the terminal of whoever reads it, a mark of direction reorders what
he reads, and half a surrogate pair cannot be written at all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

#: Characters of one log message; a line is for a reader.
LONGEST_LINE = 16384
#: Characters of another's exception that are kept: it goes into answers, log lines and the journal.
MOST_SAID = 2000


def plain(text: object) -> str:
    """The text on one line, in characters that only stand for themselves; others are escaped as in
    Python. What is printable stays, in any script."""
    said = text if isinstance(text, str) else str(text)
    if said.isprintable():
        return said
    return "".join(c if c.isprintable() else _escaped(c) for c in said)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shown(text: str) -> str:
    """The same for who reads it at a terminal and copies nothing: a question mark is enough."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def plain_lines(text: str) -> str:
    """The same for a text of several lines that are our own: line breaks stay."""
    if text.isprintable():
        return text
    return "\n".join(plain(line) for line in text.split("\n"))


def said(error: BaseException) -> str:
    """The text of anybody's exception, or its beginning; some cannot say theirs, and fail otherwise
    in trying."""
    try:
        text = str(error)
        if len(text) > MOST_SAID:
            return f"{plain(text[:MOST_SAID])}… ({len(text) - MOST_SAID} more characters)"
        return plain(text)
    except BaseException:  # noqa: BLE001 - it is another's code
        return "(it cannot be told)"


def writable(value: Any, depth: int = 64) -> Any:
    """A JSON value in which every text can be written as UTF-8: half a surrogate pair is escaped,
    all else stays as it is, because JSON has its own way to write it.

    :param depth: of nesting; what lies deeper stays as it is
    """
    if isinstance(value, str):
        return value if _whole(value) else value.encode("utf-8", "backslashreplace").decode()
    if depth and isinstance(value, dict):
        return {writable(k, 0): writable(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list):
        return [writable(v, depth - 1) for v in value]
    return value


def _whole(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- the log --------------------------------------------------------------------------------------


class PlainRecord(logging.LogRecord):
    """A log record whose message is one line, whatever its arguments hold."""

    def getMessage(self) -> str:
        message = plain(super().getMessage())
        more = len(message) - LONGEST_LINE
        return message if more <= 0 else f"{message[:LONGEST_LINE]}… ({more} more)"


class PlainFormatter(logging.Formatter):
    """Another formatter, with what it adds (the exception, the stack) made safe line by line."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return plain_lines(self.inner.format(record))


def protect_log(handlers: Iterable[logging.Handler]) -> None:
    """From now on nothing in a log line is taken for anything else: of every logger, also those of
    libraries and plugins."""
    logging.setLogRecordFactory(PlainRecord)
    for handler in handlers:
        inner = handler.formatter or logging.Formatter()
        if not isinstance(inner, PlainFormatter):
            handler.setFormatter(PlainFormatter(inner))
