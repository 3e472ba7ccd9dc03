"""Reading the configuration again: all of it into a fresh one, and only what is good is taken.

oslo.config replaces its files before it looks at a value, and looks at a value only when somebody
asks for it, so that a bad one shows up where nobody expects it.
"""

from __future__ import annotations

import difflib
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from oslo_config import cfg

from vifd.daemon.configfile import contents

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Options that say where options are.
_FILES = frozenset(("config_file", "config_dir", "config_source"))
#: Where values of files come from.
_OF_FILES = (cfg.Locations.user, cfg.Locations.opt_default)
#: Characters of a problem that are told; a file can hold anything.
_LONGEST = 2000


class Problems(Exception):
    """The files hold something that cannot be used; the text names each option."""


class Reading(Struct, frozen=True):
    """What came of the last reading of the files.

    :param at: when the configuration in force was read, seconds since the epoch
    :param problem: why the files as they are now are not in force; empty where they are
    :param unknown: what stands in them and is no option, with what may have been meant
    :param pending: options that a restart is needed for, with the value in force and the one that
        stands in the files
    """

    at: float
    problem: str = ""
    unknown: list[str] = []
    pending: list[str] = []

    def failed(self, problem: str, unknown: list[str]) -> Reading:
        """The same, after files that cannot be used; what they hold that is no option is in them
        all the same, and mended with the rest."""
        return replace(self, problem=problem[:_LONGEST], unknown=unknown)


class Configuration:
    """The options in force, and what came of reading their files.

    :param elsewhere: groups of what is installed and not in use, asked for where one is unknown
    """

    def __init__(self, conf: Any, elsewhere: Callable[[], Collection[str]] = tuple) -> None:
        self._conf = conf
        self._elsewhere = elsewhere
        self.reading = Reading(time.time())

    def first(self) -> None:
        """Say what stands in the files and is no option; once everybody registered theirs."""
        self.reading = Reading(self.reading.at, unknown=self._unknown())

    def again(self, judge: Callable[[Any], T]) -> T | None:
        """Read the files again; what is in force stays as it is where they cannot be used.

        :param judge: makes of a configuration what the daemon works with, and may refuse it
        :returns: what ``judge`` made of the new one, ``None`` where the old one stays
        """
        try:
            files = fresh(self._conf)
            made = judge(files)
            changed = self._conf.mutate_config_files()
        except Exception as error:  # noqa: BLE001 - whatever is in a file, the daemon goes on
            text = str(error) or type(error).__name__
            self.reading = self.reading.failed(text, self._unknown())
            LOG.error(
                "the configuration cannot be used, the old one stays in force: %s. "
                "Next: correct it and reload again (systemctl reload vifd)", self.reading.problem,
            )  # fmt: skip
            return None
        pending = list(_pending(self._conf, files))
        self.reading = Reading(time.time(), unknown=self._unknown(), pending=pending)
        names = [".".join(filter(None, key)) for key in changed]
        LOG.info("configuration read again; changed: %s", ", ".join(names) or "nothing")
        for text in pending:
            LOG.warning(
                "configuration: %s. Next: systemctl restart vifd, guests do not notice", text
            )
        return made

    def _unknown(self) -> list[str]:
        found = unknown(self._conf) and unknown(self._conf, self._elsewhere())
        for text in found:
            LOG.warning("configuration: %s; it has no effect", text)
        return found


class _Option(NamedTuple):
    group: str
    opt: cfg.Opt


def fresh(conf: Any) -> Any:
    """The files as they are now, read into a configuration of their own with every option that is
    registered, by us, by plugins or by libraries; each value was looked at.

    :raises Problems: a file cannot be read or parsed, or a value is none for its option
    """
    made = cfg.ConfigOpts()
    options = list(_registered(conf))
    for option in options:
        made.register_opt(option.opt, group=option.group or None)
    files = [f"--config-file={name}" for name in conf.config_file or ()]
    places = [f"--config-dir={name}" for name in conf.config_dir or ()]
    try:
        made([*files, *places], project="vifd", prog="vifd", default_config_files=[])
    except (cfg.Error, OSError, UnicodeError) as error:
        raise Problems("; ".join(contents(_files(conf)).faults) or str(error)) from error
    except SystemExit as error:
        raise Problems("an option that is required is missing") from error
    problems = list(filter(None, (_problem(made, option) for option in options)))
    if problems:
        raise Problems("; ".join(problems))
    return made


def _registered(conf: Any) -> Iterator[_Option]:
    # The one way to know also what libraries registered, in the process's own configuration.
    for info, group in conf._all_opt_infos():
        if info["opt"].dest not in _FILES:
            yield _Option(group.name if group is not None else "", info["opt"])


def _pending(conf: Any, files: Any) -> Iterator[str]:
    """Options whose values in the files are not in force: they are read at the start alone."""
    for option in _registered(conf):
        group, opt = option.group or None, option.opt
        source = conf.get_location(opt.dest, group)
        if source is not None and source.location not in _OF_FILES:
            continue  # what was said on the command line, or by the program, goes first
        old, new = ((c[group][opt.dest] if group else c[opt.dest]) for c in (conf, files))
        if old != new:
            was, now = ("a secret",) * 2 if opt.secret else (repr(old), repr(new))
            name = f"[{option.group or 'DEFAULT'}] {opt.name}"
            yield f"{name} needs a restart: {was} is in force, {now} stands in the files"


def _problem(conf: Any, option: _Option) -> str:
    name = f"[{option.group or 'DEFAULT'}] {option.opt.name}"
    try:
        value = conf[option.group][option.opt.dest] if option.group else conf[option.opt.dest]
    except (cfg.Error, ValueError) as error:
        return f"{name}: {error}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}: {value} is no time"
    return ""


def unknown(conf: Any, elsewhere: Collection[str] = ()) -> list[str]:
    """What stands in the files and is no option, as sentences.

    :param elsewhere: groups of what is installed and not in use; their options are not known here
    """
    known: dict[str, set[str]] = {"DEFAULT": set(), **{group: set() for group in conf._groups}}
    for option in _registered(conf):
        known.setdefault(option.group or "DEFAULT", set()).update(_names(option.opt))
    return list(_strange(contents(_files(conf)).sections, known, elsewhere))


def _files(conf: Any) -> Iterator[str]:
    yield from conf.config_file or ()
    for place in conf.config_dir or ():
        yield from sorted(map(str, Path(place).glob("*.conf")))


def _names(opt: cfg.Opt) -> Iterator[str]:
    yield opt.dest
    yield opt.name
    for old in opt.deprecated_opts:
        if old.name:
            yield old.name.replace("-", "_")
            yield old.name


def _strange(
    sections: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Collection[str]],
    elsewhere: Collection[str],
) -> Iterator[str]:
    for title, values in sections.items():
        # as oslo.config does: only DEFAULT is written in capitals
        group = title if title == "DEFAULT" else title.lower()
        if group not in known:
            if group not in elsewhere:
                yield f"[{title}] is no group{_meant(group, [*known, *elsewhere], '[{}]')}"
            continue
        for name in values:
            if name not in known[group]:
                yield f"[{group}] {name} is no option{_hint(name, group, known)}"


def _hint(name: str, group: str, known: Mapping[str, Collection[str]]) -> str:
    """What may have been meant: a name alike in the group, else the same name in another one."""
    alike = _meant(name, known[group], "{}")
    if alike:
        return alike
    there = [other for other, names in known.items() if name in names]
    return f"; did you mean it in [{there[0]}]?" if there else ""


def _meant(name: str, names: Collection[str], shape: str) -> str:
    close = difflib.get_close_matches(name.replace("-", "_"), list(names), 1, 0.7)
    return f"; did you mean {shape.format(close[0])}?" if close else ""
