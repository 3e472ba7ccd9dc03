"""A plugin of another distribution: built, installed, discovered, used, upgraded to a contract that
is refused, taken back, and removed. docs/plugin-authors.md holds the same code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

SOURCE = Path(__file__).with_name("example_plugin")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "plugin-authors.md"
TAP = f"xmp{port_id(1)[:11]}"


def pip(*words: str | Path) -> None:
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Site:
    """A directory that only the daemon has on its path, and the wheels to put into it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "site"
        self.path.mkdir()

    def build(self, version: str, contract: str) -> Path:
        """A wheel of the example, of some version and for some contract."""
        tree = self.directory / f"src-{version}"
        shutil.copytree(SOURCE, tree, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for path, old, new in (
            ("setup.cfg", "version = 1.0", f"version = {version}"),
            ("vifd_example/plugin.py", 'contract_version: ClassVar[str] = "1.0"',
             f'contract_version: ClassVar[str] = "{contract}"'),
        ):  # fmt: skip
            text = (tree / path).read_text()
            assert text.count(old) == 1
            (tree / path).write_text(text.replace(old, new))
        out = self.directory / f"out-{version}"
        pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out, tree)
        (wheel,) = out.glob("*.whl")
        return wheel

    def install(self, wheel: Path) -> None:
        """Install it in place of the version that is there."""
        self.remove()
        pip("install", "--no-deps", "--no-index", "--target", self.path, wheel)

    def remove(self) -> None:
        for found in list(self.path.iterdir()):
            shutil.rmtree(found)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, site: Site) -> Iterator[Vifd]:
    daemon = Vifd(tmp_path / "v", ovs, {"engine": {"retry_first": 0.05}})
    environment = daemon.process.env
    environment["PYTHONPATH"] = os.pathsep.join([str(site.path), environment["PYTHONPATH"]])
    yield daemon
    daemon.close()


def start(vifd: Vifd) -> dict[str, dict[str, Any]]:
    """Start the daemon; the plugins that it lists, by name."""
    vifd.stop()
    vifd.start()
    vifd.ready()
    return {p["name"]: p for p in vifd.get("/v1/plugins")["plugins"]}


def devices() -> list[str]:
    return os.listdir("/sys/class/net")


def test_the_life_of_a_plugin_outside_of_the_tree(vifd: Vifd, site: Site) -> None:
    first, second = site.build("1.0", "1.0"), site.build("2.0", "2.0")
    assert "example" not in start(vifd)

    site.install(first)
    found = start(vifd)["example"]
    assert (found["state"], found["distribution"]) == ("ready", "vifd-example 1.0")
    status, port = vifd.plug(document(1, plugin="example"))
    assert (status, port["status"], port["vif"]["device"]) == (201, "ACTIVE", TAP), port
    assert TAP in devices()
    status, inspection = vifd.call("POST", "/v1/plugins/example/verify")
    assert (status, inspection["ok"]) == (200, True), inspection

    site.install(second)
    plugins = start(vifd)
    assert plugins["example"]["state"] == "refused"
    assert plugins["example"]["distribution"] == "vifd-example 2.0"
    assert "it speaks contract version '2.0', this vifd speaks" in plugins["example"]["reasons"][0]
    assert vifd.call("POST", "/v1/plugins/example/verify")[1]["code"] == "E_PLUGIN_LOAD"
    assert plugins["ovs"]["state"] == "ready"
    assert vifd.plug(document(2))[1]["status"] == "ACTIVE"
    orphan = vifd.get(f"/v1/ports/{port_id(1)}")
    assert orphan["error"]["code"] == "E_PLUGIN_MISSING"
    assert TAP in devices()

    site.install(first)
    start(vifd)
    until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["phase"] == "LIVE", "the port is back")
    for number in (1, 2):
        assert vifd.unplug(port_id(number))[0] == 204
    assert TAP not in devices()

    site.remove()
    assert "example" not in start(vifd)
    status, error = vifd.plug(document(1, plugin="example"))
    assert (status, error["code"]) == (424, "E_PLUGIN_MISSING")


def test_it_passes_the_suite_as_its_author_runs_it(site: Site, tmp_path: Path) -> None:
    site.install(site.build("1.0", "1.0"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.path), *sys.path])}
    argv = [sys.executable, "-m", "pytest", "-p", "vifd.testing.kit", "-p", "no:cacheprovider",
            "--vif-plugin", "example", "-q"]  # fmt: skip
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b[4-9]\d passed", done.stdout)


def test_the_documentation_shows_this_code_and_all_of_it() -> None:
    """Who types what the page prints has something that can be installed."""
    printed = re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```\w+\n(.*?)```", DOCUMENTATION.read_text(),
                         re.DOTALL | re.MULTILINE)  # fmt: skip
    files = {
        str(path.relative_to(SOURCE)): path.read_text()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    assert dict(printed) == files
