"""What all commands share: the client, output formats, and exit codes."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from typing import Any

from cliff.columns import FormattableColumn
from cliff.command import Command
from cliff.lister import Lister
from cliff.show import ShowOne

from vifd.cli import report, watching
from vifd.cli.app import add_wait_options
from vifd.cli.client import Client, Odd, Refused, TimedOut, Unreachable, socket_path
from vifd.cli.formats import Formats

OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, TIMED_OUT = range(6)


class UsageError(ValueError):
    """The command line or a file on it is wrong."""


class NoSuchPort(Exception):
    """No port is what was asked for."""


class Plain(Command):
    """A command without cliff's search for hooks, which reads the metadata of everything."""

    def _load_hooks(self) -> None:
        self._hooks = []

    def get_epilog(self) -> str:
        return ""


class Api(Plain):
    """A command that talks to the daemon."""

    #: whether the command waits for something, and whether it may also not wait
    waits = False
    may_not_wait = True
    #: whether it only reads, so that it may be repeated for who watches
    watchable = False
    #: whether it looks at this host besides, which is not the one that a bundle was made on
    looks_here = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--socket", metavar="PATH", default=argparse.SUPPRESS, help="the daemon's socket"
        )
        if self.waits:
            add_wait_options(parser, argparse.SUPPRESS, no_wait=self.may_not_wait)
        if self.watchable:
            watching.add_option(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command, again and again for who watches."""
        every = getattr(parsed_args, "watch", None)
        self.args = parsed_args
        if every is None or self.option("bundle"):  # which does not change
            return self._once(parsed_args)
        return watching.forever(lambda: self._once(parsed_args), every)

    def _once(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and turn what may go wrong into its exit code."""
        self.args = parsed_args
        self.code = OK
        try:
            self.client = self._answering()
        except Unreachable as error:
            return _say(error, UNREACHABLE)
        except UsageError as error:
            return _say(error, USAGE)
        try:
            return super().run(parsed_args) or self.code
        except Refused as refused:
            self.explain(refused.error or {"message": str(refused)})
            return code_of(refused.error)
        except Unreachable as error:
            return _say(error, UNREACHABLE)
        except TimedOut as error:
            return _say(error, TIMED_OUT)
        except NoSuchPort as error:
            return _say(error, NOT_FOUND)
        except UsageError as error:
            return _say(error, USAGE)
        except (Odd, LookupError, TypeError, AttributeError, ValueError) as error:
            return self._unread(error)
        finally:
            self.client.close()

    def _unread(self, error: Exception) -> int:
        """Say that an answer has not the shape that it should have."""
        if self.option("debug") or not self.client.asked:
            raise error
        from vifd import errors  # only where it is needed

        facts = {
            "source": self.client.path, "question": self.client.asked, "problem": _lack(error),
        }  # fmt: skip
        self.explain(errors.OddAnswer(facts=facts).to_dict())
        return FAILED

    def _answering(self) -> Any:
        """Who is asked: the daemon, or a bundle that was made of one."""
        bundle = self.option("bundle")
        if bundle is not None and self.looks_here:
            raise UsageError(f"{bundle}: this looks at a host as it is now, and a bundle is none")
        if bundle is None:
            return Client(socket_path(self.option("socket")))
        from vifd.cli.recorded import Recorded  # only where it is needed

        return Recorded(bundle)

    def option(self, name: str) -> Any:
        """An option given after the command's name, else before it."""
        given = getattr(self.args, name, None)
        return getattr(self.app_args, name, None) if given is None else given

    @property
    def timeout(self) -> float:
        """Seconds to wait."""
        given = self.option("timeout")
        return 30.0 if given is None else float(given)

    def waiting(self, wanted: str) -> dict[str, Any]:
        """The parameters of a call that waits until the port is ``wanted``, or does not."""
        if self.option("no_wait"):
            return {}
        return {"wait": wanted, "timeout": self.timeout}

    def explain(self, error: dict[str, Any]) -> None:
        """Show an error object: the object itself to programs, sentences to people."""
        if getattr(self.args, "formatter", None) == "json":
            json.dump(error, sys.stdout, indent=2)
            sys.stdout.write("\n")
        else:
            sys.stderr.write(report.error_text(error))


class _Columns:
    """Columns that are asked for must be there."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        for action in parser._actions:
            if action.dest == "sort_columns":
                action.help = "the column to sort by; can be repeated, the first one counts most"
        return parser

    def _generate_columns_and_selector(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str]
    ) -> Any:
        known = {_plain(name): name for name in column_names}
        for wanted in (*(parsed_args.columns or ()), *(getattr(parsed_args, "sort_columns", ()))):
            if _plain(wanted) not in known:
                close = difflib.get_close_matches(_plain(wanted), list(known), 1, 0.6)
                meant = f"; did you mean {known[close[0]]}?" if close else "."
                have = ", ".join(column_names)
                raise UsageError(f"there is no column {wanted}{meant} There are {have}")
        return super()._generate_columns_and_selector(parsed_args, column_names)  # type: ignore[misc]


def _plain(name: str) -> str:
    return name.lower().replace("_", " ")


class ApiList(_Columns, Api, Lister):
    """A command that answers with a list."""

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any
    ) -> int:
        """Who looks at a terminal is told that a list is empty; cliff prints an empty line."""
        rows = list(data)
        if not rows and parsed_args.formatter == "table" and sys.stdout.isatty():
            sys.stdout.write("(none)\n")
            return 0
        return int(super().produce_output(parsed_args, column_names, rows))

    def _load_formatter_plugins(self) -> Any:
        return Formats(self.formatter_namespace)


class ApiShow(_Columns, Api, ShowOne):
    """A command that answers with one object."""

    def _load_formatter_plugins(self) -> Any:
        return Formats(self.formatter_namespace)

    @property
    def for_people(self) -> bool:
        """Whether the output is laid out for reading; else it has the API's names and values."""
        return bool(self.args.formatter == "table")


class Words(FormattableColumn[Any]):
    """A value that people read as text and programs as it is."""

    def human_readable(self) -> str:
        return report.words(self._value)


class Lines(Words):
    """A text that is laid out in lines already."""

    def human_readable(self) -> str:
        return "\n".join(report.clean(line) for line in str(self._value).split("\n"))


class Moment(Words):
    """A point in time."""

    def human_readable(self) -> str:
        return report.when(self._value)


class Tree(Words):
    """An object with objects in it, one line per member."""

    def human_readable(self) -> str:
        return report.tree(self._value)


def code_of(error: dict[str, Any]) -> int:
    """The exit code for an error object."""
    known = {
        "E_STATE_NOT_FOUND": NOT_FOUND, "E_SET_NOT_FOUND": NOT_FOUND, "E_STATE_WAIT": TIMED_OUT,
    }  # fmt: skip
    return known.get(str(error.get("code")), FAILED)


def _lack(error: Exception) -> str:
    """What an answer lacks, by how reading it failed."""
    if isinstance(error, Odd):
        return str(error)
    if isinstance(error, KeyError):
        return f"there is no {error} in it"
    if isinstance(error, IndexError):
        return "a list in it is too short"
    return f"a value in it is of another kind ({error})"


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"vifctl: {report.clean(str(error))}\n")
    return code
