"""A private Open vSwitch in a directory: its own database, daemons, sockets and logs.

Start it in a network namespace of your own (:mod:`vifd.testing.netns`): the switch acts on the
devices it finds there. It uses the userspace datapath, so it needs no kernel module, and never
meets an Open vSwitch of the host; with ``VIFD_DATAPATH=system`` in the environment its bridges are
the kernel's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from vifd.testing.wait import PATIENCE, until

#: Seconds that a tool of Open vSwitch waits for the switch.
LIMIT = f"{PATIENCE:.0f}"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
#: The plain daemon where a distribution has both kinds and ``ovs-vswitchd`` may be either.
PLAIN = Path("/usr/lib/openvswitch-switch/ovs-vswitchd")
#: The daemon that is built with DPDK.
DPDK = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
#: The datapath of a switch for tests, ``netdev`` unless a run asks for the kernel's: only there is
#: the host's own looked for.
DATAPATH = os.environ.get("VIFD_DATAPATH", "netdev")
#: What ``ovs-vsctl set bridge`` takes for it.
OF_DATAPATH = f"datapath_type={DATAPATH}"
_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/usr/local/sbin"))


def program(name: str) -> str | None:
    """The path of a program; looks also where daemons live."""
    found = shutil.which(name, path=_SEARCH)
    if found and PLAIN.exists() and Path(found).resolve() == DPDK:
        return str(PLAIN)
    return found


def missing() -> list[str]:
    """What a private Open vSwitch needs and this machine lacks, by name."""
    names = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "setpriv")
    lacking = [name for name in names if program(name) is None]
    return lacking if SCHEMA.exists() else [*lacking, str(SCHEMA)]


def _program(name: str) -> str:
    path = program(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed (package openvswitch-switch)")
    return path


@functools.cache
def version() -> str:
    """The version of the Open vSwitch that is installed, e.g. ``3.1.0``."""
    argv = [_program("ovs-vswitchd"), "--version"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout.split("\n", 1)[0].rsplit(" ", 1)[-1]


#: What a switch for tests is told: to go through its cached flows so often (ms, the least that it
#: takes), not every half second, as whoever waits until they follow its tables waits that long.
PROMPT = {"max-revalidator": "100"}


@functools.cache
def _empty_database(prompt: bool) -> bytes:
    """A fresh database with its root row, made once per process."""
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/conf.db"
        tool = _program("ovsdb-tool")
        subprocess.run([tool, "create", path, str(SCHEMA)], check=True, capture_output=True)
        said = [list(pair) for pair in PROMPT.items()] if prompt else []
        row = {"ovs_version": version(), "external_ids": ["map", [["system-id", "sandbox"]]],
               "other_config": ["map", said]}  # fmt: skip
        insert = ["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": row}]
        subprocess.run(
            [tool, "transact", path, json.dumps(insert)], check=True, capture_output=True
        )
        return Path(path).read_bytes()


def answers(path: Path) -> bool:
    """Whether something accepts connections on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return False
    return True


class Daemon:
    """One process that is started, stopped and killed by its own handle.

    Children start on a thread that lives as long as this object: the kernel kills them when that
    thread ends, however the test run ends.

    :param ready: the unix socket that accepts connections once the daemon works; ``{pid}`` stands
        for its process id
    :ivar log: where it writes what it does; its output by default
    """

    #: Those that were not closed: their logs are shown with a test that fails.
    unclosed: ClassVar[weakref.WeakSet[Daemon]] = weakref.WeakSet()

    def __init__(
        self, name: str, argv: Sequence[str], env: dict[str, str], ready: str, output: Path
    ) -> None:
        self.name = name
        self.argv = [_program("setpriv"), "--pdeathsig", "KILL", *argv]
        self.env = env
        self.output = self.log = output
        self._ready = ready
        self.process: subprocess.Popen[bytes] | None = None
        self._starter = ThreadPoolExecutor(1, "sandbox-starter")
        self.unclosed.add(self)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self.process is not None and self.process.poll() is None
        return self.process.pid if running and self.process else None

    @property
    def socket(self) -> Path:
        """The socket that tells whether it works."""
        return Path(self._ready.format(pid=self.process.pid if self.process else 0))

    def start(self, timeout: float = PATIENCE) -> None:
        """Start it and wait until it accepts connections; a running one is left alone."""
        self.spawn()
        until(self._ready_or_dead, f"{self.name} answers on {self.socket}", timeout)
        if self.pid is None:
            text = self.output.read_text(errors="replace")
            raise RuntimeError(f"{self.name} ended at its start:\n{text[-2000:]}")

    def spawn(self) -> None:
        """Start it and do not wait; a running one is left alone."""
        if self.pid is None:
            self.process = self._starter.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _ready_or_dead(self) -> bool:
        return self.pid is None or answers(self.socket)

    def stop(self, timeout: float = PATIENCE) -> None:
        """End it in an orderly way (SIGTERM), and at last the hard way."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL): sockets and pid files stay behind."""
        self._end(signal.SIGKILL, PATIENCE)

    def pause(self) -> None:
        """Stop it from running (SIGSTOP): it accepts connections and answers nothing."""
        if self.pid is not None and self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused daemon run again."""
        if self.pid is not None and self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float = PATIENCE) -> None:
        """Wait until it has ended by itself."""
        if self.process is not None:
            self.process.wait(timeout)
            self.process = None

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def close(self) -> None:
        """Stop it and give its thread up."""
        self.unclosed.discard(self)
        try:
            self.stop()
        finally:
            self._starter.shutdown()


class PrivateOvs:
    """An Open vSwitch of one's own.

    As a context manager it starts both daemons and stops them at the end. :attr:`vswitchd` and
    :attr:`ovsdb` can be started, stopped and killed one by one in between.

    :param directory: where everything is put; a new temporary one by default, removed at the end.
        Keep it short: the path of a unix socket has at most 107 bytes.
    :param prompt: see :data:`PROMPT`
    """

    def __init__(self, directory: Path | str | None = None, *, prompt: bool = False) -> None:
        self._prompt = prompt
        self._own = directory is None
        self.rundir = Path(directory or tempfile.mkdtemp(prefix="vifd-ovs-"))
        self.socket = self.rundir / "db.sock"
        self.env = {
            **os.environ,
            **{name: str(self.rundir) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")},
        }
        self.ovsdb = self._daemon(
            "ovsdb-server",
            str(self.rundir / "conf.db"),
            f"--remote=punix:{self.socket}",
            ready=str(self.socket),
        )
        self.vswitchd = self._daemon(
            "ovs-vswitchd",
            self.db,
            *(["--disable-system"] if DATAPATH == "netdev" else []),
            "--disable-system-route",
            ready=f"{self.rundir}/ovs-vswitchd.{{pid}}.ctl",
        )

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        argv = [
            self._binary(name),
            *arguments,
            f"--pidfile={self.rundir / name}.pid",
            "--overwrite-pidfile",
            f"--log-file={self.rundir / name}.log",
            "--no-chdir",
            "-vconsole:off",
            "-vsyslog:off",
            "-vfile:info",
        ]
        daemon = Daemon(name, argv, self.env, ready, self.rundir / f"{name}.out")
        daemon.log = self.rundir / f"{name}.log"
        return daemon

    def _binary(self, name: str) -> str:
        return _program(name)

    @property
    def db(self) -> str:
        """Where the database is, as a connection string."""
        return f"unix:{self.socket}"

    @property
    def pids(self) -> list[int]:
        """The daemons that run."""
        return [pid for pid in (self.ovsdb.pid, self.vswitchd.pid) if pid is not None]

    def start(self) -> None:
        """Start what does not run; a missing database is made first."""
        self.rundir.mkdir(parents=True, exist_ok=True)
        database = self.rundir / "conf.db"
        if not database.exists():
            database.write_bytes(_empty_database(self._prompt))
        self.ovsdb.start()
        self._configure()
        self.vswitchd.start()

    def _configure(self) -> None:
        """What must stand in the database before the switch starts."""

    def stop(self) -> None:
        """Stop both daemons; the database stays."""
        self.vswitchd.stop()
        self.ovsdb.stop()

    def close(self) -> None:
        """Stop everything, remove the switch's own devices, and the directory if made here."""
        with contextlib.ExitStack() as stack:
            if self._own:
                stack.callback(shutil.rmtree, self.rundir, ignore_errors=True)
            stack.callback(self.ovsdb.close)
            stack.callback(self.vswitchd.close)
            self._remove_devices()

    def _remove_devices(self) -> None:
        """Have the switch take its bridge devices away: they outlive a plain stop.

        A switch that crashed must come back for that: only it knows them.
        """
        if not (self.rundir / "conf.db").exists():
            return
        for daemon in (self.ovsdb, self.vswitchd):
            daemon.resume()
            daemon.start()
        # One that was just started answers before it has read which bridges are its own.
        self.vsctl("init")
        self.appctl("exit", "--cleanup")
        self.vswitchd.wait()

    def __enter__(self) -> PrivateOvs:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Independent tools, for setting a scene and as a second opinion; vifd itself starts none.

    def _tool(self, argv: Sequence[str]) -> str:
        done = subprocess.run(
            [_program(argv[0]), *argv[1:]],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE + 10,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def vsctl(self, *arguments: str) -> str:
        """``ovs-vsctl`` on this switch; waits until the switch has done what was asked."""
        return self._tool(["ovs-vsctl", f"--db={self.db}", f"--timeout={LIMIT}", *arguments])

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        """``ovs-ofctl`` on a bridge's management socket, in OpenFlow 1.4 or 1.5."""
        target = f"unix:{self.rundir / bridge}.mgmt"
        return self._tool(
            ["ovs-ofctl", "-OOpenFlow14,OpenFlow15", "-t", LIMIT, command, target, *arguments]
        )

    def revalidated(self) -> None:
        """Wait until packets go by the flow tables as they are now.

        The switch answers when it has gone through its cached flows; the first answer may be that
        of a turn which began before the tables changed.
        """
        for _ in range(2):
            self.appctl("revalidator/wait")

    def appctl(self, *arguments: str) -> str:
        """``ovs-appctl`` on ovs-vswitchd."""
        return self._tool(["ovs-appctl", "-T", LIMIT, "-t", str(self.vswitchd.socket), *arguments])

    def bridges(self) -> list[str]:
        """The names of all bridges."""
        return self.vsctl("list-br").split()

    def wait_for_carrier(self, *names: str) -> None:
        """Wait until the switch has noticed that these ports' devices have a carrier."""
        self._wait_until("link_state=up", names)

    def wait_for_no_carrier(self, *names: str) -> None:
        """Wait until the switch has noticed that these ports' last guests are gone: what it wrote
        of them would be taken for the carrier of the next."""
        self._wait_until("link_state!=up", names)

    def _wait_until(self, condition: str, interfaces: Sequence[str]) -> None:
        waits = [("--", "wait-until", "Interface", name, condition) for name in interfaces]
        self.vsctl(*(word for wait in waits for word in wait))

    def reset(self) -> None:
        """Remove every bridge, and wait until the switch has let go of them."""
        self.vsctl("--", "clear", "Open_vSwitch", ".", "bridges")
