"""``make run``, with and without KEEP=1."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import demo, demo_text
from support.demo_traffic import GUESTS, LINUX_BRIDGE, OVS, Result
from vifd.testing.daemon import UnixConnection
from vifd.testing.wait import until

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "support.demo"], env={**ENVIRONMENT, **environment},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@functools.cache
def plain() -> subprocess.CompletedProcess[str]:
    """What ``make run`` says, once for all who read it."""
    return run()


def test_it_proves_what_it_says_and_leaves_nothing() -> None:
    done = plain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is left behind" in done.stdout
    for pair in ("web ──> db", "db ──> web"):
        assert re.search(rf"{pair} +200 of 200 frames", done.stdout)
    assert re.search(r"web ✕ > spy +0 of 200 frames", done.stdout)
    bridged = plugin_states(done.stdout)["linuxbridge"] != "unavailable"
    assert len(active(done.stdout)) == (5 if bridged else 3)


def test_it_shows_every_plugin_with_what_its_probe_says() -> None:
    done = plain()
    states = plugin_states(done.stdout)
    assert set(states) >= {"ovs", "linuxbridge", "vhostuser", "noop"}
    assert states["ovs"] == states["noop"] == "ready"
    assert re.search(r"vhostuser +unavailable +\S+", done.stdout)


def test_guests_on_a_linux_bridge_reach_each_other_and_nobody_else() -> None:
    done = plain()
    if plugin_states(done.stdout)["linuxbridge"] == "unavailable":
        pytest.skip(found(r"^ +linuxbridge +unavailable +(.*)$", done.stdout))
    for pair in ("app ──> cache", "cache ──> app"):
        assert re.search(rf"{pair} +200 of 200 frames", done.stdout)
    for pair in ("app ✕ > web", "app ✕ > spy", "web ✕ > app"):
        assert re.search(rf"{pair} +0 of 200 frames", done.stdout)
    assert re.search(r"ok +app -> cache +foreign MAC, .* 350 +0 +none", done.stdout)
    assert "linuxbridge: brq" in done.stdout


def plugin_states(text: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) +(ready|degraded|unavailable|refused) ", text, re.MULTILINE))


def active(text: str) -> list[str]:
    return re.findall(r"^\| \S+ +\| \S+ +\| ACTIVE \| LIVE .*tap[0-9a-f-]{11}", text, re.MULTILINE)


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
    until(lambda: not _runs(pid), "it has ended")
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


def test_without_a_linux_bridge_the_switch_is_shown_alone() -> None:
    able = [{"name": OVS, "state": "ready"}, {"name": LINUX_BRIDGE, "state": "degraded"}]
    unable = [{"name": OVS, "state": "ready"}, {"name": LINUX_BRIDGE, "state": "unavailable"}]
    assert demo.served(able) == list(GUESTS)
    assert [guest.name for guest in demo.served(unable)] == ["web", "db", "spy"]


def test_long_reasons_are_broken_and_none_is_lost() -> None:
    reasons = ["the kernel has no bridges " * 4, "and no filter"]
    text = demo_text.plugins([{"name": "linuxbridge", "state": "unavailable", "reasons": reasons}])
    assert max(map(len, text.splitlines())) <= 100
    told = " ".join(text.replace("linuxbridge", "").split())
    assert " ".join("; ".join(reasons).split()) in told


def test_the_documents_are_of_three_networks_with_one_subnet() -> None:
    documents = [guest.document() for guest in GUESTS]
    assert len({document["network"]["id"] for document in documents}) == 3
    assert len({document["port"]["id"] for document in documents}) == 5
    assert {document["subnets"][0]["cidr"] for document in documents} == {"10.0.0.0/24"}
    assert {document["plugin"] for document in documents} == {OVS, LINUX_BRIDGE}


def test_ctrl_c_is_no_traceback_and_leaves_nothing() -> None:
    # short: sockets are put below it
    with tempfile.TemporaryDirectory(prefix="vr-") as place:
        _interrupted(Path(place))


def _interrupted(place: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "support.demo"],
        env={**ENVIRONMENT, "TMPDIR": str(place)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if " ms " in line:  # it is at work
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert "everything was taken away again" in err
    assert list(place.glob("vifd-run-*")) == []
