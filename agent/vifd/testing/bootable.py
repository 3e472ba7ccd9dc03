"""A host that can be switched on and off: its own namespaces, switch, libvirt and vifd.

What is on its disk (a directory) outlives a power cut; devices, processes and ``/run`` do not.
Nothing of the machine's own libvirt, switch or network is touched.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vifd.testing import hostinit, vm
from vifd.testing.daemon import Options, Vifd
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.sandbox import Daemon, PrivateOvs, program
from vifd.testing.wait import PATIENCE, until

#: The hook as it is in the source tree.
HOOK = Path(__file__).parents[3] / "etc/libvirt-hook/qemu.d/50-vifd"

#: Whom libvirt looks up when it starts, although its guests run as root here.
_USERS = {
    "passwd": "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n",
    "group": "libvirt-qemu:x:64055:\n",
}
_LIBVIRTD_CONF = """
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
host_uuid = "{uuid}"
"""
_QEMU_CONF = """
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
max_core = 0
stdio_handler = "file"
"""


@functools.cache
def lacking() -> str | None:
    """Why no such host can run here, or ``None``."""
    if (reason := vm.lacking()) is not None:
        return reason
    for name, package in (("libvirtd", "libvirt-daemon"), ("nsenter", "util-linux")):
        if program(name) is None:
            return f"{name} is not installed (package {package})"
    if not list(Path("/usr/lib").glob("**/libvirt/connection-driver/libvirt_driver_qemu.so")):
        return "libvirt has no driver for QEMU (package libvirt-daemon-driver-qemu)"
    for place in hostinit.PLACES:
        if not os.path.isdir(place):
            return f"{place} is missing, over which the host's own is laid (tools/bootstrap)"
    try:
        import libvirt  # noqa: F401 - whether it is there
    except ImportError as error:
        return f"Python has no module libvirt ({error})"
    if os.geteuid() != 0:
        return "a host of one's own takes root"
    return _trial()


def _trial() -> str | None:
    """Whether the namespaces and mounts are allowed here."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        host = Host(Path(scratch))
        try:
            host.boot()
        except (OSError, RuntimeError, AssertionError) as error:
            return f"no host can be made here: {error}"
        finally:
            host.close()
    return None


class Inside(Daemon):
    """A process of a host, started from outside."""

    def __init__(
        self, host: Host, name: str, argv: list[str], ready: str, output: Path,
        env: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, argv, env or dict(os.environ), ready, output)
        self._host = host
        self._plain = self.argv

    def spawn(self) -> None:
        """Start it on the host as it is now: a host that was booted again is another one."""
        self.argv = [*self._plain[:3], *self._host.enter, *self._plain]
        super().spawn()

    @property
    def inner(self) -> int | None:
        """The process itself; :attr:`pid` is the one that brought it in."""
        outer = self.pid
        if outer is None:
            return None
        with suppress(OSError, IndexError):
            return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
        return None

    @property
    def socket(self) -> Path:
        """As the host numbers its processes."""
        status = Path(f"/proc/{self.inner or 0}/status")
        number = "0"
        with suppress(OSError):
            (line,) = [x for x in status.read_text().splitlines() if x.startswith("NSpid:")]
            number = line.split()[-1]
        return Path(self._ready.format(pid=number))

    def _end(self, number: signal.Signals, timeout: float) -> None:
        inner = self.inner
        if inner is None or self.process is None:
            super()._end(signal.SIGKILL, timeout)
            return
        with suppress(ProcessLookupError):
            os.kill(inner, number)
            self.resume()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        super()._end(signal.SIGKILL, timeout)

    def pause(self) -> None:
        """Stop it from running (SIGSTOP)."""
        if self.inner is not None:
            os.kill(self.inner, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process run again, and the one that brought it in, which pauses with it."""
        for pid in (self.inner, self.pid):
            if pid is not None:
                os.kill(pid, signal.SIGCONT)


class HostOvs(PrivateOvs):
    """The Open vSwitch of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        super().__init__(host.disk / "ovs")

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        plain = super()._daemon(name, *arguments, ready=ready)
        plain.close()
        inside = Inside(self._host, name, plain.argv[3:], ready, plain.output, plain.env)
        inside.log = plain.log
        return inside

    def _remove_devices(self) -> None:
        """They go with the host's network."""


class HostDpdk(HostOvs, DpdkOvs):
    """The same with DPDK."""


class HostVifd(Vifd):
    """The vifd of a host."""

    def __init__(self, host: Host, ovs: PrivateOvs, options: Options) -> None:
        super().__init__(host.disk / "v", ovs, options)
        plain = self.process
        plain.close()
        self.process = Inside(
            host, "vifd", plain.argv[3:], str(self.socket), plain.output, plain.env
        )
        self.process.log = self.log_file


class Host:
    """One host.

    :param disk: its directory; keep the path short, sockets are put there
    :param options: of its vifd
    :param switch: the kind of its Open vSwitch
    """

    def __init__(
        self, disk: Path, options: Options | None = None, switch: type[HostOvs] = HostOvs
    ) -> None:
        self.disk = disk
        for own in hostinit.PLACES.values():
            (disk / own).mkdir(parents=True, exist_ok=True)
        (disk / "etc/libvirt/libvirtd.conf").write_text(_LIBVIRTD_CONF.format(uuid=uuid.uuid4()))
        (disk / "etc/libvirt/qemu.conf").write_text(_QEMU_CONF)
        for name, user in _USERS.items():
            text = Path("/etc", name).read_text()
            known = f"\n{user.partition(':')[0]}:" in text
            (disk / "etc" / name).write_text(text if known else text + user)
        self._init: subprocess.Popen[str] | None = None
        self._pid = 0
        self.ovs = switch(self)
        self.vifd = HostVifd(self, self.ovs, {
            "engine": {"retry_first": 0.1, "retry_longest": 1, "check_interval": 5},
            "libvirt": {"enabled": "true"}, **(options or {}),
        })  # fmt: skip
        self.libvirtd = Inside(
            self, "libvirtd", [str(program("libvirtd"))], str(self.libvirt_socket),
            disk / "libvirtd.out",
        )  # fmt: skip

    def install_hook(self) -> None:
        """Have its libvirt ask vifd before a guest starts; from its next start on."""
        hooks = self.disk / "etc/libvirt/hooks/qemu.d"
        hooks.mkdir(parents=True)
        shutil.copy(HOOK, hooks / HOOK.name)

    @property
    def libvirt_socket(self) -> Path:
        """Where its libvirt listens, seen from outside."""
        return self.disk / "run/libvirt/libvirt-sock"

    @property
    def pid(self) -> int:
        """Its first process, while it is on."""
        return self._pid

    @property
    def enter(self) -> list[str]:
        """What a command begins with that shall run on this host."""
        return [
            str(program("nsenter")), "--target", str(self._pid), "--mount", "--uts", "--ipc",
            "--net", "--pid", "--",
        ]  # fmt: skip

    # --- power ---

    def boot(self) -> None:
        """Switch it on: namespaces and mounts; no service runs yet."""
        shutil.rmtree(self.disk / "run", ignore_errors=True)
        (self.disk / "run/libvirt").mkdir(parents=True)
        (self.disk / "run/vifd").mkdir()
        (self.disk / "run/vifd/vifd.sock").symlink_to(self.vifd.socket)
        (self.disk / "boot_id").write_text(f"{uuid.uuid4()}\n")
        argv = [
            str(program("setpriv")), "--pdeathsig", "KILL",
            str(program("unshare")), "--mount", "--uts", "--ipc", "--net", "--pid", "--fork",
            "--kill-child", "--mount-proc", sys.executable, "-S", "-E", hostinit.__file__,
            str(self.disk),
        ]  # fmt: skip
        with (self.disk / "init.out").open("ab") as output:
            self._init = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=output, text=True)
        assert self._init.stdout is not None
        if self._init.stdout.readline() != "up\n":
            self.cut()
            raise RuntimeError("the host's first process did not come up")
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text()
        self._pid = int(children.split()[0])
        self.run("ip", "link", "set", "lo", "up")

    def cut(self) -> None:
        """Cut its power: every process ends at once, and with them its network."""
        if self._init is None:
            return
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        else:
            self._init.kill()
        self._init.wait(PATIENCE)
        if self._init.stdout is not None:
            self._init.stdout.close()
        self._init, self._pid = None, 0
        for daemon in self._daemons():
            daemon.kill()

    def _daemons(self) -> Iterator[Daemon]:
        yield from (self.libvirtd, self.vifd.process, self.ovs.vswitchd, self.ovs.ovsdb)

    def close(self) -> None:
        """Switch it off for good."""
        self.cut()
        for daemon in self._daemons():
            daemon.close()

    def __enter__(self) -> Host:
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what runs on it ---

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a program on it, and return its output.

        :raises RuntimeError: it failed
        """
        done = self.attempt(*argv, stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def attempt(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program on it, whatever comes of it."""
        return subprocess.run(
            [*self.enter, *argv], input=stdin, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def connection(self) -> Any:
        """A connection to its libvirt, from outside."""
        import libvirt

        libvirt.registerErrorHandler(lambda *_: None, None)
        return libvirt.open(f"qemu+unix:///system?socket={self.libvirt_socket}")


class Machine:
    """A guest of a host, defined in its libvirt.

    :param number: the last byte of its address
    :param peer: the number of the guest that it pings
    :param vif: what vifd answered for its port
    """

    def __init__(self, host: Host, number: int, peer: int, vif: dict[str, Any]) -> None:
        self._host = host
        self.id = f"00000000-0000-4000-8000-{number:012x}"
        self.name = f"guest{number}"
        self.serial = host.disk / "lib" / f"{self.name}.log"
        found = vm.kernel()
        assert found is not None
        self._kernel, modules = found
        self._initrd = host.disk / "lib/initrd"
        if not self._initrd.exists():
            self._initrd.write_bytes(vm.initrd(modules))
        own = f"vifd.ip=10.0.0.{number}/24 vifd.peer=10.0.0.{peer}"
        self._line = f"console=ttyS0 quiet {vm.SPARED} {own}"
        self._vif = vif

    def xml(self) -> str:
        """Its definition."""
        vif = self._vif
        return f"""<domain type='qemu'>
  <name>{self.name}</name><uuid>{self.id}</uuid>
  <memory unit='MiB'>{vm.MEMORY}</memory><vcpu>1</vcpu>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{self._kernel}</kernel>
    <initrd>{self._initrd}</initrd><cmdline>{self._line} vifd.mtu={vif["mtu"]}</cmdline></os>
  <features><acpi/></features><cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{program(vm.QEMU)}</emulator>
    <interface type='{vif["type"]}'>
      <mac address='{vif["mac_address"]}'/>
      {self._end()}
      <model type='{vif["model"]}'/>
    </interface>
    <serial type='file'><source path='{self.serial}'/></serial>
    <controller type='usb' model='none'/><memballoon model='none'/>
  </devices>
</domain>"""

    def _end(self) -> str:
        """The host's end of its interface."""
        vif = self._vif
        if vif["type"] == "vhostuser":
            path, mode = vif["socket_path"], vif["socket_mode"]
            return f"<source type='unix' path='{path}' mode='{mode}'/>"
        assert not vif["managed"]
        return f"<target dev='{vif['device']}' managed='no'/>"

    def define(self, connection: Any, *, autostart: bool = False) -> Any:
        """Make it known to libvirt."""
        domain = connection.defineXML(self.xml())
        domain.setAutostart(int(autostart))
        return domain

    @property
    def text(self) -> str:
        """What it wrote on its serial line since it was started."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    @property
    def answers(self) -> int:
        """How many of its pings were answered."""
        return self.text.count("bytes from")

    def answered(self, more: int = 2, timeout: float = 3 * PATIENCE) -> None:
        """Wait until so many more of its pings are answered; under TCG it starts slowly."""
        wanted = self.answers + more
        until(lambda: self.answers >= wanted, f"the pings of {self.name} are answered", timeout)
