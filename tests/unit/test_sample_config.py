"""etc/agent.conf is the complete sample: equal to the options in the code."""

import re
from pathlib import Path

import pytest
from oslo_config import cfg

from vifd.daemon import config
from vifd.plugin import registry

SAMPLE = Path(__file__).parents[2] / "etc" / "agent.conf"


@pytest.fixture(scope="module")
def generated() -> str:
    return config.sample()


def test_the_sample_equals_the_code(generated: str) -> None:
    assert SAMPLE.read_text() == generated, "run: make docs/config"


def test_every_group_is_in_it(generated: str) -> None:
    groups = set(re.findall(r"^\[(\w+)\]", generated, re.MULTILINE))
    plugins = {found.name for found in registry.discover() if found.cls and found.cls.options()}
    assert "ovs" in plugins
    assert groups >= {group or "DEFAULT" for group in config.GROUPS} | plugins


def test_it_names_nothing_of_the_machine_it_was_made_on(generated: str) -> None:
    home = Path.home()
    assert str(home) not in generated
    assert not re.search(r"^[a-z]", generated, re.MULTILINE), "every option is commented out"


def test_it_loads_and_changes_nothing() -> None:
    plain, sampled = cfg.ConfigOpts(), cfg.ConfigOpts()
    config.load(["--config-file", "/dev/null"], plain)
    config.load(["--config-file", str(SAMPLE)], sampled)
    for group, options in config.GROUPS.items():
        for option in options:
            values = [conf[group][option.dest] if group else conf[option.dest]
                      for conf in (plain, sampled)]  # fmt: skip
            assert values[0] == values[1], option.name
