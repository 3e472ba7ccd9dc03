"""``make run``: the daemon in a sandbox, ports on a switch and on a bridge, and frames as proof.

Nothing of the host is touched: the network namespace, the Open vSwitch and the directory are the
run's own, and are gone at its end. With ``KEEP=1`` they stay until they are told to go.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import demo_text, demo_traffic
from support.demo_traffic import GUESTS, LINUX_BRIDGE, Guest
from vifd import __version__
from vifd.testing import census, netns, probes, sandbox
from vifd.testing.daemon import Vifd

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
        _quiet_netfilter()
        with clock.step("vifd is ready"):
            vifd = stack.enter_context(Vifd(directory, ovs))
        guests = _plugins(vifd)
        _show(vifd, ovs, clock, guests)
        for call in stay:
            call(vifd, ovs)
        with clock.step(f"vifctl port unplug, {len(guests)} ports"):
            vifctl(vifd.socket, "port", "unplug", *(guest.id for guest in guests))
        _nothing_left(ovs, guests)


def _quiet_netfilter() -> None:
    """Have this namespace's IP filters leave bridged frames alone, as the probe advises."""
    for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        path.write_text("0")


def _plugins(vifd: Vifd) -> list[Guest]:
    """Show the plugins, and say whose guests this host can have."""
    found = json.loads(vifctl(vifd.socket, "plugin", "list", "-f", "json"))
    print("\n$ vifctl plugin list")
    print(demo_text.plugins(found))
    guests = served(found)
    if len(guests) < len(GUESTS):
        print(f"  Nothing is plugged with {LINUX_BRIDGE}: see what its probe says.\n")
    return guests


def served(found: Sequence[Mapping[str, Any]]) -> list[Guest]:
    """The guests to plug: a Linux bridge may lack, the switch must be there."""
    able = {plugin["name"] for plugin in found if plugin["state"] in ("ready", "degraded")}
    return [guest for guest in GUESTS if guest.plugin != LINUX_BRIDGE or LINUX_BRIDGE in able]


def _show(vifd: Vifd, ovs: sandbox.PrivateOvs, clock: Clock, guests: Sequence[Guest]) -> None:
    documents = json.dumps([guest.document() for guest in guests])
    with clock.step(f"vifctl port plug, {len(guests)} ports, each proven and active"):
        vifctl(vifd.socket, "port", "plug", "-f", "-", stdin=documents)
    columns = [word for name in COLUMNS for word in ("-c", name)]
    print("\n$ vifctl port list", *columns)
    print(vifctl(vifd.socket, "port", "list", *columns))
    shown = {guest: json.loads(vifctl(vifd.socket, "port", "show", "-f", "json", guest.id))
             for guest in guests}  # fmt: skip
    first = guests[0]
    print(f"$ vifctl port show {first.id}     # its evidence, as read back from the host")
    print(demo_text.evidence(shown[first]["evidence"]))
    with clock.step("frames sent and counted"):
        devices = {guest.name: str(port["device"]) for guest, port in shown.items()}
        results = demo_traffic.run(ovs, devices)
    print()
    for _, group in itertools.groupby(guests, lambda guest: guest.plugin):
        several = list(group)
        print(demo_text.picture(several, [shown[guest] for guest in several]))
    print(demo_text.between(guests, results))
    print(demo_text.traffic(results))
    if wrong := [result for result in results if not result.as_expected]:
        raise Failed(f"{len(wrong)} kinds of frames did not do what they should")


def _nothing_left(ovs: sandbox.PrivateOvs, guests: Sequence[Guest]) -> None:
    """Neither device nor switch port nor rule of a port; what all share, such as br-int, stays."""
    there = census.take(ovs)
    left = [name for name in there.links if name.startswith(("tap", "brq"))]
    left += [name for name in there.ports if "/tap" in name]
    if any(guest.plugin == LINUX_BRIDGE for guest in guests):
        left += demo_traffic.port_rules()
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
    except KeyboardInterrupt:
        return _interrupted()
    except (Failed, AssertionError, RuntimeError) as error:
        if _by_hand(error):
            return _interrupted()
        print(f"\nFAILED: {error}", file=sys.stderr)
        _last_lines(directory / "vifd.log")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"\nAll as it should be, in {clock.total:.1f} s; nothing is left behind.")
    return 0


def _by_hand(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: the daemons get it from the terminal as well."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _interrupted() -> int:
    print("\ninterrupted; everything was taken away again", file=sys.stderr)
    return 130


def _last_lines(log: Path, count: int = 30) -> None:
    if log.exists():
        lines = log.read_text(errors="replace").splitlines()[-count:]
        print("the log's last lines:", *lines, sep="\n  ", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
