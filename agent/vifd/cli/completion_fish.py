"""The completion of fish. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence

from vifd.cli.completion import (
    FILES,
    KINDS,
    SOURCES,
    Command,
    about,
    first_words,
    groups,
    metavar,
    seconds,
    takes,
)

_FISH = """# Made by: vifctl complete --shell fish

# The words of the command line so far that are no options and no values of vifctl's own options.
function __vifctl_said
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l said
    while set -q tokens[1]
        switch $tokens[1]
            case VALUED
                set -e tokens[1]
            case '-*'
            case '*'
                set -a said $tokens[1]
        end
        set -q tokens[1]; and set -e tokens[1]
    end
    string join ' ' -- $said
end

function __vifctl_at
    set -l said (__vifctl_said)
    test "$said" = "$argv"; or string match -q -- "$argv *" "$said"
end

function __vifctl_next
    set -l said (__vifctl_said)
    test "$said" = "$argv"
end
"""


def fish(whole: Command, commands: Sequence[Command]) -> str:
    """The completion of fish, for a directory of its ``fish_complete_path``."""
    among = groups(commands)
    valued = " ".join(s for o in whole.options if takes(o) for s in o.option_strings)
    lines = [_FISH.replace("VALUED", valued)]
    for kind, source in SOURCES.items():
        lines += [f"function __vifctl_{kind}", f"    {source}", "end"]
    lines += ["", "complete -c vifctl -f"]
    for at in ("__vifctl_next ''", "__vifctl_next help"):
        lines += [_words(at, word, text) for word, text in first_words(commands)]
    lines += [_option("__vifctl_next ''", option) for option in whole.options]
    for group, members in among.items():
        lines += [_words(f"__vifctl_next {group}", word, text) for word, text in seconds(members)]
    return "\n".join([*lines, *(line for c in commands for line in _command(c, among))]) + "\n"


def _command(command: Command, among: Collection[str]) -> list[str]:
    at = f"__vifctl_{'next' if command.name in among else 'at'} {command.name}"
    lines = [_option(at, option) for option in command.options]
    if kind := KINDS.get(command.name):
        lines.append(f"complete -c vifctl -n {_quote(at)} -a '(__vifctl_{kind})'")
    return lines


def _words(at: str, word: str, text: str) -> str:
    return f"complete -c vifctl -n {_quote(at)} -a {word} -d {_quote(text)}"


def _option(at: str, option: argparse.Action) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
        for name in option.option_strings
    )
    parts = [f"complete -c vifctl -n {_quote(at)} {names} -d {_quote(about(option))}"]
    if takes(option) and option.nargs != "?":
        parts.append("-r")
    if option.choices is not None:
        parts.append(f"-a {_quote(' '.join(map(str, option.choices)))}")
    elif takes(option) and metavar(option) in FILES:
        parts.append("-F")
    return " ".join(parts)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
