"""What one plug goes through: ``python tools/trace_plug.py`` plugs a port on fakes and counts.

Every call of a function of the product counts, on any thread, but for what a fake asks of it: how
many files are entered, and how often one thread goes from one file to another. The engine's clock
is left out: how often it ticks meanwhile says how fast the machine is. One port was plugged before,
so that what is done once does not count. The numbers are for comparing two trees; they are no
benchmark.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

try:
    from vifd.testing.running import Running
except ImportError:  # the name before
    from vifd.testing.running import Office as Running  # type: ignore[no-redef, import-not-found]
from vifd.testing.machines import FakeMachine
from vifd.testing.profile import Profile
from vifd_ovs.plugin import OvsPlugin

#: The thread on which the engine's clock ticks.
CLOCK = "running-clock"


class Trace:
    """Counts calls into the product while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.files: Counter[str] = Counter()
        self.changes = 0
        self._last = threading.local()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not self.on:
            return
        name = frame.f_code.co_filename
        if "/vifd" not in name or "/testing" in name or "/site-packages/" in name:
            return
        if within_fakes(frame) or threading.current_thread().name == CLOCK:
            return
        self.files[name] += 1
        if getattr(self._last, "file", name) != name:
            self.changes += 1
        self._last.file = name


def within_fakes(frame: FrameType) -> bool:
    """Whether a fake asked for it: a real switch or kernel would not."""
    above = frame.f_back
    while above is not None:
        name = above.f_code.co_filename
        if "/testing/" in name and not name.endswith(("running.py", "profile.py")):
            return True
        above = above.f_back
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--files", action="store_true", help="list the files, the most called first"
    )
    chosen = parser.parse_args()
    trace = Trace()
    threading.setprofile(trace)
    machine, profile = FakeMachine(), Profile(OvsPlugin)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Running(Path(scratch), machine.drivers, profile) as running,
    ):
        running.plug(profile.attachment(1))
        running.quiet()
        sys.setprofile(trace)
        trace.on = True
        running.plug(profile.attachment(2))
        trace.on = False
        sys.setprofile(None)
    calls = sum(trace.files.values())
    print(f"{len(trace.files)} files, {trace.changes} changes of file, {calls} calls")
    if chosen.files:
        for name, count in trace.files.most_common():
            print(f"{count:6} {name}")


if __name__ == "__main__":
    main()
