"""``make run``, with and without KEEP=1."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from vifd.testing import demo_text
from vifd.testing.daemon import UnixConnection
from vifd.testing.demo_traffic import GUESTS, Result
from vifd.testing.wait import until

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vifd.testing.demo"], env={**ENVIRONMENT, **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_it_proves_what_it_says_and_leaves_nothing() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is left behind" in done.stdout
    assert re.search(r"web ──> db +200 of 200 frames", done.stdout)
    assert re.search(r"web ✕ > spy +0 of 200 frames", done.stdout)
    assert len(re.findall(r"tap[0-9a-f-]{11} .*ACTIVE|ACTIVE .*tap[0-9a-f-]{11}", done.stdout)) == 3


def test_kept_it_can_be_talked_to_and_ended() -> None:
    done = run(KEEP="1")
    assert done.returncode == 0, done.stdout + done.stderr
    pid = int(found(r"^ +kill (\d+)$", done.stdout))
    try:
        socket = Path(found(r"--socket (\S+)", done.stdout))
        connection = UnixConnection(socket)
        connection.request("GET", "/v1/ports")
        ports = json.loads(connection.getresponse().read())["ports"]
        connection.close()
        assert {port["status"] for port in ports} == {"ACTIVE"}
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not _runs(pid), "it has ended", timeout=20)
    assert not socket.parent.exists()


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, text
    return match[1]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_frame_too_few_or_too_many_is_told() -> None:
    lost = Result("UDP", "web", "db", passes=True, sent=50, arrived=49)
    leak = Result("UDP", "web", "spy", passes=False, sent=50, arrived=1)
    assert not lost.as_expected
    assert not leak.as_expected
    assert demo_text.traffic([lost, leak]).count("WRONG") == 2


def test_the_documents_are_of_two_networks_with_one_subnet() -> None:
    documents = [guest.document() for guest in GUESTS]
    assert len({document["network"]["id"] for document in documents}) == 2
    assert len({document["port"]["id"] for document in documents}) == 3
    assert {document["subnets"][0]["cidr"] for document in documents} == {"10.0.0.0/24"}
