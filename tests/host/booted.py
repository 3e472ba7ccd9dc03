"""A Debian that boots in a container of its own, with systemd as its first process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from vifd.testing.wait import until

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / ".venv/host/root"
PACKAGES = ROOT / "dist"
#: Seconds for a boot on a loaded machine.
PATIENCE = 300.0


class Booted:
    """One host: its disk is laid over the image and outlives reboots and power cuts.

    :param options: of systemd-nspawn, besides the usual ones
    """

    def __init__(self, scratch: Path, name: str, options: Sequence[str] = ()) -> None:
        self._name = name
        self._options = options
        self._scratch = scratch
        self.disk = scratch / "disk"
        for directory in ("upper", "work", "disk"):
            (scratch / directory).mkdir()
        lower, upper, work = IMAGE, scratch / "upper", scratch / "work"
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.disk], check=True)
        if not any(Path("/sys/fs/cgroup").iterdir()):
            # the run has a sysfs of its own, in a mount namespace of its own
            subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)
        self._container: subprocess.Popen[bytes] | None = None

    # --- power ---

    def power_on(self) -> None:
        """Start it, and wait until systemd has done what it had to do."""
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with (self._scratch / "console").open("ab") as console:
            self._container = self._started(console, environment)
        until(self._is_up, f"{self._name} has booted", PATIENCE, self.console)

    def _started(self, console: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                "systemd-nspawn", "-q", "--boot", f"--directory={self.disk}", "--register=no",
                "--keep-unit", "--private-network", f"--machine={self._name}",
                "--capability=CAP_NET_ADMIN", "--bind=/dev/net/tun",
                f"--bind-ro={PACKAGES}:/packages", *self._options,
            ],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
        )  # fmt: skip

    def power_cut(self) -> None:
        """Nobody is told."""
        leader = self._leader()
        os.kill(leader, signal.SIGKILL)
        self._gone()

    def power_off(self) -> None:
        """As an operator does."""
        self.run("systemctl", "poweroff", check=False)
        self._gone()

    def remove(self) -> None:
        """End it in any state, and give its disk back."""
        if self._container is not None and self._container.poll() is None:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self._leader(), signal.SIGKILL)
            self._gone()
        subprocess.run(["umount", "--lazy", self.disk], check=True)

    def console(self) -> str:
        """The last of what it printed."""
        return (self._scratch / "console").read_text(errors="replace")[-4000:]

    def _gone(self) -> None:
        assert self._container is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._container.wait(60)
        if self._container.poll() is None:
            self._container.kill()
            self._container.wait()
        self._container = None

    def _leader(self) -> int:
        """Its first process."""
        assert self._container is not None
        pid = self._container.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])

    def _is_up(self) -> bool:
        try:
            state = self.run("systemctl", "is-system-running", check=False).strip()
        except (IndexError, FileNotFoundError, ProcessLookupError):
            return False
        return state in ("running", "degraded")

    # --- inside ---

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it.

        :returns: what it printed, errors included
        """
        done = subprocess.run(
            ["nsenter", "-t", str(self._leader()), "-a", "-r", "-w",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Put a file on its disk, while it runs or not."""
        file = self.disk / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@contextlib.contextmanager
def host(name: str, *options: str) -> Iterator[Booted]:
    """A host that is switched on; gone at the end, whatever happened.

    :param options: see :class:`Booted`
    """
    scratch = Path(tempfile.mkdtemp(prefix="vh-"))
    booted = Booted(scratch, name, options)
    try:
        booted.power_on()
        yield booted
    finally:
        booted.remove()
        shutil.rmtree(scratch, ignore_errors=True)
