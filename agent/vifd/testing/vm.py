"""A small guest under QEMU: a distribution's kernel, busybox, and one vhost-user device.

It runs under TCG, so that it needs no hardware, and tells on its serial line what it does: it sends
a ping to its peer again and again, if it has one, and keeps a connection to port 7000 of whom it
calls. A guest that lies sends 50 frames a second with an address that is not its own.
"""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vifd.testing.sandbox import Daemon, program

QEMU = "qemu-system-x86_64"
#: MiB of memory.
MEMORY = 96
#: In the order in which they are loaded.
_MODULES = (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "failover", "net_failover", "virtio_net",
)  # fmt: skip
#: What a guest with a trunk loads as well.
_VLANS = ("llc", "stp", "garp", "mrp", "8021q")
_INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t devtmpfs dev /dev
for m in {modules}; do $B insmod /m/$m.ko; done
for w in $($B cat /proc/cmdline); do
    case $w in vifd.*=*) k=${{w%%=*}}; eval "${{k#vifd.}}='${{w#*=}}'";; esac
done
up() {{ $B ip link set eth0 up mtu $mtu && $B ip addr add $ip dev eth0; }}
up
# a second network by the same card
if [ -n "$tag" ]; then
    for m in {vlans}; do $B insmod /m/$m.ko; done
    $B vconfig add eth0 $tag && $B ip link set eth0.$tag up mtu $mtu
    $B ip addr add $sub dev eth0.$tag
fi
echo the guest is up
# one connection for as long as it lives
[ -z "$calls" ] || while :; do $B nc $calls 7000 >/dev/null; $B sleep 1; done &
# pings of an address that is not its own, to somebody who is not there
if [ -n "$lies" ]; then
    $B ip addr add $lies/32 dev eth0
    $B arp -i eth0 -s {nobody} 02:00:00:00:00:77
    while :; do $B ping -q -i 0.02 -I $lies {nobody} >/dev/null 2>&1; $B sleep 1; done &
fi
while :; do
    # its network card may be taken out and put back
    $B ip addr show dev eth0 2>&1 | $B grep -q inet || up
    [ "$peer" = none ] || $B ping -c 1 -W 1 $peer
    $B usleep 100000
done
"""
_ANSWERED = "bytes from"
#: To whom a guest sends that lies.
NOBODY = "10.0.0.77"
#: What the guest's kernel is spared. QEMU 7.2 under TCG crashes with vhost-user and MSI-X; a kernel
#: that tries whether its timer comes in time gives up on a busy machine ("IO-APIC + timer doesn't
#: work").
SPARED = "pci=nomsi no_timer_check"


def lacking() -> str | None:
    """Why no guest can run here, or ``None``."""
    for name, package in ((QEMU, "qemu-system-x86"), ("busybox", "busybox-static")):
        if program(name) is None:
            return f"{name} is not installed (package {package})"
    if b"ld-linux" in Path(str(program("busybox"))).read_bytes()[:4096]:
        return "busybox is not statically linked (package busybox-static)"
    if kernel() is None:
        return "there is no kernel for guests (tools/bootstrap fetches one)"
    return None


def kernel() -> tuple[Path, Path] | None:
    """A kernel and its modules: fetched beside this Python, or that of a cloud image."""
    for root in (Path(sys.prefix) / "guest", Path("/")):
        for image in sorted(root.glob("boot/vmlinuz-*-cloud-*")):
            modules = root / "lib/modules" / image.name.removeprefix("vmlinuz-")
            if os.access(image, os.R_OK) and modules.is_dir():
                return image, modules
    return None


def knows_vlans(modules: Path) -> bool:
    """Whether a guest with these modules of a kernel's can have a trunk."""
    return any(modules.glob("kernel/**/8021q.ko*"))


def initrd(modules: Path) -> bytes:
    """The guest's root: busybox, its modules and one script."""
    files: dict[str, bytes] = {"bin/busybox": Path(str(program("busybox"))).read_bytes()}
    for name in (*_MODULES, *(_VLANS if knows_vlans(modules) else ())):
        (found,) = modules.glob(f"kernel/**/{name}.ko*")
        raw = found.read_bytes()
        files[f"m/{name}.ko"] = lzma.decompress(raw) if found.suffix == ".xz" else raw
    given = {"modules": " ".join(_MODULES), "vlans": " ".join(_VLANS), "nobody": NOBODY}
    files["init"] = _INIT.format(**given).encode()
    return packed(["bin", "dev", "m", "proc", "sys"], files)


def packed(directories: list[str], files: dict[str, bytes]) -> bytes:
    """An initial root; every file may be run."""
    return gzip.compress(b"".join(_archive(directories, files)), 1)


def _archive(directories: list[str], files: dict[str, bytes]) -> Iterator[bytes]:
    """The entries of a cpio archive as the kernel reads it ("newc")."""
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in directories]
    entries += [(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    for number, (name, mode, content) in enumerate(entries, 1):
        yield _entry(number, name, mode, content)
    yield _entry(0, "TRAILER!!!", 0, b"")


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


class Vm(Daemon):
    """One guest. Its process is started and ended by this object.

    :param directory: where its initrd, serial line and output are put
    :param socket: of its vhost-user device
    :param address: of its device, with the prefix length
    :param peer: whom it pings
    :param serves: it makes the socket; otherwise it connects to one
    :param memory: ``shared``, ``private`` (of a file, copy on write) or ``anonymous``
    :param more: further arguments of QEMU
    """

    def __init__(
        self, directory: Path, *, socket: str, mac: str, address: str, peer: str, mtu: int = 1450,
        serves: bool = True, memory: str = "shared", more: Sequence[str] = (),
    ) -> None:  # fmt: skip
        found = kernel()
        if found is None:
            raise FileNotFoundError("there is no kernel for guests")
        directory.mkdir(parents=True, exist_ok=True)
        self.serial = directory / "serial"
        self._socket = Path(socket)
        root = directory / "initrd"
        root.write_bytes(initrd(found[1]))
        backends = {
            "shared": f"memory-backend-memfd,id=ram,size={MEMORY}M,share=on",
            "private": f"memory-backend-memfd,id=ram,size={MEMORY}M,share=off",
            "anonymous": f"memory-backend-ram,id=ram,size={MEMORY}M",
        }
        line = f"console=ttyS0 quiet {SPARED} vifd.ip={address} vifd.peer={peer} vifd.mtu={mtu}"
        argv = [
            str(program(QEMU)), "-machine", "pc,accel=tcg,memory-backend=ram", "-cpu", "max",
            "-m", str(MEMORY), "-object", backends[memory], "-nodefaults", "-nographic",
            "-no-user-config", "-serial", f"file:{self.serial}",
            "-chardev", f"socket,id=vhost,path={socket}" + (",server=on" if serves else ""),
            "-netdev", "vhost-user,id=net,chardev=vhost",
            "-device", f"virtio-net-pci,netdev=net,mac={mac}",
            "-kernel", str(found[0]), "-initrd", str(root), "-append", line, *more,
        ]  # fmt: skip
        super().__init__("qemu", argv, dict(os.environ), "", directory / "qemu.out")

    def _ready_or_dead(self) -> bool:
        return self.pid is None or self._socket.exists()

    @property
    def text(self) -> str:
        """What it wrote on its serial line."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    @property
    def up(self) -> bool:
        """Whether its kernel has driven the device."""
        return "the guest is up" in self.text

    @property
    def answers(self) -> int:
        """How many of its pings were answered."""
        return self.text.count(_ANSWERED)
