"""``--help`` anywhere on the command line is help of the command that stands there. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence

HELP = frozenset(("-h", "--help"))


def asked(
    argv: Sequence[str],
    commands: Collection[str],
    without_options: Callable[[Sequence[str]], Sequence[str]],
) -> list[str] | None:
    """The command line that answers a call for help, or ``None`` where nothing calls for it.

    :param commands: names of commands, words joined by a space
    :param without_options: takes the program's own options, with their values, out of a line
    """
    before = argv[: argv.index("--")] if "--" in argv else argv
    if HELP.isdisjoint(before):
        return None
    words = _leading(without_options([word for word in before if word not in HELP]))
    if not words:
        return None
    for length in range(len(words), 0, -1):
        if " ".join(words[:length]) in commands:
            return ["help", *words[:length]]
    several = any(command.startswith(words[0]) for command in commands)
    # the first word of several commands lists them; what is no command is said to be none
    return ["help", words[0]] if several else words


def unknown(argv: Sequence[str], commands: Collection[str]) -> str:
    """What is said of words that are no command: which were meant.

    :param argv: the command line without the program's own options
    """
    words = _leading(argv)
    if not words:
        return f"there is no command {' '.join(argv[:1])!r}. Next: vifctl --help"
    several = [command for command in commands if command.split()[0] == words[0]]
    if several and len(words) == 1:
        return f"{words[0]} is one of: {', '.join(several)}. Next: vifctl {words[0]} --help"
    said = " ".join(words[:2])
    firsts = sorted({command.split()[0] for command in commands})
    close = difflib.get_close_matches(said, commands, 1, 0.6) if len(words) > 1 else []
    close = close or difflib.get_close_matches(words[0], firsts, 1, 0.6)
    meant = f"; did you mean {close[0]}?" if close and close != words[:1] else "."
    has = f" {words[0]} has: {', '.join(c.split(' ', 1)[1] for c in several)}." if several else ""
    return f"there is no command {said}{meant}{has} Next: vifctl --help"


def _leading(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if word.startswith("-"):
            break
        found.append(word)
    return found
