"""The rings of the suite: which goes first, and how long each took.

Files go to the workers of pytest-xdist as they come (``--dist loadfile``), so that a module's
fixtures are made once. What waits for guests and daemons comes first: the many short files of the
unit ring then fill what is left of each core's time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator
from pathlib import PurePath

import pytest

#: The slowest file first.
ORDER = ("system", "functional", "restart", "contract", "packaging", "unit")

#: So many files are named.
SLOWEST = 20


def ring(path: str) -> str:
    """The directory below ``tests`` that a test lies in."""
    parts = PurePath(path).parts
    after = parts[parts.index("tests") + 1 :] if "tests" in parts else parts
    return after[0] if len(after) > 1 else ""


def place(path: str) -> int:
    """Where a ring stands in the run; an unknown one goes last."""
    name = ring(path)
    return ORDER.index(name) if name in ORDER else len(ORDER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow rings first; within a ring the order stays."""
    items.sort(key=lambda item: place(item.nodeid.partition("::")[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was captured of a test goes to another process, and can be anything it logged: half a
    surrogate pair would end the whole run."""
    report = yield
    report.sections = [(head, writable(text)) for head, text in report.sections]
    if isinstance(report.longrepr, str):
        report.longrepr = writable(report.longrepr)
    return report


def writable(text: str) -> str:
    """The text as it can be sent and printed."""
    return text.encode("utf-8", "backslashreplace").decode()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what each ring took, and which files most: seconds of their tests, fixtures included,
    over all workers."""
    rings, files = Spent(), Spent()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                path = report.nodeid.partition("::")[0]
                rings.add(ring(path), report)
                files.add(path, report)
    if len(rings.seconds) > 1:
        terminalreporter.section("what each ring took")
        rings.tell(terminalreporter)
    if len(files.seconds) > SLOWEST:
        terminalreporter.section(f"the slowest {SLOWEST} files")
        files.tell(terminalreporter, SLOWEST)


class Spent:
    """Seconds and tests, by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._tests: Counter[str] = Counter()

    def add(self, name: str, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        self.seconds[name] += report.duration
        self._tests[name] += report.when == "call"

    def tell(self, terminalreporter: pytest.TerminalReporter, most: int | None = None) -> None:
        """A line for each, the slowest first."""
        ordered = sorted(self.seconds, key=lambda name: -self.seconds[name])
        for name in ordered[:most]:
            line = f"{self.seconds[name]:7.0f} s  {self._tests[name]:5} tests  {name or '.'}"
            terminalreporter.line(line)
