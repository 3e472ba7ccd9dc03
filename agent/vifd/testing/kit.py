"""The contract suite for any installed plugin, as a pytest plugin.

    pytest -p vifd.testing.kit --vif-plugin NAME [--vif-host real]

runs the whole contract on fakes, or on a real kernel with a private Open vSwitch (in a network
namespace of its own; root, or a kernel that lets users have namespaces). Without paths on the
command line nothing else is collected. What the suite must know of a plugin is its
:class:`~vifd.testing.profile.Profile`; many need none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SUITE = Path(__file__).with_name("kit_suite.py")

_profile = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the kit."""
    group = parser.getgroup("vifd", "contract suite for a plugin of vifd")
    group.addoption("--vif-plugin", metavar="NAME", help="the plugin, by its entry point's name")
    group.addoption(
        "--vif-profile", metavar="MODULE:CLASS", default="",
        help="a vifd.testing.profile.Profile; by default that of the entry point of the plugin's "
        "name in the group vifd.test_profiles",
    )  # fmt: skip
    group.addoption(
        "--vif-option", metavar="NAME=VALUE", action="append", default=[],
        help="a value for the plugin's option group; may be repeated",
    )  # fmt: skip
    group.addoption(
        "--vif-host", choices=("fake", "real"), default="fake",
        help="fakes of the drivers, or a real kernel and a private Open vSwitch",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Find the plugin, leave the host's network, and have the suite collected."""
    if not config.option.vif_plugin:
        return
    config.pluginmanager.import_plugin("vifd.testing.fixtures")
    config.stash[_profile] = _load(config.option)
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        config.args.append(str(SUITE))
    else:
        config.args[:] = [str(SUITE)]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is tested."""
    profile = config.stash.get(_profile, None)
    if profile is None:
        return None
    cls = profile.cls
    return (
        f"vifd: plugin {cls.plugin_name} {cls.plugin_version}, contract {cls.contract_version}, "
        f"on {config.option.vif_host} drivers, {type(profile).__module__}.{type(profile).__name__}"
    )


def _load(options: Any) -> Any:
    from vifd.plugin import registry
    from vifd.testing import profile

    found = {f.name: f for f in registry.discover()}
    entry = found.get(options.vif_plugin)
    if entry is None:
        have = ", ".join(sorted(found)) or "none"
        raise pytest.UsageError(f"no plugin {options.vif_plugin!r} is installed (have {have})")
    if entry.cls is None:
        raise pytest.UsageError(str(entry.refusal))
    try:
        loaded = profile.load(entry.cls, options.vif_profile)
        for text in options.vif_option:
            name, _, value = text.partition("=")
            loaded.options = {**loaded.options, name: value}
        loaded.conf()
    except (LookupError, ImportError, AttributeError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"plugin {options.vif_plugin}: {error}") from error
    return loaded


@pytest.fixture
def profile(pytestconfig: pytest.Config) -> Any:
    """What there is to know of the plugin under test."""
    found = pytestconfig.stash.get(_profile, None)
    if found is None:
        pytest.skip("no plugin was chosen: --vif-plugin NAME")
    return found


@pytest.fixture(scope="class")
def vif_switch(pytestconfig: pytest.Config) -> Iterator[Any]:
    """One private switch for the tests of a class, as two in one namespace would meet each other;
    ``None`` where the host is fake or none is installed."""
    from vifd.testing import sandbox

    real = pytestconfig.option.vif_host == "real"
    with contextlib.ExitStack() as stack:
        installed = real and not sandbox.missing()
        yield stack.enter_context(sandbox.PrivateOvs()) if installed else None


@pytest.fixture
def vif_drivers(pytestconfig: pytest.Config, vif_switch: Any, profile: Any) -> Iterator[Any]:
    """The drivers of a host that was prepared for the plugin."""
    from vifd.testing.hosts import real_drivers
    from vifd.testing.machines import FakeMachine

    with contextlib.ExitStack() as stack:
        if pytestconfig.option.vif_host == "fake":
            drivers = FakeMachine().drivers
        else:
            drivers = stack.enter_context(real_drivers(vif_switch))
        stack.enter_context(profile.prepared(drivers))
        yield drivers
