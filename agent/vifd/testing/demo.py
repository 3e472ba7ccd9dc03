"""``make run``: the daemon in a sandbox, three ports on two networks, and frames as proof.

Nothing of the host is touched: the network namespace, the Open vSwitch and the directory are the
run's own, and are gone at its end. With ``KEEP=1`` they stay until they are told to go.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vifd import __version__
from vifd.testing import census, demo_text, demo_traffic, netns, probes, sandbox
from vifd.testing.daemon import Vifd
from vifd.testing.demo_traffic import GUESTS

COLUMNS = ("name", "status", "phase", "device", "id")

#: What to do while everything is up.
Action = Callable[[Vifd, sandbox.PrivateOvs], None]


class Failed(RuntimeError):
    """The demonstration did not show what it should."""


class Clock:
    """Says how long each step took."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Print the step's text with its time once it is done."""
        started = time.monotonic()
        yield
        print(f"  {(time.monotonic() - started) * 1000:7.0f} ms  {text}", flush=True)

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start


def vifctl(socket: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run the command-line client against a daemon's socket."""
    program = Path(sys.executable).with_name("vifctl")
    argv = [str(program)] if program.exists() else [sys.executable, "-m", "vifd.cli.main"]
    done = subprocess.run(
        [*argv, "--socket", str(socket), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"vifctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def demonstrate(directory: Path, clock: Clock, stay: Sequence[Action] = ()) -> None:
    """Build everything in a directory, show it, and take it down.

    :param stay: called with the daemon and the switch before anything is taken down
    """
    print(f"vifd {__version__} in a sandbox of its own\n")
    with contextlib.ExitStack() as stack:
        with clock.step(f"Open vSwitch {sandbox.version()}, userspace datapath, in a namespace"):
            ovs = stack.enter_context(sandbox.PrivateOvs(directory / "ovs"))
        with clock.step("vifd is ready"):
            vifd = stack.enter_context(Vifd(directory, ovs))
        _show(vifd, ovs, clock)
        for call in stay:
            call(vifd, ovs)
        with clock.step(f"vifctl port unplug, {len(GUESTS)} ports"):
            vifctl(vifd.socket, "port", "unplug", *(guest.id for guest in GUESTS))
        _nothing_left(ovs)


def _show(vifd: Vifd, ovs: sandbox.PrivateOvs, clock: Clock) -> None:
    documents = json.dumps([guest.document() for guest in GUESTS])
    with clock.step(f"vifctl port plug, {len(GUESTS)} ports, each proven and active"):
        vifctl(vifd.socket, "port", "plug", "-f", "-", stdin=documents)
    columns = [word for name in COLUMNS for word in ("-c", name)]
    print("\n$ vifctl port list", *columns)
    print(vifctl(vifd.socket, "port", "list", *columns))
    shown = [json.loads(vifctl(vifd.socket, "port", "show", "-f", "json", guest.id))
             for guest in GUESTS]  # fmt: skip
    print(f"$ vifctl port show {GUESTS[0].id}     # its evidence, as read back from the host")
    print(demo_text.evidence(shown[0]["evidence"]))
    with clock.step("frames sent and counted"):
        results = demo_traffic.run(ovs, [str(port["device"]) for port in shown])
    print()
    print(demo_text.picture(GUESTS, shown, results))
    print(demo_text.traffic(results))
    if wrong := [result for result in results if not result.as_expected]:
        raise Failed(f"{len(wrong)} kinds of frames did not do what they should")


def _nothing_left(ovs: sandbox.PrivateOvs) -> None:
    left = [name for name in census.take(ovs).links if name.startswith("tap")]
    if left:
        raise Failed(f"left behind: {', '.join(left)}")


# --- KEEP=1 ---------------------------------------------------------------------------------------


def _say_how(vifd: Vifd, ovs: sandbox.PrivateOvs) -> None:
    me, port = os.getpid(), GUESTS[0].id
    program = Path(sys.executable).with_name("vifctl")
    print(f"""
It stays up. Talk to it:
  {program} --socket {vifd.socket} port list
  {program} --socket {vifd.socket} port show {port}
  curl --unix-socket {vifd.socket} http://localhost/v1/status
  nsenter --net=/proc/{me}/ns/net ip -brief link
  OVS_RUNDIR={ovs.rundir} ovs-vsctl --db={ovs.db} show
  tail -f {vifd.directory / "vifd.log"}
End it, and remove everything:
  kill {me}
""", flush=True)  # fmt: skip


class Keeper:
    """Lets the caller's terminal go while the sandbox stays, until SIGTERM."""

    def __init__(self, report: int) -> None:
        self._report = report

    def __call__(self, vifd: Vifd, ovs: sandbox.PrivateOvs) -> None:
        """Say how to talk to it, release the parent, and wait."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        _say_how(vifd, ovs)
        os.write(self._report, b"\0")
        os.close(self._report)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def _detach() -> int | None:
    """Fork; the parent ends with the child's result. In the child: where to report."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        return writer
    os.close(writer)
    if os.read(reader, 1):
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def main() -> int:
    """Run the demonstration; 0 if everything was as it should be."""
    if lacking := sandbox.missing():
        print(f"not installed: {', '.join(lacking)}; run tools/bootstrap", file=sys.stderr)
        return 2
    if (reason := probes.lacking("tun")) is not None:
        print(f"taps cannot be made: {reason}", file=sys.stderr)
        return 2
    keep = os.environ.get("KEEP", "") not in ("", "0")
    report = _detach() if keep else None
    clock = Clock()
    netns.enter_private_netns()
    directory = Path(tempfile.mkdtemp(prefix="vifd-run-"))
    try:
        demonstrate(directory, clock, [Keeper(report)] if report is not None else [])
    except (Failed, AssertionError, RuntimeError) as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        _last_lines(directory / "vifd.log")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"\nAll as it should be, in {clock.total:.1f} s; nothing is left behind.")
    return 0


def _last_lines(log: Path, count: int = 30) -> None:
    if log.exists():
        lines = log.read_text(errors="replace").splitlines()[-count:]
        print("the log's last lines:", *lines, sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
