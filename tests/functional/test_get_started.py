"""The page "Get started", word for word: its demonstration, and its two ports without a guest.

Its last part, two guests of libvirt, is run by ``tests/system/test_wire.py``; the second part
once more on a Debian that boots, with the package, by ``make test-host``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/get-started.md").read_text()
#: What a line is written in, its mark, and who runs it.
TESTS = {
    "run": "tests/functional/test_get_started.py",
    "guided": "tests/functional/test_get_started.py",
    "wire": "tests/system/test_wire.py",
}


def blocks(mark: str) -> list[list[str]]:
    """The commands of each block of the page with a mark."""
    found = re.findall(rf"<!-- test: {mark} -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    return [re.findall(r"^# (.*)$", block, re.MULTILINE) for block in found]


def test_no_command_of_the_page_is_without_a_test() -> None:
    everything = re.findall(r"^# (.*)$", "".join(re.findall(r"```console\n(.*?)```", PAGE, re.S)),
                            re.MULTILINE)  # fmt: skip
    tested = [line for mark in TESTS for block in blocks(mark) for line in block]
    assert sorted(tested) == sorted(everything)
    for mark, file in TESTS.items():
        assert re.search(rf"test: {mark} |blocks\(.{mark}.\)", (ROOT / file).read_text())


@pytest.fixture
def shell(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """What a command says to somebody who types it beside a daemon that is there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "vifctl"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m vifd.cli.main "$@"\n')
    script.chmod(0o755)
    with Vifd(tmp_path / "v", ovs) as daemon:
        env = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "VIFD_SOCKET": str(daemon.socket),
        }  # fmt: skip

        def run(line: str) -> str:
            done = subprocess.run(
                ["sh", "-c", line], cwd=tmp_path, env=env, text=True, timeout=240, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}"
            return done.stdout

        yield run
        daemon.clear()


def test_two_ports(shell: Callable[[str], str]) -> None:
    def do(block: list[str]) -> str:
        return "".join(map(shell, block))

    begin, plug, look, broken, gone = blocks("guided")
    said = do(begin)
    assert re.search(r"ready +\| (yes|True)", said), said
    assert re.search(r"\| ovs .*ready", said), said
    assert do(plug).count("ACTIVE") >= 4  # plugged, and listed
    assert "nothing is broken" in do(look)
    do(broken)
    until(lambda: shell("ip -br link").count("tap0000000") == 2, "the device is back")
    until(lambda: shell("vifctl port list").count("ACTIVE") == 2, "both are active again")
    assert "left" not in do(gone).splitlines()[-1]


def test_the_demonstration() -> None:
    python = ROOT / ".venv/bin/python"
    if not (ROOT / ".venv/stamp").exists() or not os.path.samefile(python, sys.executable):
        pytest.skip("the tree is not made ready by its Makefile, and nothing can be fetched here")
    ((line,),) = blocks("run")
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, text=True, timeout=480, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "All as it should be" in done.stdout
