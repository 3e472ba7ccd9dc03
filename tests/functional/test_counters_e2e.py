"""What the daemon says of the frames of a port, through restarts of either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_daemon import FAST, _text
from unit.docs import document, port_id
from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, mac
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

PATH = f"/v1/ports/{port_id(1)}/counters"


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, FAST) as daemon:
        yield daemon


def refused(vifd: Vifd, reason: str) -> int:
    found: dict[str, Any] = vifd.get(PATH)
    return int(found["sent"]["refused"].get(reason, {}).get("packets", 0))


def metric(vifd: Vifd, result: str) -> float:
    """The sum of a metric, which is that of an earlier scrape."""
    lines = _text(vifd, "/metrics").splitlines()
    name = f'vifd_port_frames_total{{direction="sent",plugin="ovs",result="{result}"}}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_counters_outlive_what_counts(ovs: PrivateOvs, vifd: Vifd) -> None:
    assert vifd.plug(document(1))[0] == 201
    device = vifd.get(f"/v1/ports/{port_id(1)}")["device"]
    spoofed = f.udp(mac(1), mac(2), "10.77.0.1", ipv4(2))
    ovs.wait_for_no_carrier(device)
    with TapGuest(device) as guest:
        ovs.wait_for_carrier(device)
        for _ in range(3):
            guest.send(spoofed)
        until(
            lambda: refused(vifd, "spoofed") == 3,
            "three are counted",
            told=lambda: vifd.get(PATH),
        )
        until(lambda: metric(vifd, "spoofed") == 3, "and scraped")
        (each,) = vifd.get("/v1/counters")["ports"]
        assert (each["port"], each["sent"]["refused"]["spoofed"]["packets"]) == (port_id(1), 3)

        ovs.vswitchd.kill()
        ovs.vswitchd.start()
        until(lambda: vifd.get(f"/v1/ports/{port_id(1)}")["status"] == "ACTIVE", "it is back")
        until(lambda: vifd.get(PATH)["note"] == "", "the switch answers")
        assert refused(vifd, "spoofed") == 3
        assert vifd.get(PATH)["resets"] >= 1
        ovs.wait_for_carrier(device)
        guest.send(spoofed)
        until(lambda: refused(vifd, "spoofed") == 4, "it goes on")

        vifd.kill()
        vifd.start()
        vifd.ready()
        assert refused(vifd, "spoofed") >= 1  # a new daemon begins with what the switch has

    assert vifd.unplug(port_id(1))[0] == 204
    assert vifd.call("GET", PATH)[0] == 404
