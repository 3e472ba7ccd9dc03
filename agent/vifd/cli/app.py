"""``vifctl``: cliff without what makes it slow.

Commands are loaded when they are called and output formats come from a table: cliff would read the
metadata of every installed distribution for both.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from cliff.app import App
from cliff.commandmanager import CommandManager

import vifd
from vifd.cli import helping
from vifd.cli.client import DEFAULT_SOCKET
from vifd.safety.plain import shown

DESCRIPTION = "Talk to vifd, the VIF daemon of this host."
EPILOG = f"""
exit codes:
  0    done
  1    refused or failed; the error object says why (-f json: on stdout)
  2    wrong usage
  3    the daemon cannot be reached
  4    no such port
  5    the time was over; the work goes on
  130  interrupted

environment:
  VIFD_SOCKET  the daemon's socket, instead of {DEFAULT_SOCKET}
  VIFD_JOURNAL the journal that 'port explain' reads where the daemon does not run
"""

#: Every command and the class behind it.
COMMANDS = {
    "status": "vifd.cli.meta:Status",
    "plugin list": "vifd.cli.meta:PluginList",
    "plugin verify": "vifd.cli.meta:PluginVerify",
    "host show": "vifd.cli.host:HostShow",
    "offer": "vifd.cli.offer:Offer",
    "port list": "vifd.cli.port:PortList",
    "port show": "vifd.cli.port:PortShow",
    "port check": "vifd.cli.port:PortCheck",
    "port explain": "vifd.cli.explain:PortExplain",
    "port activate": "vifd.cli.port:PortActivate",
    "port deactivate": "vifd.cli.port:PortDeactivate",
    "port counters": "vifd.cli.counted:PortCounters",
    "port top": "vifd.cli.top:PortTop",
    "port capture": "vifd.cli.capture:PortCapture",
    "port repair": "vifd.cli.repair:PortRepair",
    "port precheck": "vifd.cli.precheck:PortPrecheck",
    "port example": "vifd.cli.example:PortExample",
    "port plug": "vifd.cli.plug:PortPlug",
    "port unplug": "vifd.cli.unplug:PortUnplug",
    "port move-backend": "vifd.cli.movebackend:PortMoveBackend",
    "port release": "vifd.cli.release:PortRelease",
    "sg list": "vifd.cli.setcommands:SgList",
    "sg show": "vifd.cli.setcommands:SgShow",
    "sg set": "vifd.cli.setcommands:SgSet",
    "sg add": "vifd.cli.setcommands:SgAdd",
    "sg remove": "vifd.cli.setcommands:SgRemove",
    "sg delete": "vifd.cli.setcommands:SgDelete",
    "address-group list": "vifd.cli.setcommands:AddressGroupList",
    "address-group show": "vifd.cli.setcommands:AddressGroupShow",
    "address-group set": "vifd.cli.setcommands:AddressGroupSet",
    "address-group add": "vifd.cli.setcommands:AddressGroupAdd",
    "address-group remove": "vifd.cli.setcommands:AddressGroupRemove",
    "address-group delete": "vifd.cli.setcommands:AddressGroupDelete",
    "network list": "vifd.cli.setcommands:NetworkList",
    "network show": "vifd.cli.setcommands:NetworkShow",
    "network set": "vifd.cli.setcommands:NetworkSet",
    "network add": "vifd.cli.setcommands:NetworkAdd",
    "network remove": "vifd.cli.setcommands:NetworkRemove",
    "network delete": "vifd.cli.setcommands:NetworkDelete",
    "log list": "vifd.cli.logs:LogList",
    "log show": "vifd.cli.logs:LogShow",
    "log set": "vifd.cli.logs:LogSet",
    "log delete": "vifd.cli.logs:LogDelete",
    "document from-neutron": "vifd.cli.document:FromNeutron",
    "config from-neutron": "vifd.cli.config:FromNeutron",
    "guest wire": "vifd.cli.guest:Wire",
    "guest unwire": "vifd.cli.guest:Unwire",
    "migration list": "vifd.cli.migration:MigrationList",
    "migration show": "vifd.cli.migration:MigrationShow",
    "adopt": "vifd.cli.adopt:Adopt",
    "gc": "vifd.cli.garbage:Gc",
    "gc undo": "vifd.cli.garbage:GcUndo",
    "nova check": "vifd.cli.nova:NovaCheck",
    "compute compare": "vifd.cli.compare:Compare",
    "network compare": "vifd.cli.compare:CompareNetwork",
    "reconcile": "vifd.cli.reconcile:Reconcile",
    "ui": "vifd.cli.ui:Ui",
    "bundle": "vifd.cli.bundle:Bundle",
    "events": "vifd.cli.events:Events",
    "help": "vifd.cli.builtin:Help",
    "complete": "vifd.cli.builtin:Complete",
}


class Lazy:
    """A command that is imported when it is called; the shape of an entry point."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def load(self) -> Any:
        """The command's class."""
        module, _, attribute = self.value.partition(":")
        return getattr(importlib.import_module(module), attribute)


# cliff's --version prints the name of the base class, which it takes from argv.
App.NAME = "vifctl"


class Vifctl(App):
    """The program."""

    CONSOLE_MESSAGE_FORMAT = "vifctl: %(message)s"

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        super().__init__(DESCRIPTION, vifd.__version__, CommandManager())
        commands: dict[str, Any] = {name: Lazy(name, value) for name, value in COMMANDS.items()}
        self.command_manager.commands = commands

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        shape = {
            "prog": self.NAME,
            "epilog": EPILOG,
            "formatter_class": argparse.RawDescriptionHelpFormatter,
        }
        parser = super().build_option_parser(description, version, shape)
        parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
        parser.add_argument(
            "--bundle", metavar="FILE", help="read a support bundle, and not the daemon"
        )
        add_wait_options(parser)
        return parser

    def run(self, argv: list[str]) -> int:
        """Run a command line; a call for help is for the command that it names."""
        return super().run(helping.asked(argv, COMMANDS, self._without_options) or argv)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command, or say which one may have been meant."""
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            sys.stderr.write(f"vifctl: {shown(helping.unknown(argv, COMMANDS))}\n")
            return 2
        return int(super().run_subcommand(argv))

    def _without_options(self, argv: Sequence[str]) -> list[str]:
        return list(self.parser.parse_known_args(list(argv))[1])

    def interact(self) -> None:
        """Without a command there is nothing to do."""
        self.parser.print_help(sys.stderr)
        raise SystemExit(2)


def add_wait_options(
    parser: argparse.ArgumentParser, default: Any = None, *, no_wait: bool = True
) -> None:
    """How long to wait; the same before and after the command's name."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        default=default,
        help="how long to wait for the result, 0 to 600 (default: 30)",
    )
    if not no_wait:
        return
    parser.add_argument(
        "--no-wait",
        action="store_true",
        default=default,
        help="return once the request is accepted",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 600:
        raise argparse.ArgumentTypeError("must be seconds from 0 to 600")
    return value
