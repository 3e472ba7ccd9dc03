"""Help of each command, wherever on the line it is asked for."""

from __future__ import annotations

import pytest

from vifd.cli import helping
from vifd.cli.app import COMMANDS, Vifctl

#: What only the help of this command says.
SAYS = {
    "status": "Show whether the daemon is live",
    "plugin list": "List the plugins that were found",
    "plugin verify": "PLUGIN",
    "host show": "--evidence",
    "offer": "--accept",
    "port list": "--network",
    "port show": "what was read back",
    "port check": "Read a port back now",
    "port explain": "--offline",
    "port activate": "Open the traffic",
    "port deactivate": "Close the traffic",
    "port move-backend": "--to",
    "port counters": "became of a port's frames",
    "port top": "--interval",
    "port capture": "--duration",
    "port repair": "--yes",
    "migration list": "opening",
    "migration show": "timeline",
    "port precheck": "--source",
    "port example": "KIND",
    "port plug": "--token",
    "port unplug": "--all",
    "port release": "--force",
    "sg list": "--owner",
    "sg show": "SET",
    "sg set": "--file",
    "sg add": "--rule",
    "sg remove": "--rule",
    "sg delete": "--later",
    "address-group list": "--owner",
    "address-group show": "SET",
    "address-group set": "--file",
    "address-group add": "--address",
    "address-group remove": "--address",
    "address-group delete": "--later",
    "network list": "--owner",
    "network show": "SET",
    "network set": "--file",
    "network add": "--endpoint",
    "network remove": "--endpoint",
    "network delete": "--later",
    "log list": "--owner",
    "log show": "SET",
    "log set": "--event",
    "log delete": "SET",
    "document from-neutron": "--physical-network",
    "config from-neutron": "openvswitch_agent.ini",
    "guest wire": "--network",
    "guest unwire": "Put back",
    "adopt": "iface-id",
    "gc": "--dry-run",
    "gc undo": "--list",
    "nova check": "--python",
    "compute compare": "--remove",
    "network compare": "--remove",
    "reconcile": "--approve",
    "ui": "--write",
    "bundle": "--limit",
    "events": "--follow",
    "help": "Print help of a command",
    "complete": "in bash, zsh or fish",
}


def run(capsys, *argv: str) -> tuple[int, str]:
    try:
        code = Vifctl().run(list(argv))
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    return code, told.out + told.err


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_own_help(capsys, command):
    code, text = run(capsys, *command.split(), "--help")
    assert code == 0
    assert flat(text).startswith(f"usage: vifctl {command} [")
    assert SAYS[command] in flat(text)
    assert "Commands:" not in text


@pytest.mark.parametrize(
    "line",
    [
        ("port", "plug", "-h"),
        ("-h", "port", "plug"),
        ("port", "plug", "-f", "x", "--help"),
        ("port", "plug", "--help", "--nonsense"),
        ("--timeout", "3", "--socket", "/x", "port", "plug", "--help"),
        ("--no-wait", "port", "--help", "plug"),
    ],
)
def test_wherever_it_stands(capsys, line):
    code, text = run(capsys, *line)
    assert (code, text.startswith("usage: vifctl port plug [-h]")) == (0, True)


def test_of_words_that_are_no_command(capsys):
    code, text = run(capsys, "port", "--help")
    assert (code, "  port unplug\n" in text) == (0, True)
    code, text = run(capsys, "porc", "plug", "--help")
    assert code == 2
    assert "did you mean port plug?" in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prot list", "no command prot list; did you mean port list?"),
        ("port lsit web", "no command port lsit; did you mean port list? port has: list, show"),
        ("offre -f x", "no command offre; did you mean offer?"),
        ("porr", "did you mean port?"), ("port", "port is one of: port list, port show"),
        ("zzz", "no command zzz. Next: vifctl --help"), ("--watch", "no command '--watch'"),
        ("p\x1b[2Jort", "Next: vifctl --help"),
    ],
)  # fmt: skip
def test_which_command_was_meant(capsys, line, said):
    code = Vifctl().run(line.split())
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert said in told.err
    assert "\x1b" not in told.err


def test_what_asks_for_none():
    assert helping.asked(["port", "list"], COMMANDS, list) is None
    assert helping.asked(["--help"], COMMANDS, list) is None
    assert helping.asked(["port", "show", "--", "--help"], COMMANDS, list) is None
