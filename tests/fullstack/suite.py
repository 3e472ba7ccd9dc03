"""Neutron's own tests by their ids: list them, or run one. Runs in Neutron's environment.

``suite.py list`` prints all ids; ``suite.py run ID`` runs one, and prints ``RESULT ok``, ``RESULT
FAIL`` or ``RESULT skip: reason`` at the end. The directory is that of the suite's sources.
"""

from __future__ import annotations

import os
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "neutron.tests.fullstack"


def main() -> int:
    """Do what the first word says."""
    if sys.argv[1] == "list":
        modules = sorted(path.stem for path in Path(*PACKAGE.split(".")).glob("test_*.py"))
        print("\n".join(test.id() for module in modules for test in tests(module)))
        return 0
    return run(sys.argv[2])


def tests(module: str) -> Iterator[unittest.TestCase]:
    """All tests of a module, scenarios multiplied."""
    loader = unittest.TestLoader()
    yield from _flat(loader.loadTestsFromName(f"{PACKAGE}.{module}"))
    for error in loader.errors:
        print(error, file=sys.stderr)


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


def run(test_id: str) -> int:
    """Run one test; 0 where it passed or was skipped."""
    import testresources

    module = test_id.removeprefix(PACKAGE + ".").partition(".")[0]
    suite = testresources.OptimisingTestSuite()
    suite.addTest(next(test for test in tests(module) if test.id() == test_id))
    result = unittest.TextTestRunner(sys.stdout, verbosity=0).run(suite)
    if result.skipped:
        print("RESULT skip:", result.skipped[0][1].splitlines()[0])
    else:
        print("RESULT", "ok" if result.testsRun and result.wasSuccessful() else "FAIL")
    sys.stdout.flush()
    # Threads of the suite's clients outlive their tests.
    os._exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    sys.exit(main())
