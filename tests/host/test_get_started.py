"""The page "Get started", word for word, on a host that boots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.booted import PACKAGES, Booted, host
from vifd.testing.wait import PATIENCE, until

PAGE = Path(__file__).parents[2] / "docs/get-started.md"
GUIDED = re.compile(r"<!-- test: guided -->\n```console\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    with host("vifd-guide") as made:
        made.write("/etc/vifd/agent.conf", "[ovs]\ncreate_bridge = true\ndatapath_type = netdev\n")
        package = next(PACKAGES.glob("vifd_*.deb")).name
        made.run("dpkg", "--force-confold", "-i", f"/packages/{package}")
        yield made


def test_every_step_does_what_the_page_says(booted: Booted) -> None:
    steps = [
        re.findall(r"^# (.*)$", block, re.MULTILINE) for block in GUIDED.findall(PAGE.read_text())
    ]
    begin, plug, look, broken, gone = steps
    until(lambda: "ready" in "".join(booted.run("sh", "-c", line) for line in begin), "it is ready")
    said = "".join(booted.run("sh", "-c", command) for command in plug)
    assert said.count("ACTIVE") >= 2
    said = "".join(booted.run("sh", "-c", command) for command in look)
    assert "nothing is broken" in said, said
    for command in broken:
        booted.run("sh", "-c", command)
    until(
        lambda: "tap00000002-5e" in booted.run("ip", "-br", "link"), "the device is back", PATIENCE
    )
    until(lambda: booted.run("vifctl", "port", "list").count("ACTIVE") == 2, "and active", 60)
    said = "".join(booted.run("sh", "-c", command) for command in gone)
    assert "left" not in said.splitlines()[-1]
