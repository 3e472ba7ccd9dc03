"""A fast parser for what ovsdb-server sends, where the ``ovs`` package lacks its C extension.

The package's own parser in Python takes each character by itself, 8 ms for 20 KB. This one has the
standard library parse a message as a whole and say where it ends, where all of it is there: 0.2 ms;
else it finds the end by the brackets, with one match of a regular expression per bracket: 1.2 ms.
Whatever is malformed, or unusual enough that the two could differ, goes through the package's
parser, so that results and errors are its.
"""

from __future__ import annotations

import json
import re
from typing import Any

import ovs.json

#: Deepest nesting, the limit of the package's parser.
MAX_HEIGHT = 1000

#: Up to the next bracket; strings are skipped, a string that does not end here stops it as well.
#: No possessive quantifiers: nested, they match wrongly before Python 3.11.5 (cpython #106052).
_TO_BRACKET = re.compile(r'[^"{}\[\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}\[\]]*)*', re.DOTALL)
#: The rest of a string, without its closing quote.
_IN_STRING = re.compile(r"[^\"\\]*(?:\\.[^\"\\]*)*", re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
#: Null bytes, surrogates, and numbers beyond 63 bits.
_UNUSUAL = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|[\[,:]\s*-?\d{19}")

_SlowParser: Any = ovs.json.Parser


def slow_parser(*, check_trailer: bool = False) -> Any:
    """The package's own parser in Python, whatever is installed."""
    parser = object.__new__(_SlowParser)
    _SlowParser.__init__(parser, check_trailer)
    return parser


class _UnusualNumber(ValueError):
    """A number whose value the two parsers may write differently."""


def _unusual(text: str) -> Any:
    raise _UnusualNumber(text)


_decoder = json.JSONDecoder(parse_float=_unusual, parse_constant=_unusual)


class StreamParser(_SlowParser):  # type: ignore[misc]
    """The part of ``ovs.json.Parser`` that a connection uses.

    Feed it text until it is done: it takes one message and leaves the rest. An error that is not
    about brackets shows at the end of its message, not in its middle. Whole texts
    (``check_trailer``) stay with the package's parser, of which this is a subclass because the
    package looks its own methods up by the name that is replaced.
    """

    def __new__(cls, check_trailer: bool = False) -> Any:
        return slow_parser(check_trailer=True) if check_trailer else object.__new__(cls)

    def __init__(self, check_trailer: bool = False) -> None:
        self._pieces: list[str] = []
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._started = False
        self._broken = False
        self._done = False
        #: whether the message was parsed already, and what it is then
        self._parsed = False
        self._value: Any = None

    def is_done(self) -> bool:
        """Whether the message is complete, or cannot become one."""
        return self._done

    def feed(self, text: str) -> int:
        """Take text up to the end of the message, and return how many characters were taken."""
        if self._done:
            return 0
        end = self._scan(text) if self._started or self._pieces else self._whole(text)
        self._pieces.append(text[:end])
        return end

    def _whole(self, text: str) -> int:
        """Take a message that is there as a whole, as most are; the end is where it parses to."""
        at = _space_end(text)
        if text[at : at + 1] in ("{", "["):
            try:
                self._value, end = _decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                pass
            else:
                self._started = self._done = self._parsed = True
                return end
        return self._scan(text)

    def _scan(self, text: str) -> int:
        at = 0
        if not self._started:
            at = _space_end(text)
            if at == len(text):
                return at
            self._started = True
            if text[at] not in "{[":
                self._done = self._broken = True
                return at + 1
        while at < len(text):
            at = self._string(text, at) if self._in_string else self._structure(text, at)
            if self._done:
                break
        return at

    def _structure(self, text: str, at: int) -> int:
        """Go to the next bracket, or into a string that does not end in this text."""
        match = _TO_BRACKET.match(text, at)
        at = match.end() if match else at
        if at == len(text):
            return at
        mark = text[at]
        if mark == '"':
            self._in_string = True
        elif mark in "{[":
            self._depth += 1
            self._done = self._depth > MAX_HEIGHT
        else:
            self._depth -= 1
            self._done = self._depth <= 0
        return at + 1

    def _string(self, text: str, at: int) -> int:
        """Go to the end of a string that began in an earlier text."""
        if self._escaped:
            self._escaped = False
            at += 1
        match = _IN_STRING.match(text, at)
        at = match.end() if match else at
        if at == len(text):
            return at
        if text[at] == '"':
            self._in_string = False
        else:
            self._escaped = True
        return at + 1

    def finish(self) -> Any:
        """The message, or an error as text."""
        text = "".join(self._pieces)
        if self._parsed and _UNUSUAL.search(text) is None:
            return self._value
        if self._depth == 0 and not self._broken and _UNUSUAL.search(text) is None:
            try:
                return _decoder.decode(text)
            except (ValueError, RecursionError):
                pass
        slow = slow_parser()
        slow.feed(text)
        return slow.finish()


def _space_end(text: str) -> int:
    match = _SPACE.match(text)
    return match.end() if match else 0


def install() -> bool:
    """Put the parser in place, unless the C extension is there, and say whether it was needed.

    Connections that are open already go over to it with their next message.
    """
    if ovs.json.PARSER == ovs.json.PARSER_C:
        return False
    ovs.json.Parser = StreamParser
    return True
