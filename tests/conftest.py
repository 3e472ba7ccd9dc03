"""All rings: the run leaves the host's network first, and probes decide what can be tested."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["vifd.testing.fixtures", "rings"]

# A busy machine is no defect. Two runs have the same examples, so that only what a change breaks is
# new; VIFD_SEED=random looks for what nobody has seen yet.
settings.register_profile(
    "vifd",
    deadline=None,
    derandomize=os.environ.get("VIFD_SEED") != "random",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("vifd")

# What a shell starts in the background is born deaf to it, and so would be every child that the
# tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--needing NAME[,NAME]``: only tests that need one of these of the machine, and name it."""
    parser.addoption("--needing", help="run only tests marked as needing one of these")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what does not need it."""
    given = config.getoption("--needing")
    if not given:
        return
    names = {*given.split(",")}
    needing = [i for i in items if any(names & {*m.args} for m in i.iter_markers("needs"))]
    config.hook.pytest_deselected(items=[i for i in items if i not in needing])
    items[:] = needing
