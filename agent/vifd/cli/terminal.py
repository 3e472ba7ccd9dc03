"""How much room a terminal has."""

from __future__ import annotations

import shutil
import sys

#: A column of sentences is not narrower than this, whatever the terminal.
LEAST = 30


def room(beside: int, most: int) -> int:
    """Characters for a column of sentences: what the terminal leaves of a line.

    :param beside: what the rest of the table takes
    :param most: for a wide terminal, and for what is no terminal
    """
    if not sys.stdout.isatty():
        return most
    return max(LEAST, min(most, shutil.get_terminal_size().columns - beside))
