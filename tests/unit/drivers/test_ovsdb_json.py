"""The fast parser agrees with the one it stands in for."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import ovs.json
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vifd.drivers import ovsdb_json
from vifd.drivers.ovsdb_json import StreamParser

SLOW = ovsdb_json.slow_parser

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(['"', "\\", "}{", '\\"}', "]", "\\u0000", "\ud83d\ude00", "é"])
)
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)
messages = st.dictionaries(st.text(), values) | st.lists(values)
dumps = st.builds(
    json.dumps,
    messages,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
    separators=st.sampled_from([None, (",", ":")]),
)


def parse_all(make: Callable[[], Any], chunks: list[str]) -> list[Any]:
    """Every message of a stream, the way a connection reads it; ends at the first error."""
    found: list[Any] = []
    parser, rest = None, ""
    for chunk in chunks:
        rest += chunk
        while rest:
            parser = parser or make()
            rest = rest[parser.feed(rest) :]
            if parser.is_done():
                found.append(parser.finish())
                parser = None
                if isinstance(found[-1], str):
                    return found
    return found


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(p % (len(text) + 1) for p in places)})
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=100, deadline=None)
@given(st.lists(dumps, min_size=1, max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_same_messages_however_the_stream_is_cut(texts: list[str], places: list[int]) -> None:
    stream = "\n".join(texts) if len(texts) % 2 else "".join(texts)
    assert parse_all(StreamParser, cut(stream, places)) == parse_all(SLOW, [stream])


@settings(max_examples=100, deadline=None)
@given(dumps, st.integers(0, 10_000), st.characters(), st.booleans())
def test_a_damaged_message_is_an_error_for_both_or_for_neither(
    text: str, place: int, character: str, insert: bool
) -> None:
    place %= len(text)
    damaged = text[:place] + character + text[place + (0 if insert else 1) :]
    ours, theirs = parse_all(StreamParser, [damaged]), parse_all(SLOW, [damaged])
    if theirs and not isinstance(theirs[0], str):
        assert ours[0] == theirs[0]
    elif ours:
        assert isinstance(ours[0], str)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='{}[]",:\\u0aeE1.- \n'))
def test_noise_never_passes_for_a_message(noise: str) -> None:
    ours, theirs = parse_all(StreamParser, [noise]), parse_all(SLOW, [noise])
    good = [m for m in theirs if not isinstance(m, str)]
    assert [m for m in ours if not isinstance(m, str)][: len(good)] == good
    if len(good) < len(theirs) and len(ours) > len(good):
        assert isinstance(ours[len(good)], str)


@pytest.mark.parametrize("text", ["}", "]", "x{}", "1", '"a"', "\0{}"])
def test_what_cannot_become_a_message_is_an_error_at_once(text: str) -> None:
    parser = StreamParser()
    parser.feed(text)
    assert parser.is_done()
    assert isinstance(parser.finish(), str)


def test_nesting_is_limited_like_in_the_package() -> None:
    parser = StreamParser()
    parser.feed("[" * 1001)
    assert parser.is_done()
    assert "nesting depth" in parser.finish()


def test_an_unfinished_message_ends_as_an_error() -> None:
    parser = StreamParser()
    assert parser.feed('{"a": "b') == 8
    assert not parser.is_done()
    assert isinstance(parser.finish(), str)


def test_installs_only_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ovs.json, "PARSER", ovs.json.PARSER_C)
    monkeypatch.setattr(ovs.json, "Parser", object)
    assert not ovsdb_json.install()
    assert ovs.json.Parser is object
    monkeypatch.setattr(ovs.json, "PARSER", ovs.json.PARSER_PY)
    assert ovsdb_json.install()
    assert isinstance(ovs.json.Parser(), StreamParser)
    assert ovs.json.from_string('{"a":[1]}') == {"a": [1]}
