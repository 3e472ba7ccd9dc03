"""Whether taps can be made, as a probe asks: the file is opened, and nothing is made."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from vifd.drivers import tap


def test_a_file_that_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tun").touch()
    monkeypatch.setattr(tap, "TUN", str(tmp_path / "tun"))
    assert tap.problem() == ""
    # threads of other tests may open and close files meanwhile
    assert str(tmp_path / "tun") not in _open_files()


def _open_files() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found


def test_one_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "TUN", str(tmp_path / "tun"))
    assert "does not exist: load the kernel module tun" in tap.problem()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, f"cannot be opened by uid {os.geteuid()}"),
        (errno.EPERM, "DeviceAllow="),
        (errno.ENODEV, "load the kernel module tun"),
    ],
)
def test_one_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert said in tap.problem()
