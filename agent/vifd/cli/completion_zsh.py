"""The completion function of zsh. Pure."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

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

_SCRIPT = """#compdef vifctl
# Made by: vifctl complete --shell zsh

WORDS
_vifctl() {
  integer at=2
  local name
  local -a known
  # options of vifctl itself, and their values
  while (( at < CURRENT )); do
    case $words[at] in
      VALUED) (( at += 2 )) ;;
      -*) (( at++ )) ;;
      *) break ;;
    esac
  done
  if (( at >= CURRENT )); then
    if [[ $words[CURRENT] == -* ]]; then
WHOLE
    else
FIRST
    fi
    return
  fi
  name=$words[at]
  if (( at + 1 < CURRENT )) && [[ $name == (GROUPS) && $words[at+1] != -* ]]; then
    name+=" $words[at+1]"
    (( at++ ))
  fi
  shift $(( at - 1 )) words
  (( CURRENT -= at - 1 ))
  case $name in
CASES
  esac
}

if [[ $zsh_eval_context == *loadautofunc* ]]; then
  _vifctl "$@"
else
  compdef _vifctl vifctl
fi
"""


def zsh(whole: Command, commands: Sequence[Command]) -> str:
    """The completion function ``_vifctl``, for a directory of zsh's ``fpath``."""
    among = groups(commands)
    parts = {
        "WORDS": [line for kind, source in SOURCES.items() for line in _words(kind, source)],
        "VALUED": ["|".join(s for o in whole.options if takes(o) for s in o.option_strings)],
        "WHOLE": _in(3, _arguments(whole.options, "")),
        "FIRST": _in(3, _describe(first_words(commands))),
        "GROUPS": ["|".join(among)],
        "CASES": list(_cases(commands, among)),
    }
    return re.sub(
        r"\b(WORDS|VALUED|WHOLE|FIRST|GROUPS|CASES)\b",
        lambda found: "\n".join(parts[found.group()]),
        _SCRIPT,
    )


def _in(depth: int, lines: Sequence[str]) -> list[str]:
    return ["  " * depth + line for line in lines]


def _words(kind: str, source: str) -> list[str]:
    return [
        f"_vifctl_{kind}() {{",
        "  local -a proposed",
        f'  proposed=(${{(f)"$({source})"}})',
        "  compadd -a proposed",
        "}",
    ]


def _cases(commands: Sequence[Command], among: Mapping[str, list[Command]]) -> Iterator[str]:
    known = {command.name: command for command in commands}
    for name in [*known, *(group for group in among if group not in known)]:
        yield f"    {shlex.quote(name)})"
        if name in among:
            yield from _in(3, _describe(seconds(among[name])))
        if name == "help":
            yield from _in(3, _describe(first_words(commands)))
        if name in known:
            yield from _in(3, _arguments(known[name].options, KINDS.get(name, "")))
        yield "      ;;"


def _describe(words: Sequence[tuple[str, str]]) -> list[str]:
    rows = [shlex.quote(f"{word}:{text}") for word, text in words]
    return ["known=(", *(f"  {row}" for row in rows), ")", "_describe command known"]


def _arguments(options: Sequence[argparse.Action], kind: str) -> list[str]:
    rows = [row for option in options for row in _option(option)]
    rows.append(f"'*:{kind or 'argument'}:{f'_vifctl_{kind}' if kind else '_files'}'")
    return ["_arguments -s -S \\", *(f"  {row} \\" for row in rows[:-1]), f"  {rows[-1]}"]


def _option(option: argparse.Action) -> list[str]:
    text = re.sub(r"([\[\]\\:])", r"\\\1", about(option))
    value = ""
    if takes(option):
        colons = "::" if option.nargs == "?" else ":"
        value = f"{colons}{metavar(option)}:{_values(option)}"
    return [shlex.quote(f"*{name}[{text}]{value}") for name in option.option_strings]


def _values(option: argparse.Action) -> str:
    if option.choices is not None:
        return f"({' '.join(map(str, option.choices))})"
    return "_files" if metavar(option) in FILES else ""
