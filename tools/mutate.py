"""Changes one thing of a module at a time and runs tests: ``python tools/mutate.py FILE [TESTS…]``.

What lives is a change that no test noticed: a missing test, or a part that is not needed. No file
is changed. The tests are collected once, and run once to see which of them comes to which line;
each change is then made in a process forked from there, which runs those tests alone, the quickest
first, so that most take a tenth of a second. Those outside of functions need a fresh process each
(``--all``). ``--list`` shows the changes, ``--only N`` makes one. What is known to live stands with
its reason in ``tools/mutants.txt``; the rest is told, and is the exit status.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mutants import Key, Mutant, mutants

KNOWN = Path(__file__).with_name("mutants.txt")
#: What remembers answers.
LRU = type(functools.lru_cache(len))
#: Seconds that a change may take above three times what its tests take without it.
LIMIT = 60.0


class Session:
    """A plugin of pytest that tries the changes in place of one run of the tests.

    :ivar alive: numbers of those that no test noticed
    """

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.path = str(chosen.file.resolve())
        self.alive: list[tuple[int, Mutant]] = []
        self.tried = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        covered, took = self._baseline(session)
        loaded = live_functions(self.path)
        for number, mutant in numbered(self.chosen):
            nodes = sorted(covered.get(mutant.line, ()), key=took.__getitem__)
            tests = within(nodes, took, self.chosen.seconds)
            if mutant.functions:
                died = self._forked(session, mutant, loaded, tests, took)
            elif self.chosen.all:
                died = self._fresh(number, sorted({node.partition("::")[0] for node in took}))
            else:
                continue
            self.tried += 1
            if not died:
                self.alive.append((number, mutant))
                print(f"{number}: {text(mutant, self.path)} ({len(tests)} tests)", flush=True)
        return True

    def _baseline(self, session: pytest.Session) -> tuple[dict[int, list[str]], dict[str, float]]:
        """By line of the file the tests that come to it, and the seconds of each; what fails
        without a change is left out."""
        with tempfile.NamedTemporaryFile() as file:
            found = Path(file.name)
            _forked(lambda: found.write_text(json.dumps(measured(session, self.path))), 7200)
            lines, took = json.loads(found.read_text())
        print(f"{len(took)} tests come to it, {sum(took.values()):.0f} s", flush=True)
        return {int(line): nodes for line, nodes in lines.items()}, took

    def _forked(
        self, session: pytest.Session, mutant: Mutant, loaded: Mapping[Key, list[FunctionType]],
        tests: Sequence[str], took: Mapping[str, float],
    ) -> bool:  # fmt: skip
        chosen = set(tests)
        items = [item for item in session.items if item.nodeid in chosen]
        items.sort(key=lambda item: took[item.nodeid])

        def passes() -> bool:
            replace(loaded, mutant.functions)
            return not fails(session, items)

        return not _forked(passes, 3 * sum(took[test] for test in tests) + LIMIT)

    def _fresh(self, number: int, files: Sequence[str]) -> bool:
        argv = [sys.executable, __file__, "--within", str(number), str(self.chosen.file), *files]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            return True
        return done.returncode != 0


def measured(session: pytest.Session, path: str) -> tuple[dict[int, list[str]], dict[str, float]]:
    """Run every test once: who comes to which line of the file, and how long each takes."""
    seen = coverage.Coverage(None, config_file=False, include=[path])
    seen.start()
    took, failed = {}, set()
    remembering = [each for each in gc.get_objects() if isinstance(each, LRU)]
    for item, after in _pairs(session.items):
        # else only the first test that asks comes to what is remembered
        for cache in remembering:
            cache.cache_clear()
        seen.switch_context(item.nodeid)
        began, before = time.monotonic(), session.testsfailed
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        took[item.nodeid] = time.monotonic() - began
        if session.testsfailed != before:
            failed.add(item.nodeid)
    seen.stop()
    lines = {
        line: [node for node in nodes if node and node not in failed]
        for line, nodes in seen.get_data().contexts_by_lineno(path).items()
    }
    at_all = {node for nodes in lines.values() for node in nodes}
    return lines, {node: seconds for node, seconds in took.items() if node in at_all}


def fails(session: pytest.Session, items: Sequence[pytest.Item]) -> bool:
    """Run them until one fails."""
    before = session.testsfailed
    for item, after in _pairs(items):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if session.testsfailed != before:
            with contextlib.suppress(Exception):
                session._setupstate.teardown_exact(None)
            return True
    return False


def _pairs(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    yield from zip(items, [*items, None][1:], strict=True)


def within(nodes: Sequence[str], took: Mapping[str, float], seconds: float) -> list[str]:
    """As many of the quickest as take so long together."""
    chosen: list[str] = []
    for node in nodes:
        seconds -= took[node]
        if seconds < 0 and chosen:
            break
        chosen.append(node)
    return chosen


def live_functions(path: str) -> dict[Key, list[FunctionType]]:
    """Every function of the file that is loaded; whoever imported it has the same object."""
    found: dict[Key, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename == path:
            key = each.__code__.co_qualname, each.__code__.co_firstlineno
            found.setdefault(key, []).append(each)
    return found


def replace(loaded: Mapping[Key, list[FunctionType]], codes: Mapping[Key, CodeType]) -> None:
    for key, code in codes.items():
        for function in loaded.get(key, ()):
            with contextlib.suppress(ValueError):  # other free variables
                function.__code__ = code


def _forked(work: Callable[[], object], seconds: float) -> bool:
    """Whether the work came to its end in a process of its own, within so many seconds, and was
    not false."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet's: no loop runs here
        child = os.fork()
    if child:
        return ended(child, seconds) == 0
    status = 1
    try:
        _quiet()
        status = 0 if work() else 1
    except BaseException:  # noqa: BLE001 - it must not go on as if it were its parent
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def ended(child: int, seconds: float) -> int:
    """The exit status of a process, which is ended where it takes longer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _quiet() -> None:
    """This process is one of its own group, and says nothing."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)


def numbered(chosen: argparse.Namespace) -> Iterator[tuple[int, Mutant]]:
    """Those that were asked for, without what is known to live."""
    source = chosen.file.read_text()
    known = reasons(chosen.file.name)
    for number, mutant in enumerate(mutants(source, str(chosen.file.resolve()))):
        if chosen.only is not None and number != chosen.only:
            continue
        if chosen.only is None and (mutant.words, stripped(source, mutant.line)) in known:
            continue
        yield number, mutant


def reasons(name: str) -> dict[tuple[str, str], str]:
    """What is known to live of a file, by the words of the change and the line: why."""
    found = {}
    for line in KNOWN.read_text().splitlines() if KNOWN.exists() else ():
        if line and not line.startswith("#"):
            file, words, at, why = line.split(" | ")
            if file == name:
                found[words, at] = why
    return found


def stripped(source: str, line: int) -> str:
    return source.splitlines()[line - 1].strip() if line else ""


def text(mutant: Mutant, path: str) -> str:
    at = stripped(Path(path).read_text(), mutant.line)
    return f"line {mutant.line}: {mutant.words} lives: {at}"


def load_with(path: str, code: CodeType) -> None:
    """From now on the file is imported with this code."""
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        return code if self.path == path else usual(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", type=int)
    parser.add_argument("--all", action="store_true", help="outside of functions as well")
    parser.add_argument("--seconds", type=float, default=10.0, help="of tests for one change")
    parser.add_argument("--within", type=int, help=argparse.SUPPRESS)
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="*", default=["tests/unit"])
    chosen = parser.parse_args()
    path = str(chosen.file.resolve())
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:unraisableexception", *chosen.tests]
    if chosen.within is not None:
        chosen.only = chosen.within
        load_with(path, next(numbered(chosen))[1].code)
        return int(pytest.main(["-x", *options]))
    if chosen.list:
        for number, mutant in numbered(chosen):
            where = "" if mutant.functions else " (outside of functions)"
            print(f"{number}: line {mutant.line}: {mutant.words}{where}")
        return 0
    session = Session(chosen)
    pytest.main(options, plugins=[session])
    print(f"{session.tried} changes, {len(session.alive)} live")
    return 1 if session.alive else 0


if __name__ == "__main__":
    sys.exit(main())
