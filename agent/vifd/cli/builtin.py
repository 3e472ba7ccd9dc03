"""cliff's own commands, without the search for extensions of them."""

from __future__ import annotations

import argparse

from cliff.complete import CompleteCommand
from cliff.help import HelpCommand

from vifd.cli.base import Plain

#: Commands whose arguments are ports.
ON_PORTS = (
    "show", "check", "explain", "activate", "deactivate", "precheck", "repair", "unplug", "release",
    "capture",
)  # fmt: skip
#: Completion of ids, names and devices on top of cliff's. The shell expands the words that it is
#: given, and names come from users: what has any other character than these is left out.
_PORTS = f"""
_vifctl_ports()
{{
  _vifctl "$@"
  local cur=${{COMP_WORDS[COMP_CWORD]}}
  [[ COMP_CWORD -ge 3 && ${{cur}} != -* ]] || return 0
  if [[ ${{COMP_WORDS[1]}} == @(sg|address-group|network) && ${{COMP_WORDS[2]}} != list ]]; then
    local sets
    sets=$(vifctl "${{COMP_WORDS[1]}}" list -f value -c id 2>/dev/null | grep -xE '[0-9a-f-]+')
    COMPREPLY=( $(compgen -W "${{sets}}" -- "${{cur}}") )
    return 0
  fi
  [[ ${{COMP_WORDS[1]}} == port ]] || return 0
  case ${{COMP_WORDS[2]}} in
    {"|".join(ON_PORTS)}) ;;
    *) return 0 ;;
  esac
  local known
  known=$(vifctl port list -f value -c id -c name -c device 2>/dev/null |
    tr -s ' ' '\\n' | grep -xE '[0-9A-Za-z_.-]+')
  COMPREPLY=( $(compgen -W "${{known}}" -- "${{cur}}") )
}}
complete -F _vifctl_ports vifctl
"""


class Help(Plain, HelpCommand):
    """Print help of a command."""


class Complete(Plain, CompleteCommand):
    """Print the script for completion in bash.

    It completes commands, options, the ids, names and devices of ports, and the ids of sets.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        code: int = super().take_action(parsed_args)
        if parsed_args.shell == "bash" and not code:
            self.app.stdout.write(_PORTS)
        return code
