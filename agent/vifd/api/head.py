"""The head of a request, held against RFC 9112 before anybody reads it. Pure.

A lenient reader and a lenient proxy in front of it may see two different requests in the same
bytes. So what is not exactly in the form of the standard is refused, and the connection closed:
bare line feeds, folded lines, spaces before the colon, a line without one, characters that no name
has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http.client import HTTPMessage

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST = re.compile(_TOKEN + rb" [!-~\x80-\xff]+ HTTP/[0-9]\.[0-9]\r\n")
_FIELD = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
# RFC 3986, section 3.2.2: what a name, an address and a port are written with
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%A-Za-z_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
#: Fields that may appear once, and what each is about would be ambiguous otherwise.
_ONCE = (b"content-length", b"transfer-encoding", b"host", b"content-type", b"expect")


def request_line_problem(line: bytes) -> str:
    """What is wrong with the first line, in words; empty for nothing."""
    if _REQUEST.fullmatch(line):
        return ""
    return "the request line is not METHOD SP target SP HTTP/1.1 CRLF"


def fields_problem(lines: Iterable[bytes]) -> str:
    """What is wrong with the header lines, without the empty one, in words."""
    seen: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        if not _FIELD.fullmatch(line):
            return f"header line {number} is {_wrong(line)}"
        name = line.partition(b":")[0].lower()
        if name in _ONCE and name in seen:
            return f"header line {number} is a second {name.decode()}"
        # some programs take one for the other
        if b"_" in name and name.replace(b"_", b"-") in _ONCE:
            return f"header line {number} looks like {name.replace(b'_', b'-').decode()}"
        seen.add(name)
    return ""


def host_problem(version: str, host: str | None) -> str:
    """What is wrong with the field that names the host (RFC 9112, section 3.2), in words.

    :param version: of the request, as its first line says it
    """
    if host is None:
        return "" if version == "HTTP/1.0" else f"a request of {version} must have a Host line"
    return "" if _HOST.fullmatch(host) else "Host must be a name or an address, and a port"


def origin_form(target: str) -> str:
    """The path and query of a target, which may be written with scheme and authority before them:
    a server has to take both (RFC 9112, section 3.2.2)."""
    found = _ABSOLUTE.match(target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def message(lines: Iterable[bytes]) -> HTTPMessage:
    """Header lines in which nothing is wrong, as the standard library keeps them."""
    found = HTTPMessage()
    for line in lines:
        name, _, value = line.decode("iso-8859-1").partition(":")
        found.set_raw(name, value.lstrip(" \t").rstrip("\r\n"))
    return found


def _wrong(line: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "folded"
    if not line.endswith(b"\r\n"):
        return "not ended by CRLF"
    if b":" not in line:
        return "without a colon"
    return "no name, colon and value of printable characters"


def chunk_size(line: bytes) -> int:
    """The size that the first line of a chunk tells.

    :raises ValueError: it tells none
    """
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise ValueError("the size of a chunk is malformed")
    return int(found.group(1), 16)
