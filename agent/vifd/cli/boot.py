"""What a host needs so that its wired guests come back after a reboot; set up where it can be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import vifd

#: The hook where libvirt looks for it, and where an installation may keep it.
HOOK = "etc/libvirt/hooks/qemu.d/50-vifd"
_KEPT = ("usr/share/vifd/libvirt-hook/50-vifd",)
_IN_TREE = Path(vifd.__file__).parents[2] / "etc/libvirt-hook/qemu.d/50-vifd"
_UNITS = ("lib/systemd/system", "usr/lib/systemd/system", "etc/systemd/system")
_WANTED = "etc/systemd/system/multi-user.target.wants/vifd.service"


class Finding(NamedTuple):
    """One thing: whether it is as it should be, what it is, and what to do."""

    good: bool
    text: str


def look(autostart: bool, name: str, *, install: bool, root: Path = Path("/")) -> list[Finding]:
    """See to the hook and the order of the boot.

    :param autostart: whether libvirt starts the guest with the host
    :param install: put the hook in its place where it is missing
    """
    return [*_hook(root, install), *_order(root), *_autostart(autostart, name)]


def _hook(root: Path, install: bool) -> Iterator[Finding]:
    place = root / HOOK
    if os.access(place, os.X_OK):
        yield Finding(True, f"libvirt asks vifd before a guest starts (/{HOOK})")
        return
    found = next((p for p in (*(root / k for k in _KEPT), _IN_TREE) if p.is_file()), None)
    if found is None:
        yield Finding(False, f"libvirt's hook is not there: /{HOOK} (docs/boot.md)")
    elif not install:
        yield Finding(False, f"libvirt's hook would be installed as /{HOOK}")
    else:
        yield _installed(found, place)


def _installed(found: Path, place: Path) -> Finding:
    new = place.with_name(f".{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, new)
        new.chmod(0o755)
        new.replace(place)
    except OSError as error:
        return Finding(False, f"libvirt's hook cannot be installed as {place}: {error.strerror}")
    return Finding(
        True, f"libvirt's hook was installed as /{HOOK}; libvirt looks for hooks when it starts: "
        "systemctl restart libvirtd (guests run on)",
    )  # fmt: skip


def _order(root: Path) -> Iterator[Finding]:
    if not (root / "run/systemd/system").is_dir():
        yield Finding(False, "no systemd here: have vifd started before libvirt (docs/boot.md)")
        return
    if not any((root / unit / "vifd.service").exists() for unit in _UNITS):
        yield Finding(
            False, "vifd has no unit here: install etc/systemd/vifd.service (docs/boot.md)"
        )
    elif not (root / _WANTED).is_symlink():
        yield Finding(False, "vifd does not start with the host: systemctl enable vifd")
    else:
        yield Finding(True, "at boot vifd makes the ports before libvirt starts its guests")


def _autostart(autostart: bool, name: str) -> Iterator[Finding]:
    if autostart:
        yield Finding(True, f"libvirt starts {name} with the host")
    else:
        yield Finding(True, f"{name} starts by hand; with the host after: virsh autostart {name}")
