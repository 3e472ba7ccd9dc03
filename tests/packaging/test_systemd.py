"""The unit file, judged by systemd itself."""

import re
import subprocess
from pathlib import Path

import pytest

from vifd.testing.sandbox import program

DIRECTORY = Path(__file__).parents[2] / "etc" / "systemd"
UNIT = DIRECTORY / "vifd.service"

#: Exposure by systemd's own measure, in tenths (0 is locked up, 100 is open). What remains is what
#: the daemon is for: the host's network, netlink, CAP_NET_ADMIN and the sockets of Open vSwitch.
EXPOSURE = 24


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = program("systemd-analyze")
    assert path is not None
    return subprocess.run(
        [path, "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on every machine."""
    path = tmp_path / UNIT.name
    text, count = re.subn(r"^ExecStart=/usr/bin/vifd", "ExecStart=/bin/true", UNIT.read_text(),
                          flags=re.MULTILINE)  # fmt: skip
    assert count == 1
    path.write_text(text)
    return path


@pytest.mark.needs("program:systemd-analyze")
def test_every_line_is_understood(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.needs("program:systemd-analyze")
def test_a_wrong_line_would_be_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHouse=yes"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "ProtectHouse" in done.stderr


@pytest.mark.needs("program:systemd-analyze")
def test_exposure_is_low(unit: Path) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.needs("program:systemd-sysusers")
def test_the_user_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = program("systemd-sysusers")
    assert path is not None
    done = subprocess.run(
        [path, f"--root={tmp_path}", str(DIRECTORY / "vifd.sysusers")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vifd:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)


def test_what_the_daemon_does_is_not_forbidden() -> None:
    """It writes /proc/sys/net, opens /dev/net/tun, and acts on the host's own namespaces."""
    text = UNIT.read_text()
    for option in ("ProtectKernelTunables", "PrivateDevices", "PrivateNetwork", "PrivateUsers"):
        assert not re.search(rf"^{option}=(yes|true|1|on)", text, re.MULTILINE)
    assert "DeviceAllow=/dev/net/tun rw" in text
