"""Run a command in a guest with a kernel of its own, on this machine's files.

``python tools/in_guest.py COMMAND…``: QEMU without hardware (TCG) boots what ``tools/guest-kernel``
made ready. The guest sees this machine's files as they are and writes to none of them: what it
writes is in its memory and goes with it. The command's output is shown as it comes; the status is
the command's. It takes ten to twenty times as long as on the machine itself.
"""

from __future__ import annotations

import lzma
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from vifd.testing import vm

_TOP = Path(__file__).resolve().parents[1]
_KERNEL = _TOP / ".venv/kernel"
#: MiB of memory, and processors.
_MEMORY, _PROCESSORS = 6144, 2
#: What the guest's root is reached by, in the order in which they are loaded.
_MODULES = (
    "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "netfs", "fscache", "9pnet", "9pnet_virtio", "9p", "overlay",
)  # fmt: skip
#: What the firmware says to a terminal.
_SCREEN = re.compile(r"\x1bc|\x1b\[[0-9;?]*[A-Za-z]")
_STATUS = "in_guest: status "
#: Process 1, first in the initial root, then on the machine's files.
_INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t devtmpfs dev /dev
for m in {modules}; do [ ! -e /m/$m.ko ] || $B insmod /m/$m.ko; done
$B mount -t tmpfs -o size=90% rw /rw
$B mkdir /rw/up /rw/work /rw/ro /rw/root
$B mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /rw/ro
$B mount -t overlay -o lowerdir=/rw/ro,upperdir=/rw/up,workdir=/rw/work root /rw/root
$B cp /second /rw/root/in_guest.sh
$B umount /proc
$B mount --move /dev /rw/root/dev
exec $B switch_root /rw/root /bin/sh /in_guest.sh
"""
_SECOND = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export VIFD_PATIENCE=600
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
rm -rf /lib/modules/$(uname -r)
mkdir -p /lib/modules
ln -s {modules}/$(uname -r) /lib/modules/$(uname -r)
ip link set lo up
# no namespace of a test gets the devices that a kind of tunnel brings along
echo 2 > /proc/sys/net/core/fb_tunnels_only_for_init_net
modprobe -a tun bridge br_netfilter nf_tables nft_meta_bridge nf_conntrack_bridge nft_ct 2>/dev/null
modprobe -a openvswitch vport_vxlan vport_gre vport_geneve 2>/dev/null
hostname guest
cd {here}
{command}
echo "{status}$?"
sync
echo o > /proc/sysrq-trigger
sleep 60
"""


def initrd(command: list[str]) -> bytes:
    """The first root: busybox, modules, and what is run on the second."""
    (modules,) = (_KERNEL / "lib/modules").iterdir()
    files = {"bin/busybox": Path(str(vm.program("busybox"))).read_bytes()}
    for name in _MODULES:
        for found in modules.glob(f"kernel/**/{name}.ko*"):
            raw = found.read_bytes()
            files[f"m/{name}.ko"] = lzma.decompress(raw) if found.suffix == ".xz" else raw
    files["init"] = _INIT.format(modules=" ".join(_MODULES)).encode()
    files["second"] = _SECOND.format(
        modules=modules.parent, here=shlex.quote(os.getcwd()), command=shlex.join(command),
        status=_STATUS,
    ).encode()  # fmt: skip
    return vm.packed(["bin", "dev", "m", "proc", "rw"], files)


def qemu(image: Path, root: Path) -> list[str]:
    """The guest."""
    share = "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
    return [
        # it ends with this process, however that ends
        "setpriv", "--pdeathsig", "KILL",
        str(vm.program(vm.QEMU)), "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
        "-smp", str(_PROCESSORS), "-m", str(_MEMORY), "-nodefaults", "-nographic",
        "-no-user-config", "-no-reboot", "-serial", "stdio",
        "-fsdev", share, "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-device", "virtio-rng-pci",
        "-kernel", str(image), "-initrd", str(root),
        "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off "
        "no_timer_check",
    ]  # fmt: skip


def main(command: list[str]) -> int:
    """Boot, run, and tell the status; 125 where the guest ended without one."""
    images = sorted((_KERNEL / "boot").glob("vmlinuz-*"))
    if not images:
        print("in_guest: there is no kernel: tools/guest-kernel fetches one", file=sys.stderr)
        return 125
    status = 125
    with tempfile.NamedTemporaryFile(suffix=".initrd") as root:
        root.write(initrd(command))
        root.flush()
        argv = qemu(images[-1], Path(root.name))
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as guest:
            try:
                for line in guest.stdout or ():
                    text = _SCREEN.sub("", line.decode(errors="replace").rstrip("\r\n"))
                    if text.startswith(_STATUS):
                        status = int(text.removeprefix(_STATUS))
                    else:
                        print(text, flush=True)
            finally:
                guest.kill()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
