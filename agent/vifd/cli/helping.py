"""``--help`` anywhere on the command line is help of the command that stands there. Pure."""

from __future__ import annotations

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


def _leading(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if word.startswith("-"):
            break
        found.append(word)
    return found
