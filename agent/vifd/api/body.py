"""Request bodies: from bytes to JSON values, with a coded error for everything that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import falcon
import msgspec

from vifd import errors

if TYPE_CHECKING:
    from vifd.api.bodies import Bodies

#: Bytes of a body that are accepted.
MAX_BODY = 4 * 1024 * 1024
#: Bytes of a body that is too large which are read and dropped, so that the answer can be read.
MAX_DRAIN = 64 * 1024 * 1024
#: Bytes of a body up to which it is decoded where it was read; larger ones are on a thread's time.
SMALL = 16 * 1024
#: Values, keys of one object, and characters of a key that are accepted.
MAX_VALUES = 300_000
MAX_KEYS = 10_000
MAX_KEY = 1024
#: Nesting of arrays and objects that is accepted; what is kept must be readable everywhere.
MAX_DEPTH = 32
BODY = "(body)"

T = TypeVar("T")

_NAMED = re.compile(r"(required|unknown) field `([^`]+)`")


def read_json(req: falcon.Request, made: Callable[[Any], T]) -> T:
    """The parsed body, as what is made of it: a document, a list of ids…

    Both is done on a thread of its own where the body is large: the event loop is everybody's.

    :raises errors.BadDocument: not UTF-8, not JSON, a key twice, too deep, too much, or cut short
    :raises errors.BodyTooLarge: more than :data:`MAX_BODY` bytes
    :raises errors.Busy: too many large bodies at this moment
    :raises errors.MediaTypeUnsupported: declared as something else than JSON
    """
    _require_json(req)
    declared = req.env.get("CONTENT_LENGTH")
    bodies: Bodies | None = getattr(req.context, "bodies", None)
    if bodies is None or (declared is not None and int(declared) <= SMALL):
        return made(parse(_read(req)))
    with bodies.place(req.context.access):
        body = _read(req)
        return bodies.apart(lambda: made(parse(body)))


def expect_empty(req: falcon.Request) -> None:
    """Refuse a body on a call that takes none; ``{}`` passes, as some clients always send it."""
    if req.env.get("CONTENT_LENGTH", "0") == "0" and "HTTP_TRANSFER_ENCODING" not in req.env:
        return
    try:
        begin: bytes = req.env["wsgi.input"].read(64)
    except (ValueError, OSError) as error:
        raise errors.BadDocument.at_field(BODY, f"cannot be read: {error}") from error
    if begin.strip() not in (b"", b"{}"):
        raise errors.BadDocument.at_field(BODY, "this call takes no body")


def _require_json(req: falcon.Request) -> None:
    for name, value in req.env.get("headers_raw", ()):
        if name.lower() == "content-type":
            kind = value.split(";", 1)[0].strip().lower()
            if kind != "application/json":
                raise errors.MediaTypeUnsupported(
                    facts={"have": value[:80], "wanted": "application/json"}, stage="decode"
                )


def _read(req: falcon.Request) -> bytes:
    stream = req.env["wsgi.input"]
    declared = req.env.get("CONTENT_LENGTH")
    try:
        body: bytes = b"" if int(declared or 0) > MAX_BODY else stream.read(MAX_BODY + 1)
        if len(body) > MAX_BODY or int(declared or 0) > MAX_BODY:
            _drain(stream)
            raise errors.BodyTooLarge(facts={"limit": MAX_BODY}, stage="decode")
    except (ValueError, OSError) as error:
        raise errors.BadDocument.at_field(BODY, f"cannot be read: {error}") from error
    if declared is not None and len(body) < int(declared):
        raise errors.BadDocument.at_field(BODY, f"ends after {len(body)} of {declared} bytes")
    return body


def _drain(stream: Any) -> None:
    left = MAX_DRAIN
    while left > 0 and (piece := stream.read(min(left, 65536))):
        left -= len(piece)


def parse(body: bytes) -> Any:
    """Strict JSON (RFC 8259) with unique keys, bounded in nesting, values and keys; in a time that
    grows with its length."""
    # each value but the first follows one of these; in strings they count as well
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise errors.BadDocument.at_field(BODY, f"has more than {MAX_VALUES} values")
    try:
        value = msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise errors.BadDocument.at_field(BODY, str(error)) from error
    except UnicodeDecodeError as error:
        raise errors.BadDocument.at_field(BODY, f"is not UTF-8 (byte {error.start})") from error
    except RecursionError:
        raise _too_deep(BODY) from None
    _check_shape(value)
    if _may_repeat_keys(body, value):
        json.loads(body, object_pairs_hook=_unique)
    return value


def convert(value: Any, kind: type[T]) -> T:
    """A parsed body as an object of a class.

    :raises errors.BadDocument: with the path of the field that does not fit
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`").lstrip(".")
        named = _NAMED.search(problem)
        if named:
            path = ".".join(filter(None, (path, named.group(2))))
            problem = "is required" if named.group(1) == "required" else "is not a field of this"
        raise errors.BadDocument.at_field(path or BODY, problem) from error


def _may_repeat_keys(body: bytes, value: Any) -> bool:
    """Whether a key may have been dropped as a duplicate.

    Counting colons is 20 times cheaper than a second parse: every pair has one, those in strings
    stay, and only an escape can hide one.
    """
    return b"\\u003" in body or body.count(b":") != msgspec.json.encode(value).count(b":")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise errors.BadDocument.at_field(twice[:64] or '""', "appears twice in one object")
    return found


def _check_keys(item: dict[str, Any]) -> None:
    if len(item) > MAX_KEYS:
        raise errors.BadDocument.at_field(next(iter(item))[:64], f"is one of over {MAX_KEYS} keys")
    for key in item:
        if len(key) > MAX_KEY:
            raise errors.BadDocument.at_field(key[:64], f"is a key of over {MAX_KEY} characters")


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                _check_keys(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise _too_deep(_deepest(value))


def _deepest(value: Any) -> str:
    """The name of the outermost member that goes too deep."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in members:
        if _reaches(item, MAX_DEPTH - 1):
            return str(key)[:64] or '""'
    return BODY


def _reaches(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return depth <= 0 or any(_reaches(item, depth - 1) for item in items)


def _too_deep(field: str) -> errors.BadDocument:
    return errors.BadDocument.at_field(field, f"is nested deeper than {MAX_DEPTH} levels")
