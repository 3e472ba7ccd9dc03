"""Whether taps can be made, as a probe asks: the file is opened, and nothing is made."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vifd.drivers import tap


def test_a_file_that_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tun").touch()
    monkeypatch.setattr(tap, "TUN", str(tmp_path / "tun"))
    before = len(os.listdir("/proc/self/fd"))
    assert tap.problem() == ""
    assert len(os.listdir("/proc/self/fd")) == before


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
