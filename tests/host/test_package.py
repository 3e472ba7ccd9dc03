"""The package on a host that boots: installed, used, broken, rebooted, upgraded, taken away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from host.booted import PACKAGES, Booted, host
from vifd.testing.wait import until

PORT = "00000001-5eed-4000-8000-000000000001"
TAP = "tap00000001-5e"
CONF = "[ovs]\ncreate_bridge = true\ndatapath_type = netdev\n"


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    with host("vifd-package") as made:
        yield made


def vifctl(booted: Booted, *arguments: str) -> Any:
    return json.loads(booted.run("vifctl", *arguments, "-f", "json"))


def port(booted: Booted) -> dict[str, Any]:
    shown: dict[str, Any] = vifctl(booted, "port", "show", PORT)
    return shown


def live(booted: Booted) -> bool:
    try:
        return bool(port(booted)["status"] == "ACTIVE")
    except (AssertionError, ValueError, KeyError):
        return False


def until_live(booted: Booted) -> None:
    until(
        lambda: live(booted), "the port is active", 120,
        lambda: booted.run("journalctl", "-u", "vifd", "-n", "40", "--no-pager", check=False),
    )  # fmt: skip


def package() -> str:
    return f"/packages/{next(PACKAGES.glob('vifd_*.deb')).name}"


def test_it_is_installed_and_runs(booted: Booted) -> None:
    booted.run("dpkg", "-i", package())
    assert booted.run("systemctl", "is-active", "vifd").strip() == "active"
    assert booted.run("systemctl", "is-enabled", "vifd").strip() == "enabled"
    assert vifctl(booted, "status")["ready"] is True


def test_the_switch_is_open_to_it(booted: Booted) -> None:
    booted.write("/etc/vifd/agent.conf", CONF)
    booted.run("systemctl", "restart", "vifd")
    plugins = {p["name"]: p for p in vifctl(booted, "plugin", "list")}
    assert plugins["ovs"]["state"] == "ready", plugins["ovs"]


def test_a_port_is_plugged_from_an_example(booted: Booted) -> None:
    booted.run("vifctl", "port", "plug", "-f", "/usr/share/doc/vifd/examples/local.json")
    assert live(booted)
    assert TAP in booted.run("ip", "-br", "link")


def test_it_has_the_capabilities_that_it_needs_and_no_more(booted: Booted) -> None:
    pid = booted.run("systemctl", "show", "-P", "MainPID", "vifd").strip()
    status = booted.run("cat", f"/proc/{pid}/status")
    match = re.search(r"CapEff:\s*(\w+)", status)
    assert match
    net_admin, dac_override = 1 << 12, 1 << 1
    assert int(match.group(1), 16) == net_admin | dac_override
    user = booted.run("stat", "-c", "%U", f"/proc/{pid}").strip()
    assert user == "vifd"


def test_the_unit_is_as_tight_as_it_says(booted: Booted) -> None:
    text = booted.run("systemd-analyze", "security", "--no-pager", "vifd.service", check=False)
    match = re.search(r"exposure level for vifd.service: ([\d.]+)", text)
    assert match, text
    assert float(match.group(1)) <= 2.0, text


def test_the_journal_of_the_system_has_its_lines(booted: Booted) -> None:
    text = booted.run("journalctl", "-u", "vifd", "--no-pager", "-o", "cat")
    assert PORT in text
    assert "Traceback" not in text


def test_others_leave_its_devices_alone(booted: Booted) -> None:
    booted.run("systemctl", "start", "systemd-networkd")
    text = booted.run("networkctl", "--no-pager", "--no-legend", "list")
    line = next(row for row in text.splitlines() if TAP in row)
    assert "unmanaged" in line


def test_the_manual_is_there(booted: Booted) -> None:
    for page in ("man8/vifd.8", "man1/vifctl.1", "man5/agent.conf.5"):
        booted.run("test", "-e", f"/usr/share/man/{page}.gz")


def test_a_restart_leaves_the_device_as_it_is(booted: Booted) -> None:
    before = booted.run("cat", f"/sys/class/net/{TAP}/ifindex")
    booted.run("systemctl", "restart", "vifd")
    assert live(booted)
    assert booted.run("cat", f"/sys/class/net/{TAP}/ifindex") == before


def test_killed_it_comes_back(booted: Booted) -> None:
    before = booted.run("systemctl", "show", "-P", "MainPID", "vifd")
    booted.run("systemctl", "kill", "-s", "KILL", "vifd")
    until(
        lambda: booted.run("systemctl", "show", "-P", "MainPID", "vifd") not in (before, "0\n"),
        "systemd has started it again", 60,
    )  # fmt: skip
    until_live(booted)


def test_stopped_in_its_tracks_the_watchdog_ends_it(booted: Booted) -> None:
    until(
        lambda: booted.run("systemctl", "is-active", "vifd", check=False) == "active\n",
        "systemd counts it as started, and watches it", 60,
    )  # fmt: skip
    restarts = int(booted.run("systemctl", "show", "-P", "NRestarts", "vifd"))
    booted.run("systemctl", "kill", "-s", "STOP", "vifd")
    until(
        lambda: int(booted.run("systemctl", "show", "-P", "NRestarts", "vifd")) > restarts,
        "the watchdog has seen it", 180,
    )  # fmt: skip
    until_live(booted)


def test_the_switch_restarted_by_its_unit(booted: Booted) -> None:
    booted.run("systemctl", "restart", "openvswitch-switch")
    until_live(booted)


@pytest.mark.parametrize("how", ["power_off", "power_cut"])
def test_after_a_reboot_the_ports_are_there_before_libvirt(booted: Booted, how: str) -> None:
    booted.write(
        "/etc/systemd/system/libvirtd.service.d/seen.conf",
        f"[Service]\nExecStartPre=/bin/sh -c 'ip -br link show {TAP} > /var/tmp/seen 2>&1'\n",
    )
    booted.run("systemctl", "enable", "libvirtd.service")
    booted.run("sync")
    booted.run("rm", "-f", "/var/tmp/seen")
    getattr(booted, how)()
    booted.power_on()
    until_live(booted)
    until(lambda: (booted.disk / "var/tmp/seen").exists(), "libvirt was started", 60)
    assert (booted.disk / "var/tmp/seen").read_text().startswith(TAP)


def test_a_full_disk_is_said(booted: Booted) -> None:
    booted.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt")
    booted.run("systemctl", "stop", "vifd")
    booted.run("sh", "-c", "cp -a /var/lib/vifd/. /mnt/ && mount --bind /mnt /var/lib/vifd")
    booted.run("chown", "vifd:vifd", "/var/lib/vifd")
    booted.run("systemctl", "start", "vifd")
    until_live(booted)
    booted.run("sh", "-c", "dd if=/dev/zero of=/mnt/full bs=1k 2>/dev/null || true")
    refused = booted.run(
        "sh", "-c", "vifctl port example two | vifctl port plug -f - 2>&1", check=False
    )
    assert "E_REC_STORE" in refused, refused
    booted.run("rm", "/mnt/full")
    until(lambda: not vifctl(booted, "status").get("journal_problem"), "it can write again", 60)
    booted.run("systemctl", "stop", "vifd")
    booted.run("umount", "/var/lib/vifd")
    booted.run("umount", "/mnt")
    booted.run("systemctl", "start", "vifd")
    until_live(booted)


def test_an_upgrade_touches_no_port(booted: Booted) -> None:
    before = booted.run("cat", f"/sys/class/net/{TAP}/ifindex")
    pid = booted.run("systemctl", "show", "-P", "MainPID", "vifd")
    booted.run("dpkg", "-i", package())
    assert booted.run("systemctl", "show", "-P", "MainPID", "vifd") != pid
    until_live(booted)
    assert booted.run("cat", f"/sys/class/net/{TAP}/ifindex") == before
    assert booted.run("cat", "/etc/vifd/agent.conf") == CONF


def test_a_package_that_cannot_read_the_journal_is_refused(booted: Booted) -> None:
    booted.run("systemctl", "stop", "vifd")
    raise_version = (
        "import sqlite3; db = sqlite3.connect('/var/lib/vifd/journal.db');"
        "have = db.execute('PRAGMA user_version').fetchone()[0];"
        "db.execute(f'PRAGMA user_version = {have + STEP}'); db.commit()"
    )
    booted.run("python3", "-c", raise_version.replace("STEP", "1"))
    refused = booted.run("dpkg", "-i", package(), check=False)
    assert "was written by a newer vifd" in refused
    booted.run("python3", "-c", raise_version.replace("STEP", "-1"))
    booted.run("chown", "-R", "vifd:vifd", "/var/lib/vifd")
    booted.run("dpkg", "-i", package())
    booted.run("systemctl", "start", "vifd")
    until_live(booted)


def test_removed_it_leaves_the_ports_and_says_so(booted: Booted) -> None:
    said = booted.run("dpkg", "-r", "vifd")
    assert "the ports stay as they are" in said
    assert TAP in booted.run("ip", "-br", "link")
    assert TAP in booted.run("ovs-vsctl", "list-ports", "br-int")


def test_purged_it_says_what_it_leaves_and_a_new_one_takes_it_back(booted: Booted) -> None:
    said = booted.run("dpkg", "-P", "vifd")
    assert "1 devices of ports stay on this host" in said
    assert booted.run("sh", "-c", "ls -d /var/lib/vifd 2>/dev/null || true") == ""
    booted.write("/etc/vifd/agent.conf", CONF)
    booted.run("dpkg", "--force-confold", "-i", package())
    until_live(booted)
