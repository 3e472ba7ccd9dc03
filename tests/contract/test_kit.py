"""The kit finds what is wrong: plugins that break one law each, under the suite as authors run
it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

EXAMPLE = Path(__file__).parents[1] / "packaging" / "example_plugin"

#: One law broken per line: what is replaced in the example, and the test that must notice.
BREACHES = {
    "no-undo": (
        'item.undo.push("tap", self._remover(item))', "pass",
        "test_a_fault_at_every_call_of_plug_leaves_nothing",
    ),
    "check-that-repairs": (
        "        now = self.host.clock()\n",
        "        now = self.host.clock()\n        [self._gate(i, opened=i.open) for i in batch]\n",
        "test_check_changes_nothing",
    ),
    "open-after-plug": (
        "self._gate(item, opened=item.open)", "self._gate(item, opened=True)",
        "test_plug_is_closed",
    ),
    "unplug-that-needs-its-device": (
        "if link is not None and link.alias == _alias(item.id):",
        "if link is None:\n                raise DeviceError(facts={'device': device, "
        "'problem': 'gone'})\n            if link.alias == _alias(item.id):",
        "test_unplug_again_is_no_error",
    ),
    "one-bad-port-costs-all": (
        'if item.made.device == f"xmp{item.id[:11]}":',
        'if item.made.device != f"xmp{item.id[:11]}":\n                raise ValueError(item.id)\n'
        "            if True:",
        "test_one_bad_port_costs_itself_only",
    ),
    "names-that-clash": (
        '"example-tap", f"xmp{attachment.id[:11]}"', '"example-tap", f"xmp{attachment.id[:3]}"',
        "test_names_differ_from_port_to_port",
    ),
    "options-without-help": (
        ', help="The largest MTU that is taken."', "", "test_what_can_be_seen_without_a_port",
    ),
}  # fmt: skip


class Author:
    """Somebody who writes a plugin and runs the suite."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        package = directory / "vifd_example"
        package.mkdir()
        for path in (EXAMPLE / "vifd_example").glob("*.py"):
            (package / path.name).write_text(path.read_text())
        info = directory / "vifd_example-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vifd-example\nVersion: 1.0\n")
        points = re.search(r"\[options.entry_points\]\n(.*)", (EXAMPLE / "setup.cfg").read_text(),
                           re.DOTALL)  # fmt: skip
        assert points is not None
        text = re.sub(r"^(\S+) =$", r"[\1]", points.group(1), flags=re.MULTILINE)
        (info / "entry_points.txt").write_text(dedent(text))

    def change(self, old: str, new: str) -> None:
        path = self.directory / "vifd_example" / "plugin.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.directory), *sys.path])
        argv = [sys.executable, "-m", "pytest", "-p", "vifd.testing.kit", "-p", "no:cacheprovider",
                "-q", *options]  # fmt: skip
        return subprocess.run(
            argv, cwd=self.directory, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


@pytest.mark.parametrize("name", sorted(BREACHES))
def test_each_breach_is_noticed(author: Author, name: str) -> None:
    old, new, test = BREACHES[name]
    chosen = ("--vif-plugin", "example", "-k", test)
    author.change(old, new)
    done = author.run(*chosen)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^(FAILED|ERROR) ::TestContract::{test}\b", done.stdout, re.MULTILINE)


def test_the_example_itself_passes(author: Author) -> None:
    done = author.run("--vif-plugin", "example", "--vif-option", "max_mtu=2000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plugin example 1.0" in author.run("--vif-plugin", "example", "-k", "no", "-v").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--vif-plugin", "nowhere"], "no plugin 'nowhere' is installed (have"),
        (["--vif-plugin", "example", "--vif-option", "colour=red"], "has no option colour"),
        (["--vif-plugin", "example", "--vif-option", "max_mtu=red"], "max_mtu"),
        (["--vif-plugin", "example", "--vif-profile", "os:path"], "is no subclass of"),
        (["--vif-plugin", "example", "--vif-profile", "nowhere:X"], "No module named 'nowhere'"),
    ],
)
def test_what_cannot_be_run_is_said(author: Author, options: list[str], said: str) -> None:
    done = author.run(*options)
    assert done.returncode == 4
    assert said in done.stderr + done.stdout


def test_without_a_plugin_nothing_changes(author: Author) -> None:
    (author.directory / "test_own.py").write_text("def test_own(): pass\n")
    done = author.run()
    assert done.returncode == 0
    assert "1 passed" in done.stdout
