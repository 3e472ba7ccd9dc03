"""Every thread but the test's own is late: a test that asserts what another one did just now fails.

A pytest plugin (``make late``). A thread begins late, goes on late after it has told a waiter, and
is put off at random where it comes out of a function of the agent. Limits are not shortened: a
test that waits for what it wants to see passes as ever, only later. The daemons that tests start
are late in the same way: what an answer promises is there, and nothing that comes after it. With
``LATE=looks`` it is the tests that look seldom instead: one that waits for what lasts a moment
misses it.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import vifd
from vifd.testing import wait

if TYPE_CHECKING:
    import pytest

_OURS = str(Path(vifd.__file__).parent)
#: Seconds between telling a waiter and going on.
_TOLD = 0.03
#: Who tells a thousand waiters in a row is put off after the first and then at this share of them:
#: no test's limit would have room for all.
_IN_A_ROW, _SECONDS_APART = 0.1, 0.005
_row = threading.local()
#: How often, and for how many seconds, a thread is put off at the end of a function.
_SHARE, _PAUSE = 0.002, 0.02
_sleep = time.sleep
_LOOKS = os.environ.get("LATE") == "looks"
# of its own: what the tests draw stays as it is
_CHANCE = random.Random()


def _others() -> bool:
    return threading.get_ident() != threading.main_thread().ident


def _is_due() -> bool:
    apart = time.monotonic() - getattr(_row, "last", 0.0)
    return apart > _SECONDS_APART or _CHANCE.random() < _IN_A_ROW


def _after(owner: type, name: str) -> None:
    """Let the method return late on any thread but the test's."""
    method: Callable[..., Any] = getattr(owner, name)

    def late(self: Any, *args: Any, **more: Any) -> Any:
        answer = method(self, *args, **more)
        if _others() and _is_due():
            _sleep(_TOLD)
            _row.last = time.monotonic()
        return answer

    setattr(owner, name, late)


def _profile(frame: FrameType, event: str, _: object) -> None:
    ours = event == "return" and frame.f_code.co_filename.startswith(_OURS)
    if ours and _CHANCE.random() < _SHARE:
        _sleep(_PAUSE)


def _begin(thread: threading.Thread, run: Callable[[], None]) -> None:
    _sleep(_TOLD)
    sys.setprofile(_profile)
    run()


def begin() -> None:
    """From now on."""
    for owner, name in (
        (Future, "set_result"),
        (Future, "set_exception"),
        (threading.Event, "set"),
    ):
        _after(owner, name)
    run = threading.Thread.run
    threading.Thread.run = lambda self: _begin(self, lambda: run(self))  # type: ignore[method-assign]


def pytest_configure() -> None:
    """Have the daemons begin late as well: they are started with this process's path."""
    if _LOOKS:
        wait.INTERVAL = 0.3
    else:
        sys.path.insert(0, str(Path(__file__).with_name("latestart")))


def pytest_collection_finish(session: pytest.Session) -> None:
    """From the first test on."""
    if not _LOOKS:
        begin()
