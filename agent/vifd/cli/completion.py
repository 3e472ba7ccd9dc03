"""What words shells propose, and the part of bash that cliff does not make. Pure."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

#: What a word may consist of: names come from users, and shells expand what they are given.
_SAFE = "grep -xE '[0-9A-Za-z_.-]+'"
_WORDS = f"2>/dev/null | tr -s ' ' '\\n' | {_SAFE}"
#: What prints the words of a kind, one a line.
SOURCES = {
    "ports": f"vifctl port list -f value -c id -c name -c device {_WORDS}",
    "groups": f"vifctl sg list -f value -c id -c name {_WORDS}",
    "addresses": f"vifctl address-group list -f value -c id -c name {_WORDS}",
    "logs": f"vifctl log list -f value -c id -c name {_WORDS}",
    "networks": f"vifctl network list -f value -c id {_WORDS}",
    "migrations": f"vifctl migration list -f value -c id {_WORDS}",
    "plugins": f"vifctl plugin list -f value -c name {_WORDS}",
    "examples": f"vifctl port example --list {_WORDS}",
    "domains": f"virsh list --all --name {_WORDS}",
}
_OF_SETS = ("show", "set", "add", "remove", "delete")
#: The kind of the words after a command.
KINDS = {
    **{f"port {verb}": "ports" for verb in (
        "show", "check", "explain", "activate", "deactivate", "precheck", "repair", "unplug",
        "release", "capture",
    )},
    **{f"sg {verb}": "groups" for verb in _OF_SETS},
    **{f"address-group {verb}": "addresses" for verb in _OF_SETS},
    **{f"network {verb}": "networks" for verb in _OF_SETS},
    **{f"log {verb}": "logs" for verb in ("show", "set", "delete")},
    "migration show": "migrations",
    "plugin verify": "plugins",
    "port example": "examples",
    "guest wire": "domains",
    "guest unwire": "domains",
}  # fmt: skip
#: What values that are files are called.
FILES = frozenset(("FILE", "PATH"))


@dataclass(frozen=True)
class Command:
    """One command of vifctl, or vifctl itself without a name.

    :ivar about: one sentence
    """

    name: str
    about: str
    options: Sequence[argparse.Action]


def sentence(text: str | None) -> str:
    """The first sentence of a help text, on one line and without its full stop."""
    plain = " ".join((text or "").split())
    return re.split(r"(?<=\.) ", plain)[0].rstrip(".:")


def groups(commands: Sequence[Command]) -> dict[str, list[Command]]:
    """Commands of two words by their first."""
    found: dict[str, list[Command]] = {}
    for command in commands:
        first, _, second = command.name.partition(" ")
        if second:
            found.setdefault(first, []).append(command)
    return found


def about(option: argparse.Action) -> str:
    """The first sentence of its help."""
    text = "" if option.help in (None, argparse.SUPPRESS) else str(option.help)
    return sentence(text.replace("%%", "%").replace("%(prog)s", "vifctl"))


def takes(option: argparse.Action) -> bool:
    """Whether a value follows."""
    return option.nargs != 0


def metavar(option: argparse.Action) -> str:
    """What its value is called."""
    named = option.metavar if isinstance(option.metavar, str) else option.dest
    return named.strip("<>").replace(":", " ")


def first_words(commands: Sequence[Command]) -> list[tuple[str, str]]:
    """What may stand first, with what it is about."""
    alone = {c.name: c.about for c in commands if " " not in c.name}
    named = {g: ", ".join(w for w, _ in seconds(m)) for g, m in groups(commands).items()}
    return sorted({**named, **alone}.items())


def seconds(members: Sequence[Command]) -> list[tuple[str, str]]:
    """The second words of a group, with what they are about."""
    return [(c.name.partition(" ")[2], c.about) for c in members]


def bash(commands: Sequence[Command]) -> str:
    """What is added to cliff's completion for bash: the words of each kind."""
    among = groups(commands)
    both = sorted(among.keys() & {command.name for command in commands})
    more = "\n".join(f"    {name}) more='{_second_words(among[name])}' ;;" for name in both)
    cases = "\n".join(
        f"    {'|'.join(shlex.quote(name) for name in KINDS if KINDS[name] == kind)})\n"
        f"      known=$({source}) ;;"
        for kind, source in SOURCES.items()
    )
    return f"""
_vifctl_words()
{{
  _vifctl "$@"
  local more='' known='' cur=${{COMP_WORDS[COMP_CWORD]}}
  [[ ${{cur}} != -* ]] || return 0
  if [[ COMP_CWORD -eq 2 ]]; then
    case "${{COMP_WORDS[1]}}" in
{more}
    esac
    COMPREPLY+=( $(compgen -W "${{more}}" -- "${{cur}}") )
  fi
  [[ COMP_CWORD -ge 3 ]] || return 0
  case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}
    *) return 0 ;;
  esac
  COMPREPLY=( $(compgen -W "${{known}}" -- "${{cur}}") )
}}
complete -F _vifctl_words vifctl
"""


def _second_words(members: Sequence[Command]) -> str:
    return " ".join(word for word, _ in seconds(members))
