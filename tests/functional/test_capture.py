"""``vifctl port capture`` and ``port top`` on real devices: both sides of a filter, and killed."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, equal_to
from vifd.testing.sandbox import PrivateOvs, program
from vifd.testing.wait import until

MAC = {n: f"fa:16:3e:00:00:{n:02x}" for n in (1, 2)}
IP = {n: f"10.0.0.{n}" for n in (1, 2)}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs) as daemon:
        for number in (1, 2):
            assert daemon.plug(document(number))[0] == 201
        yield daemon
        daemon.clear()


@pytest.fixture
def guests(vifd: Vifd, ovs: PrivateOvs) -> Iterator[dict[int, TapGuest]]:
    made = {n: TapGuest(f"tap0000000{n}-00") for n in (1, 2)}
    for guest in made.values():
        ovs.wait_for_carrier(guest.name)
    yield made
    for guest in made.values():
        guest.close()


def vifctl(vifd: Vifd, *argv: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, "VIFD_SOCKET": str(vifd.socket)}
    return subprocess.Popen(
        [sys.executable, "-m", "vifd.cli.main", *argv], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip


def capturing(vifd: Vifd, path: Path, *argv: str) -> subprocess.Popen[str]:
    """Begun, and listening: the file's head is written once it is."""
    process = vifctl(vifd, "port", "capture", port_id(1), "-w", str(path), *argv)
    until(lambda: path.exists() and path.stat().st_size > 0, "it listens")
    return process


def names(path: Path, word: bytes) -> list[str]:
    """The devices on which frames with a word were seen, of a pcapng."""
    data, at, devices, found = path.read_bytes(), 0, [], []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == 1:
            size = struct.unpack_from("<H", data, at + 18)[0]
            devices.append(data[at + 20 : at + 20 + size].decode())
        elif kind == 6 and word in data[at : at + length]:
            found.append(devices[struct.unpack_from("<I", data, at + 8)[0]])
        at += length
    return found


def test_what_the_filter_dropped_is_on_one_side_alone(
    vifd: Vifd, ovs: PrivateOvs, guests: dict[int, TapGuest], tmp_path: Path
) -> None:
    path = tmp_path / "both.pcapng"
    process = capturing(vifd, path, "--side", "both")
    spoofed = frames.udp(MAC[1], MAC[2], "10.9.9.9", IP[2], b"spoofed")
    honest = frames.udp(MAC[1], MAC[2], IP[1], IP[2], b"honest")
    guests[1].send(spoofed)
    guests[1].send(honest)
    guests[2].recv(predicate=equal_to(honest))
    until(lambda: path.read_bytes().count(b"honest") >= 2, "it was seen on both sides")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "2 frames sent by the guest" in said
    data = path.read_bytes()
    assert (data.count(b"spoofed"), data.count(b"honest")) == (1, 2)
    assert names(path, b"spoofed") == ["tap00000001-00"]
    assert sorted(names(path, b"honest")) == ["tap00000001-00", "tap00000002-00"]
    if (tcpdump := program("tcpdump")) is not None:
        read = subprocess.run([tcpdump, "-nr", path], capture_output=True, text=True, check=False)
        assert read.returncode or read.stdout.count("10.0.0.1.") == 2, read.stderr


def test_bounded_by_count_and_killed_in_the_middle_it_leaves_a_file_that_is_whole(
    vifd: Vifd, ovs: PrivateOvs, guests: dict[int, TapGuest], tmp_path: Path
) -> None:
    path = tmp_path / "one.pcap"
    process = capturing(vifd, path, "--count", "2")
    for word in (b"first", b"second"):
        guests[1].send(frames.udp(MAC[1], MAC[2], IP[1], IP[2], word))
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "2 frames sent" in said) == (0, True), said
    assert path.stat().st_mode & 0o777 == 0o600

    before = ovs.vsctl("list", "mirror"), ovs.ofctl("dump-flows", "br-int", "--no-stats")
    path = tmp_path / "killed.pcap"
    process = capturing(vifd, path)
    guests[1].send(frames.udp(MAC[1], MAC[2], IP[1], IP[2], b"kept"))
    until(lambda: b"kept" in path.read_bytes(), "the frame is in the file")
    process.kill()
    process.communicate(timeout=60)
    data, at = path.read_bytes(), 24
    while at < len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    assert at == len(data), "the last frame is whole"
    assert (ovs.vsctl("list", "mirror"), ovs.ofctl("dump-flows", "br-int", "--no-stats")) == before


def test_the_port_with_traffic_is_on_top(vifd: Vifd, guests: dict[int, TapGuest]) -> None:
    """Frames go on while it counts, so that the interval cannot miss them."""
    process = vifctl(vifd, "port", "top", "--once", "--interval", "2", "-f", "json")
    frame = frames.udp(MAC[2], MAC[1], IP[2], IP[1], b"x" * 1000)

    def ended() -> bool:
        guests[2].send(frame)
        guests[1].drain()
        return process.poll() is not None

    until(ended, "it has counted")
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    first, second = json.loads(out)
    assert (first["id"], second["id"]) in ((port_id(1), port_id(2)), (port_id(2), port_id(1)))
    rows = {row["id"]: row for row in (first, second)}
    assert rows[port_id(2)]["bits_out"] > 0
    assert rows[port_id(1)]["bits_in"] > 0
