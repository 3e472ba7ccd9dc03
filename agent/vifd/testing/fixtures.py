"""pytest wiring for suites that work on a real kernel and a real Open vSwitch.

``pytest_plugins = ["vifd.testing.fixtures"]`` in the top ``conftest.py`` gives:

- the whole run happens in a network namespace of its own, entered before any thread exists; no test
  can reach the host's network; temporary files go to a directory of the run's own
- ``@pytest.mark.needs("kernel:8021q")``: skipped with the probe's reason where that lacks
  (:mod:`vifd.testing.probes`); the closing summary counts the skips by reason
- ``nursery``: daemons that die at a chosen effect
- ``ovs``: a private Open vSwitch, new for each test
- ``far``: a namespace that plays another host
- ``leaks``: the test fails if devices, processes or temporary files are left behind
- with a test that fails, the end of the logs of its daemons
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from vifd.testing import census, netns, probes, sandbox
from vifd.testing.nursery import Nursery
from vifd.testing.wait import Expired, until

# The suites that other modules of tests inherit say what they saw where they fail.
pytest.register_assert_rewrite(
    *(f"vifd.testing.{file.stem}" for file in Path(__file__).parent.glob("contract*.py"))
)

_isolated = pytest.StashKey[str | None]()
_scratch = pytest.StashKey[str]()
#: How much of a log is shown.
_LINES = 80


def pytest_configure(config: pytest.Config) -> None:
    """Leave the host's network before anything else happens."""
    config.addinivalue_line("markers", "needs(*names): skip where the machine lacks one of these")
    try:
        # A worker of pytest-xdist has a second thread, which reads the pipe of its controller.
        netns.enter_private_netns(others=1 if hasattr(config, "workerinput") else 0)
        config.stash[_isolated] = None
    except netns.NamespaceError as error:
        config.stash[_isolated] = f"no private network namespace: {error}"
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    scratch = tempfile.mkdtemp(prefix="vt-")
    config.stash[_scratch] = scratch
    tempfile.tempdir = os.environ["TMPDIR"] = scratch


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's temporary directory."""
    if _scratch in config.stash:
        shutil.rmtree(config.stash[_scratch], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs something that is not here."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            reason = probes.lacking(name)
            if reason is not None:
                pytest.skip(f"needs {name}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a test that fails, show the end of the logs of the daemons that it has."""
    report = yield
    if report.failed:
        for daemon in sorted(sandbox.Daemon.unclosed, key=lambda d: d.name):
            with contextlib.suppress(OSError):
                lines = daemon.log.read_text(errors="replace").splitlines()[-_LINES:]
                report.sections.append((f"{daemon.name}: {daemon.log}", "\n".join(lines)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, by reason."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("skipped, by reason")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5}  {reason}")


@pytest.fixture(scope="session")
def isolated(pytestconfig: pytest.Config) -> None:
    """The test runs in a network namespace of its own, or not at all."""
    reason = pytestconfig.stash[_isolated]
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def leaks(isolated: None) -> Iterator[census.Census]:
    """What was there before the test; the test fails if more is there after it."""
    before = _count()
    yield before
    remains: list[str] = []

    def gone() -> bool:
        remains[:] = _count().beyond(before)
        return not remains

    with contextlib.suppress(Expired):
        until(gone, "everything the test made is gone")
        return
    _remove_links(remains)
    pytest.fail("the test left behind:\n  " + "\n  ".join(remains))


def _count() -> census.Census:
    return census.take(directories=[Path(tempfile.gettempdir())])


def _remove_links(remains: list[str]) -> None:
    """Take devices away that the next test would stumble over."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        for line in remains:
            kind, _, name = line.partition(": ")
            if kind == "links" and (found := netlink.link_lookup(ifname=name)):
                netlink.link("del", index=found[0])
    # marks are in them: the next daemon would take the ports back
    for family in ("bridge", "netdev", "inet"):
        argv = ["nft", "delete", "table", family, "vifd"]
        subprocess.run(argv, check=False, capture_output=True, timeout=60)


@pytest.fixture
def ovs(leaks: census.Census) -> Iterator[sandbox.PrivateOvs]:
    """A private Open vSwitch with an empty database, both daemons running."""
    lacking = sandbox.missing()
    if lacking:
        pytest.fail(f"not installed: {', '.join(lacking)}; run tools/bootstrap")
    if (reason := probes.lacking("tun")) is not None:
        pytest.skip(f"needs tun: {reason}")
    with sandbox.PrivateOvs(prompt=True) as private:
        yield private


@pytest.fixture
def far(leaks: census.Census) -> Iterator[netns.Namespace]:
    """A namespace that plays another host; lay a cable with :meth:`Namespace.veth`."""
    with netns.Namespace("far") as space:
        yield space


@pytest.fixture(scope="module")
def nursery(isolated: None) -> Iterator[Nursery]:
    """Where the daemons come from that are killed at an effect."""
    with Nursery() as made:
        yield made
