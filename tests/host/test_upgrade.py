"""From the last release to this one and back, with 50 ports under traffic: no frame is lost."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host.booted import PACKAGES, Booted, host
from vifd.testing import frames
from vifd.testing.wait import until

PORTS = 50
#: Seconds for a package to be installed and every port proven, on a loaded machine.
PATIENCE = 300.0
CONF = "[ovs]\ncreate_bridge = true\ndatapath_type = netdev\n"
NETWORK = "0d1e0000-0000-4000-8000-000000000001"
SUBNET = "0d1e0000-0000-4000-8000-000000000002"
STREAM = "/run/stream"


def new() -> str:
    return f"/packages/{next(PACKAGES.glob('vifd_*.deb')).name}"


def previous() -> str:
    return f"/packages/previous/{next((PACKAGES / 'previous').glob('vifd_*.deb')).name}"


def port_id(number: int) -> str:
    return f"{number:08x}-5eed-4000-8000-000000000001"


def mac(number: int) -> str:
    return f"fa:16:3e:5e:ed:{number:02x}"


def address(number: int) -> str:
    return f"192.0.2.{number}"


def device(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def document(number: int) -> dict[str, Any]:
    return {
        "version": "1.0",
        "role": "ACTIVE",
        "port": {"id": port_id(number), "name": f"guest-{number}", "mac_address": mac(number)},
        "network": {"id": NETWORK, "mtu": 1450, "segment": {"network_type": "local"}},
        "fixed_ips": [{"ip_address": address(number), "subnet_id": SUBNET}],
        "subnets": [{"id": SUBNET, "cidr": "192.0.2.0/24", "gateway_ip": "192.0.2.254"}],
    }


def pairs() -> list[list[str]]:
    """Every port talks to its neighbour, and hears it."""
    said = b"vifd" + bytes(16)
    talk = [(n, n + 1 if n % 2 else n - 1) for n in range(1, PORTS + 1)]
    return [
        [device(a), device(b), frames.udp(mac(a), mac(b), address(a), address(b), said).hex()]
        for a, b in talk
    ]


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    """The last release, with its ports."""
    with host("vifd-upgrade") as made:
        made.write("/etc/vifd/agent.conf", CONF)
        install(made, previous())
        made.write(
            "/root/ports.json", json.dumps({"ports": [document(n + 1) for n in range(PORTS)]})
        )
        made.run("vifctl", "--timeout", "300", "port", "plug", "-f", "/root/ports.json")
        until_live(made)
        made.write("/root/stream.py", Path(__file__).with_name("stream.py").read_text())
        yield made


def install(booted: Booted, package: str, *options: str, check: bool = True) -> str:
    """As an operator does it; there is no network, so nothing else can come along."""
    return booted.run(
        "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *options,
        "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", package, check=check,
    )  # fmt: skip


def active(booted: Booted) -> int:
    said = booted.run("vifctl", "port", "list", "-f", "json", check=False)
    try:
        return sum(port["status"] == "ACTIVE" for port in json.loads(said))
    except (ValueError, TypeError, KeyError):
        return 0


def until_live(booted: Booted) -> None:
    until(
        lambda: active(booted) == PORTS, "every port is active", PATIENCE,
        lambda: booted.run("journalctl", "-u", "vifd", "-n", "60", "--no-pager", check=False),
    )  # fmt: skip


def version(booted: Booted) -> str:
    return booted.run("dpkg-query", "-W", "-f", "${Version}", "vifd")


def indexes(booted: Booted) -> str:
    return booted.run("sh", "-c", "grep . /sys/class/net/tap*/ifindex")


@contextlib.contextmanager
def traffic(booted: Booted) -> Iterator[dict[str, Any]]:
    """Every port sends and hears meanwhile; nothing is lost, and the counts are told after."""
    booted.run("sh", "-c", f"rm -f {STREAM}*")
    # /run is the container's own, so the file goes in from inside
    subject = json.dumps({"pairs": pairs()})
    booted.write("/root/pairs.json", subject)
    booted.run("cp", "/root/pairs.json", STREAM)
    booted.run("systemctl", "reset-failed", "stream", check=False)
    booted.run(
        "systemd-run", "--quiet", "--unit=stream", "--collect", "python3", "/root/stream.py", STREAM
    )
    counts: dict[str, Any] = {}
    until(
        lambda: there(booted, "ready"), "every pair is heard", PATIENCE,
        lambda: booted.run("journalctl", "-u", "stream", "-n", "20", "--no-pager", check=False),
    )  # fmt: skip
    yield counts
    booted.run("touch", f"{STREAM}.stop")
    until(lambda: there(booted, "result"), "the counts are there", PATIENCE)
    counts.update(json.loads(booted.run("cat", f"{STREAM}.result")))
    print(counts)
    assert counts["sent"] >= 10 * PORTS
    assert counts["lost"] == {}, counts


def there(booted: Booted, what: str) -> bool:
    return booted.run("sh", "-c", f"ls {STREAM}.{what} 2>/dev/null || true").strip() != ""


def test_the_upgrade(booted: Booted) -> None:
    assert version(booted) == subprocess.run(
        ["dpkg-deb", "-f", PACKAGES / "previous" / Path(previous()).name, "Version"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    before, old = indexes(booted), version(booted)
    with traffic(booted):
        install(booted, new())
        until_live(booted)
    assert version(booted) != old
    assert indexes(booted) == before
    assert booted.run("vifctl", "port", "list", "--status", "ERROR", "-f", "value") == ""
    assert booted.run("cat", "/etc/vifd/agent.conf") == CONF


def test_a_restart_of_its_unit(booted: Booted) -> None:
    with traffic(booted):
        booted.run("systemctl", "restart", "vifd")
        until_live(booted)


def test_going_back_is_done_or_refused_by_what_the_journal_says(booted: Booted) -> None:
    understood = int(re.findall(r"^UNDERSTOOD=(\d+)", subprocess.run(
        ["dpkg-deb", "-I", PACKAGES / "previous" / Path(previous()).name, "preinst"],
        capture_output=True, text=True, check=True,
    ).stdout, re.MULTILINE)[0])  # fmt: skip
    have = int(booted.run("python3", "-c", (
        "import sqlite3; journal = sqlite3.connect('/var/lib/vifd/journal.db');"
        "print(journal.execute('PRAGMA user_version').fetchone()[0])"
    )))  # fmt: skip
    now = version(booted)
    with traffic(booted):
        said = install(booted, previous(), "--allow-downgrades", check=False)
        until_live(booted)
    if have > understood:
        assert "was written by a newer vifd" in said, said
        assert version(booted) == now
        return
    assert version(booted) != now, said
    with traffic(booted):
        install(booted, new())
        until_live(booted)
    assert version(booted) == now


def test_removed_and_purged_it_leaves_ports_that_pass(booted: Booted) -> None:
    with traffic(booted):
        said = booted.run(
            "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "remove", "-y", "vifd"
        )
        assert "the ports stay as they are" in said
        said = booted.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "purge", "-y", "vifd")
        assert f"{PORTS} devices of ports stay on this host" in said


def test_installed_again_it_takes_them_back(booted: Booted) -> None:
    before = indexes(booted)
    with traffic(booted):
        booted.write("/etc/vifd/agent.conf", CONF)
        install(booted, new())
        until_live(booted)
    assert indexes(booted) == before
