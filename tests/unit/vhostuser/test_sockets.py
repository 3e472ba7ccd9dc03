"""Sockets on a real file system: what they are, who holds them, and what may be removed."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from vifd.errors import SocketError
from vifd_vhostuser import sockets
from vifd_vhostuser.sockets import NOBODY, Access, Holding, UnixTable


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="vhu-") as path:
        yield Path(path)


@contextlib.contextmanager
def listener(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield server


def stale(path):
    """A socket whose maker is gone."""
    with listener(path):
        pass


def present(path):
    found = sockets.read(path)
    assert found is not None
    return found


class TestHolding:
    def test_a_listener_and_its_connections_are_seen(self, directory):
        path = str(directory / "vhu1")
        table = UnixTable()
        assert table.held([path]) == {}
        with listener(path) as server:
            before = table.held([path])[path]
            assert (before.listening, before.connected) == (True, False)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                accepted, _ = server.accept()
                with accepted:
                    held = table.held([path])[path]
            assert (held.listening, held.connected) == (True, True)
            inode = int(os.readlink(f"/proc/self/fd/{server.fileno()}")[8:-1])
            assert inode in held.inodes
        assert table.held([path]) == {}

    def test_another_way_to_write_the_path_is_the_same(self, directory):
        link = directory / "link"
        (directory / "real").mkdir()
        link.symlink_to(directory / "real")
        with listener(f"{directory}/real/./vhu1"):
            path = str(link / "vhu1")
            assert UnixTable().held([path])[path].listening

    def test_nothing_is_read_for_no_sockets(self):
        assert UnixTable("/nowhere").held([]) == {}


class TestStale:
    def test_one_that_nobody_holds_goes(self, directory):
        path = directory / "vhu1"
        stale(path)
        assert sockets.remove_stale(str(path), NOBODY)
        assert not path.exists()
        assert not sockets.remove_stale(str(path), NOBODY)

    def test_one_that_is_held_stays(self, directory):
        path = directory / "vhu1"
        stale(path)
        assert not sockets.remove_stale(str(path), Holding(True, False, frozenset({1})))
        assert path.exists()

    def test_one_that_answers_stays_though_the_table_does_not_show_it(self, directory):
        path = directory / "vhu1"
        with listener(path):
            assert not sockets.remove_stale(str(path), NOBODY)
            assert path.exists()

    def test_what_is_no_socket_stays(self, directory):
        for name, make in (("file", Path.touch), ("directory", Path.mkdir)):
            path = directory / name
            make(path)
            assert not sockets.remove_stale(str(path), NOBODY)
            assert path.exists()

    def test_a_link_is_not_followed(self, directory):
        stale(directory / "vhu2")
        (directory / "vhu1").symlink_to(directory / "vhu2")
        assert not sockets.remove_stale(str(directory / "vhu1"), NOBODY)
        assert (directory / "vhu2").exists()


class TestAccess:
    def test_owner_group_and_mode_are_applied_and_read_back(self, directory):
        path = str(directory / "vhu1")
        wanted = Access(owner=os.getuid(), group=os.getgid(), mode=0o660)
        with listener(path):
            os.chmod(path, 0o600)
            assert sockets.differences(present(path), wanted) == {"mode": ("0600", "0660")}
            sockets.grant(path, wanted)
            have = present(path)
        assert sockets.differences(have, wanted) == {}
        assert have.is_socket

    def test_what_is_not_asked_for_stays(self, directory):
        path = str(directory / "vhu1")
        with listener(path):
            os.chmod(path, 0o604)
            sockets.grant(path, Access())
            assert present(path).mode == 0o604

    def test_a_missing_socket_is_given_nothing(self, directory):
        sockets.grant(str(directory / "vhu1"), Access(mode=0o660))

    def test_a_label_that_cannot_be_set_says_so(self, directory, monkeypatch):
        def refuse(*_, **__):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "setxattr", refuse)
        path = str(directory / "vhu1")
        with listener(path), pytest.raises(SocketError, match=r"label: Operation not supported"):
            sockets.grant(path, Access(label="system_u:object_r:svirt_image_t:s0"))


class TestDirectory:
    def test_it_is_made_for_the_group(self, directory):
        path = directory / "a" / "b"
        assert sockets.directory_problem(str(path), make=True) is None
        sockets.make_directory(str(path), Access(group=os.getgid()))
        assert stat.S_IMODE(path.stat().st_mode) == 0o2775
        assert path.stat().st_gid == os.getgid()

    def test_one_that_exists_is_left_as_it_is(self, directory):
        directory.chmod(0o711)
        sockets.make_directory(str(directory), Access(group=os.getgid()))
        assert stat.S_IMODE(directory.stat().st_mode) == 0o711

    def test_its_problems_are_named(self, directory):
        (directory / "file").touch()
        assert "is no directory" in str(
            sockets.directory_problem(str(directory / "file"), make=True)
        )
        missing = str(directory / "none")
        assert "does not exist" in str(sockets.directory_problem(missing, make=False))

    @pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)])
    def test_the_kernel_has_room_for_107_bytes(self, length, fits):
        path = "/" + "d" * (length - 1)
        assert (sockets.path_problem(path) is None) is fits

    def test_a_relative_path_is_none(self):
        assert sockets.path_problem("vhu1")
