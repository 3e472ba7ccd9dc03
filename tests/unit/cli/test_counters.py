"""Counters and rates of ports, and captured frames as files."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from unit.api.client import Client, uuid
from vifd.cli import capture, counters, countlines, refusals, top
from vifd.cli.counters import Count, Rate
from vifd.cli.pcap import Frame, Pcap, Pcapng
from vifd.model.counted import Count as Count_
from vifd.model.counted import Counted, Reason, Way

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
tap0000:   1000      10    1    2    0     0          0         0     5000   50    3    4 0 0 0 0
"""


def test_the_kernel_counts_from_its_side_and_we_from_the_guests() -> None:
    found = counters.parse(TABLE)
    assert found["tap0000"] == Count(1000, 10, 2, 5000, 50, 4)
    assert found["lo"] == Count(0, 0, 0, 0, 0, 0)


def test_this_machine_has_its_devices() -> None:
    assert "lo" in counters.parse(counters.DEVICES.read_text())


def test_rates_and_a_device_that_was_made_anew() -> None:
    before = {"a": Count(0, 0, 0, 1000, 10, 0), "b": Count(9, 9, 9, 9, 9, 9)}
    now = {"a": Count(500, 5, 0, 3000, 30, 2), "b": Count(1, 1, 0, 0, 0, 0), "c": before["b"]}
    found = counters.rates(before, now, 2.0)
    assert found["a"] == Rate(2000.0, 2.5, 8000.0, 10.0, 1.0)
    assert found["b"] == found["c"] == Rate(0, 0, 0, 0, 0)


def test_a_vhost_user_port_is_counted_by_the_switch(tmp_path: Path) -> None:
    """The database answers in pieces, with an echo of its own before."""
    said = [
        ["rx_bytes", 7],
        ["rx_packets", 1],
        ["tx_bytes", 9],
        ["tx_packets", 2],
        ["rx_dropped", 3],
    ]
    row = {"name": "vhu1", "statistics": ["map", said]}
    answer = json.dumps({"id": "vifctl", "result": [{"rows": [row]}], "error": None}).encode()
    echo = json.dumps({"id": "echo", "method": "echo", "params": []}).encode()
    path = str(tmp_path / "db.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(echo + answer[:20])
                connection.sendall(answer[20:])

        thread = threading.Thread(target=serve)
        thread.start()
        ports = [{"id": "1", "device": "vhu1", "vif": {"type": "vhostuser"}}]
        assert counters.read(ports, path) == {"1": Count(7, 1, 3, 9, 2, 0)}
        thread.join()
    assert counters.read(ports, path) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (1234567, "1.23 M"), (9.99e9, "9.99 G"), (2e12, "2 T")],
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert top.number(value) == text


@pytest.fixture
def plugged(served):
    client = Client(served.path)
    for number in (1, 2):
        assert client.plug(number).status == 201
    client.close()


def test_top_once_for_people_and_programs(vifctl, plugged) -> None:
    done = vifctl("port", "top", "--once", "--interval", "0.1")
    assert done.code == 0, done.err
    assert "| -  " in done.out  # the ports have no devices here
    assert max(map(len, done.out.splitlines())) <= 80
    rows = vifctl("port", "top", "--once", "--interval", "0.1", "-f", "json").json
    assert [row["id"] for row in rows] == [uuid(1), uuid(2)]
    assert rows[0]["bits_out"] == 0
    endless = vifctl("port", "top", "-f", "json")
    assert (endless.code, "--once" in endless.err) == (2, True)
    assert vifctl("port", "top", "--interval", "0").code == 2


def told(at, since=1.0, **ways):
    """Counters as the daemon answers them: by direction, what passed and what was refused."""
    found = {"port": uuid(1), "at": at, "since": since, "sent": {}, "received": {}}
    for name, (packets, octets) in ways.items():
        way, _, what = name.partition("_")
        count = {"packets": packets, "bytes": octets}
        if what in ("passed", "offered"):
            found[way][what] = count
        else:
            found[way].setdefault("refused", {})[what] = count
    return found


def test_what_was_refused_between_two_readings() -> None:
    before = told(10.0, sent_passed=(5, 500), sent_spoofed=(1, 60), received_passed=(0, 0))
    now = told(14.0, sent_passed=(25, 2500), sent_spoofed=(9, 540), sent_no_rule=(2, 120),
               received_passed=(8, 800), received_limited=(4, 4000))  # fmt: skip
    became = refusals.between(before, now)
    assert became["sent", "passed"] == (5.0, 500.0)
    found = refusals.refused(became)
    assert (found.total, str(found)) == (3.5, "spoofed…")
    assert refusals.rate(became) == Rate(4000.0, 5.0, 1600.0, 2.0, 0.0)
    whole = dict(zip(refusals.COLUMNS, refusals.whole(became), strict=True))
    assert (whole["sent_spoofed_frames"], whole["sent_spoofed_bits"]) == (2.0, 960.0)
    assert (whole["received_limited_frames"], whole["received_limited_bits"]) == (1.0, 8000.0)
    assert whole["sent_no_way_frames"] == 0


def test_every_reason_has_its_columns() -> None:
    assert tuple(reason.value for reason in Reason) == countlines.REASONS


def test_a_reading_that_is_not_comparable_says_nothing() -> None:
    before = told(10.0, sent_passed=(5, 500))
    assert refusals.between(None, before) == {}
    assert refusals.between(before, told(10.0, sent_passed=(6, 600))) == {}, "the same reading"
    assert refusals.between(before, told(20.0, 15.0, sent_passed=(6, 600))) == {}, "a new daemon"
    assert refusals.by_port([told(0.0), told(1.0)]).keys() == {uuid(1)}


def test_top_has_what_the_daemon_alone_counts(vifctl, plugged, backend) -> None:
    """A port without a device, as a trunk's sub-port, has rates all the same."""
    counts = itertools.count(1)

    class Growing(dict):
        def __contains__(self, port: object) -> bool:
            return port == uuid(2)

        def __getitem__(self, port: str) -> Counted:
            n = next(counts)
            refused = {Reason.SPOOFED: Count_(1000 * n, 60_000 * n)}
            return Counted(sent=Way(offered=Count_(3000 * n, 180_000 * n), refused=refused),
                           received=Way(passed=Count_(10 * n, 600 * n)))  # fmt: skip

    backend.counting.counted = Growing()
    done = vifctl("port", "top", "--once", "--interval", "0.1", "--by", "refused")
    assert done.code == 0, done.err
    first = next(line for line in done.out.splitlines() if "|" in line and "bit/s" in line)
    assert "k spoofed |" in first
    assert max(map(len, done.out.splitlines())) <= 80
    rows = vifctl("port", "top", "--once", "--interval", "0.1", "-f", "json").json
    (row,) = [row for row in rows if row["id"] == uuid(2)]
    assert row["refused"] == row["sent_spoofed_frames"] > 0
    assert row["bits_out"] > row["sent_spoofed_bits"] > 0


def test_the_counters_of_all_ports_are_one_call(vifctl, plugged, served, backend) -> None:
    client = Client(served.path)
    try:
        found = client.call("GET", "/v1/counters").json["ports"]
        assert [each["port"] for each in found] == [uuid(1), uuid(2)]
        assert client.call("GET", "/v1/counters?timeout=soon").status == 400
        backend._running.clear()
        late = client.call("GET", "/v1/counters?timeout=0").json["ports"]
        assert all("took more than 0 s" in each["note"] for each in late)
    finally:
        backend._running.set()
        client.close()


FRAMES = [Frame(1_700_000_000_123_456_789, "tap1", False, b"\x01" * 61, 61),
          Frame(1_700_000_001_000_000_001, "tap2", True, b"\x02" * 64, 1500)]  # fmt: skip


def test_a_classic_file_is_what_it_shall_be() -> None:
    made = Pcap(96)
    data = made.head() + b"".join(map(made.frame, FRAMES))
    assert struct.unpack_from("<IHHiIII", data) == (0xA1B23C4D, 2, 4, 0, 0, 96, 1)
    assert struct.unpack_from("<IIII", data, 24) == (1_700_000_000, 123_456_789, 61, 61)
    assert struct.unpack_from("<IIII", data, 24 + 16 + 61)[2:] == (64, 1500)


def test_a_file_of_several_devices_names_each_once_before_its_first_frame() -> None:
    made = Pcapng(96)
    data = made.head() + b"".join(map(made.frame, [*FRAMES, *FRAMES]))
    kinds = []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        kinds.append(kind)
        at += length
    assert kinds == [0x0A0D0D0A, 1, 6, 1, 6, 6, 6]


def test_a_frame_in_one_line() -> None:
    frame = Frame(1_700_000_000_123_456_789, "tap1", True, bytes(12) + b"\x08\x06" + bytes(28), 42)
    assert capture.line(frame, "tap1") == (
        "22:13:20.123456 → guest    00:00:00:00:00:00 > 00:00:00:00:00:00 ARP 42 bytes"
    )
    assert "→ tap1" in capture.line(frame, "tap2")


def test_what_cannot_be_captured_is_said(vifctl, plugged, tmp_path) -> None:
    done = vifctl("port", "capture", uuid(1), "-c", "1")
    assert done.code == 2
    assert "cannot listen to" in done.err or "root only" in done.err
    assert vifctl("port", "capture", uuid(9)).code == 4
    assert vifctl("port", "capture", uuid(1), "-c", "0").code == 2


def test_a_port_whose_device_is_not_here_has_no_rate() -> None:
    port = {"id": "1", "status": "DOWN", "document": {"port": {"name": "web"}}}
    assert top._row("1", port, None) == ["1", "web", "DOWN", "-", "-", "-", "-", "-", "-"]
    assert top._row("1", port, Rate(0, 0, 0, 0, 0))[3:5] == ["0 bit/s", "0"]
