"""A limit of the system that is reached is named, wherever it is met."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap

import pytest

from vifd import errors
from vifd.drivers import links
from vifd.drivers.nft.failure import failure
from vifd.safety import limits

EXHAUSTED: dict[str, tuple[BaseException, str]] = {
    "descriptors": (OSError(errno.EMFILE, "x"), "LimitNOFILE="),
    "descriptors of the host": (OSError(errno.ENFILE, "x"), "fs.file-max"),
    "memory": (MemoryError(), "LimitAS="),
    "memory of the kernel": (OSError(errno.ENOMEM, "x"), "MemoryMax="),
    "threads": (RuntimeError("can't start new thread"), "TasksMax="),
}


@pytest.mark.parametrize("name", EXHAUSTED)
def test_it_is_an_error_of_its_own_that_names_the_limit(name: str) -> None:
    error, limit = EXHAUSTED[name]
    known = errors.wrap(error, stage="plug", port="p")
    assert isinstance(known, errors.ResourcesExhausted)
    assert known.code == "E_HOST_RESOURCES"
    assert limit in known.message
    assert known.may_succeed_later
    assert known.to_dict()["cause"]


def test_other_errors_are_what_they_were() -> None:
    for error in (OSError(errno.ENOENT, "x"), RuntimeError("x"), ValueError("x")):
        assert limits.word(error) == ""
        assert isinstance(errors.wrap(error), errors.InternalError)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_the_drivers_say_so(number: int) -> None:
    for error in (links.device_error("tap0", number, "make"), failure(number, "change")):
        assert isinstance(error, errors.ResourcesExhausted)
        assert "descriptor" in error.message


def alone(text: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_small_limit_is_widened_as_far_as_it_goes() -> None:
    out = alone("""
        import resource
        from vifd.safety import limits
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 2000))
        limits.widen()
        print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], limits.problems())
    """)
    assert out == "2000 []\n"


def test_one_that_stays_small_is_told_and_lived_with() -> None:
    out = alone("""
        import logging, os, resource, sys
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        from vifd.safety import limits
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        resource.setrlimit(resource.RLIMIT_AS, (1400 << 20, 1400 << 20))
        limits.widen()
        before = limits.room(128)
        kept = [os.open("/dev/null", 0) for _ in range(40)]
        print(0 < limits.room(128) < before <= 32)
        try:
            kept += [os.open("/dev/null", 0) for _ in range(40)]
        except OSError as error:
            print(limits.word(error))
            print(limits.room(128))
    """)
    lines = out.splitlines()
    assert lines[0].startswith("vifd may open 64 descriptors: set LimitNOFILE=")
    assert lines[1].startswith("vifd may have 1.4 GiB of address space: remove LimitAS=")
    assert lines[2] == "True"
    assert lines[3].startswith("vifd has 64 of 64 descriptors open: raise LimitNOFILE=")
    assert lines[4] == "1"


def test_a_start_that_gets_too_little_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from vifd import main
    from vifd.daemon import daemon

    class Broken:
        def __init__(self, _conf: object) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(daemon, "Daemon", Broken)
    monkeypatch.setattr("vifd.safety.limits.widen", lambda: None)
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)
    code, sentence = main._run(None)
    assert code == main.EXIT_RESOURCES
    assert "TasksMax=" in sentence


def test_enough_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = {resource.RLIMIT_NOFILE: 65536, resource.RLIMIT_AS: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (plenty[kind], plenty[kind]))
    assert limits.problems() == []
    assert limits.room(128) == 128
