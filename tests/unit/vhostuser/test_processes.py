"""Finding the guest's process, on a procfs of files."""

from __future__ import annotations

import pytest

from vifd_vhostuser.processes import Processes
from vifd_vhostuser.sockets import Holding

PATH = "/run/vhost/vhu1"


class Proc:
    def __init__(self, root):
        self.root = root

    def add(self, pid, *, inodes=(), command="qemu-system-x86_64", started=1, maps=""):
        home = self.root / str(pid)
        (home / "fd").mkdir(parents=True, exist_ok=True)
        for number, inode in enumerate(inodes):
            (home / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
        (home / "cmdline").write_bytes(command.replace(" ", "\0").encode())
        fields = ["S", *["0"] * 18, str(started), "0"]
        (home / "stat").write_text(f"{pid} (a (b) c) {' '.join(fields)}")
        (home / "maps").write_text(maps)

    def remove(self, pid):
        home = self.root / str(pid)
        for entry in (home / "fd").iterdir():
            entry.unlink()
        (home / "fd").rmdir()


@pytest.fixture
def proc(tmp_path):
    return Proc(tmp_path)


@pytest.fixture
def processes(proc):
    return Processes(str(proc.root))


def held(*inodes):
    return {PATH: Holding(True, False, frozenset(inodes))}


def test_it_is_known_by_the_end_of_the_socket_that_it_has(proc, processes):
    proc.add(10, inodes=[1, 2])
    proc.add(11, inodes=[3, 4])
    assert processes.holders(held(4), made_by_guest=True) == {PATH: 11}
    assert processes.holders(held(9), made_by_guest=True) == {}


def test_one_that_connected_is_known_by_its_command_line(proc, processes):
    proc.add(10, command="ovs-vsctl set Interface options:vhost-server-path=/run/vhost/vhu1")
    proc.add(11, command=f"/usr/bin/qemu-system-x86_64 -chardev socket,path={PATH}")
    assert processes.holders(held(4), made_by_guest=False) == {PATH: 11}


def test_what_is_known_is_not_looked_for_again(proc, processes):
    proc.add(11, inodes=[3])
    processes.holders(held(3), made_by_guest=True)
    proc.remove(11)  # its descriptors cannot be read again
    assert processes.holders(held(3), made_by_guest=True) == {PATH: 11}


def test_a_later_process_with_its_number_is_another(proc, processes):
    proc.add(11, inodes=[3])
    processes.holders(held(3), made_by_guest=True)
    proc.remove(11)
    proc.add(11, started=2)
    assert processes.holders(held(3), made_by_guest=True) == {}


def test_a_guest_that_was_started_again_is_looked_for(proc, processes):
    proc.add(11, inodes=[3])
    processes.holders(held(3), made_by_guest=True)
    proc.add(12, inodes=[5])
    assert processes.holders(held(5), made_by_guest=True) == {PATH: 12}


def test_this_very_process_is_found(tmp_path):
    import os
    import socket
    import tempfile

    from vifd_vhostuser.sockets import UnixTable

    with (
        tempfile.TemporaryDirectory(prefix="vhu-") as directory,
        socket.socket(socket.AF_UNIX) as server,
    ):
        path = f"{directory}/vhu1"
        server.bind(path)
        server.listen()
        real = Processes()
        assert real.holders(UnixTable().held([path]), made_by_guest=True) == {path: os.getpid()}
        assert "[stack]" in real.maps(os.getpid())
