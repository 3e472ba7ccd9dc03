"""Who has a tap open, and who of them is no guest of the port."""

from __future__ import annotations

import os
from pathlib import Path

from vifd.safety.holders import Holder, holders, stranger, taps

GUEST = "6f6b0000-0000-4000-8000-000000000001"
QEMU = Holder(7, "qemu-system-x86", ("qemu", "-name", "guest=a", "-uuid", GUEST, "-m", "1"))


def process(proc: Path, pid: int, device: str, *arguments: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "fdinfo").mkdir()
    os.symlink("/dev/null", proc / str(pid) / "fd" / "0")
    os.symlink("/dev/net/tun", proc / str(pid) / "fd" / "9")
    (proc / str(pid) / "fdinfo" / "9").write_text(f"pos:\t0\nflags:\t02\niff:\t{device}\n")
    (proc / str(pid) / "comm").write_text("qemu\n")
    (proc / str(pid) / "cmdline").write_text("\0".join(arguments) + "\0")


def test_by_the_files_of_processes(tmp_path: Path) -> None:
    process(tmp_path, 12, "tap1", "qemu", "-uuid", GUEST)
    process(tmp_path, 13, "tap10", "other")
    (tmp_path / "self").mkdir()
    (found,) = holders("tap1", tmp_path)
    assert (found.pid, found.guest, str(found)) == (12, GUEST, "qemu (process 12)")


def test_all_taps_that_are_open_by_one_walk(tmp_path: Path) -> None:
    """A tap that was removed under its process is nobody's: the kernel tells no name of it."""
    lives_in(tmp_path, "self", 1)
    for pid, device, namespace in ((12, "tap1", 1), (13, "tap2", 2), (14, "", 1), (15, "tap4", 1)):
        process(tmp_path, pid, device)
        lives_in(tmp_path, str(pid), namespace)
    assert taps(tmp_path) == {"tap1", "tap4"}
    assert holders("", tmp_path) == []


def lives_in(proc: Path, process: str, *namespaces: int) -> None:
    for thread, namespace in enumerate(namespaces):
        place = proc / process / "task" / str(thread) / "ns"
        place.mkdir(parents=True)
        os.symlink(f"net:[{namespace}]", place / "net")


def test_a_device_of_that_name_in_another_network_namespace_is_another(tmp_path: Path) -> None:
    lives_in(tmp_path, "self", 1)
    for pid, namespaces in ((12, (1, 1)), (13, (2,)), (14, (2, 1)), (15, ())):
        process(tmp_path, pid, "tap1", "qemu", "-uuid", GUEST)
        lives_in(tmp_path, str(pid), *namespaces)
    assert sorted(h.pid for h in holders("tap1", tmp_path)) == [12, 14, 15], "15: nobody can tell"


def test_a_guest_of_the_port_is_none() -> None:
    assert stranger([QEMU], GUEST.upper(), unknown=False) is None
    assert stranger([QEMU], GUEST, unknown=True) is None


def test_another_guest_is() -> None:
    assert stranger([QEMU], "6f6b0000-0000-4000-8000-00000000000f", unknown=False) is QEMU


def test_any_other_process_is_where_the_hypervisor_knows_no_guest() -> None:
    other = Holder(9, "python3", ("python3", "x.py"))
    assert stranger([other], GUEST, unknown=True) is other
    assert stranger([other], GUEST, unknown=False) is None, "nobody can tell"
