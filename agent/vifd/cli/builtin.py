"""cliff's own commands, without the search for extensions of them."""

from __future__ import annotations

from cliff.complete import CompleteCommand
from cliff.help import HelpCommand

from vifd.cli.base import Plain


class Help(Plain, HelpCommand):
    """Print help of a command."""


class Complete(Plain, CompleteCommand):
    """Print the script for completion in bash."""
