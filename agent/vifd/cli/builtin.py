"""cliff's own commands, without the search for extensions of them."""

from __future__ import annotations

import argparse

from cliff.complete import CompleteCommand
from cliff.help import HelpCommand

from vifd.cli import completion, completion_fish, completion_zsh
from vifd.cli.base import Plain

#: Shells beside those that cliff knows.
_SHELLS = {"fish": completion_fish.fish, "zsh": completion_zsh.zsh}


class Help(Plain, HelpCommand):
    """Print help of a command."""


class Complete(Plain, CompleteCommand):
    """Print the script for completion in bash, zsh or fish.

    It completes commands, options, the ids, names and devices of ports, the ids and names of sets,
    plugins, migrations, examples and libvirt's domains.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for action in parser._actions:
            if action.dest == "shell" and action.choices is not None:
                action.choices = sorted({*action.choices, *_SHELLS})
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.shell in _SHELLS:
            self.app.stdout.write(_SHELLS[parsed_args.shell](self._whole(), self._commands()))
            return 0
        code: int = super().take_action(parsed_args)
        if parsed_args.shell == "bash" and not code:
            self.app.stdout.write(completion.bash(self._commands()))
        return code

    def _whole(self) -> completion.Command:
        return completion.Command("", "", self.app.parser._get_optional_actions())

    def _commands(self) -> list[completion.Command]:
        return [self._described(name) for name, _ in self.app.command_manager]

    def _described(self, name: str) -> completion.Command:
        factory, _, _ = self.app.command_manager.find_command(name.split())
        about = completion.sentence(factory.__doc__)
        return completion.Command(name, about, self.get_actions(name.split()))
