"""Which tests are meant by what somebody wrote. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

PREFIX = "neutron.tests.fullstack."


def short(test_id: str) -> str:
    """An id without what all ids begin with."""
    return test_id.removeprefix(PREFIX)


def chosen(ids: Sequence[str], words: Iterable[str]) -> list[str]:
    """The ids that have one of the words in them, in the order of the words, each once.

    ``?`` stands for any character and ``*`` for any number: ids have blanks in them.

    :raises ValueError: a word that no id has
    """
    found: dict[str, None] = {}
    for word in words:
        fitting = [test_id for test_id in ids if fnmatch.fnmatchcase(test_id, f"*{_plain(word)}*")]
        if not fitting:
            raise ValueError(f"no test has {word!r} in its id; TESTS=list prints all")
        found.update(dict.fromkeys(fitting))
    return list(found)


def _plain(word: str) -> str:
    """Brackets mean themselves; nobody chooses by sets of characters."""
    return word.replace("[", "[[]")


def listed(text: str) -> list[str]:
    """The words of a file of ids: one a line, ``#`` begins a remark."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
