"""The hook as libvirt calls it: the real program, the real API."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import Served, serve
from support.backend import FakeDaemon
from unit.api.client import Client, uuid
from vifd import errors
from vifd.testing.bootable import HOOK
from vifd.testing.wait import PATIENCE

GUEST = "0d1e0000-0000-4000-8000-0000000000aa"
BEGIN = ("vm", "prepare", "begin", "-")


def definition(*devices: str, head: str = "") -> str:
    made = "".join(
        f"<interface type='vhostuser'><mac address='52:54:00:00:00:01'/>"
        f"<source type='unix' path='{d}' mode='server'/><target dev='ignored'/></interface>"
        if d.startswith("/")
        else f"<interface type='ethernet'><mac address='52:54:00:00:00:01'/><target dev='{d}'/>"
        f"</interface>"
        for d in devices
    )
    return (
        f"{head}<domain type='kvm'><uuid>{GUEST}</uuid><metadata><x><interface>"
        f"<target dev='decoy'/></interface></x></metadata><devices><disk><target dev='vda'/></disk>"
        f"{made}</devices></domain>"
    )


@pytest.fixture
def served(backend: FakeDaemon, tmp_path: Path) -> Iterator[Served]:
    with serve(backend, str(tmp_path / "vifd.sock")) as running:
        client = Client(running.path)
        assert client.plug(1).status == 201
        client.close()
        yield running


def hook(sock: str, text: str, *arguments: str, seconds: str = "5") -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "VIFD_SOCKET": sock, "VIFD_HOOK_TIMEOUT": seconds}
    return subprocess.run(
        [str(HOOK), *(arguments or BEGIN)], input=text, env=env, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess) -> tuple[int, str]:
    assert done.stdout == ""
    return done.returncode, done.stderr


DEVICE = "tap00000001-00"


def test_ports_that_are_there_let_the_guest_start_in_silence(served):
    assert said(hook(served.path, definition(DEVICE))) == (0, "")
    assert said(hook(served.path, definition("vnet1", DEVICE, "/run/x/vhu1"))) == (0, "")


def test_a_port_with_an_error_refuses_the_start_with_its_sentence(served, backend):
    error = errors.BackendError(facts={"problem": "the switch is down", "backend": "fake"})
    backend.fail(uuid(2), error)
    client = Client(served.path)
    assert client.plug(2).status == error.http
    client.close()
    code, text = said(hook(served.path, definition(DEVICE, "tap00000002-00")))
    assert code == 1
    assert text == f"vifd: tap00000002-00: {error.code}: {error.message}. Next: {error.hint}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("vm", "start", "begin", "-"),
        ("vm", "prepare", "end", "-"),
        ("vm", "release", "end", "-", "stopped"),
        ("vm", "reconnect", "begin", "-"),
        (),
    ],
)
def test_only_prepare_begin_is_looked_at(tmp_path, arguments):
    nobody = str(tmp_path / "nobody.sock")
    if arguments:
        assert said(hook(nobody, definition(DEVICE), *arguments)) == (0, "")
    else:
        assert "cannot be asked" in said(hook(nobody, definition(DEVICE)))[1]


def test_without_interfaces_nobody_is_asked(tmp_path):
    assert said(hook(str(tmp_path / "nobody.sock"), definition())) == (0, "")


def test_a_daemon_that_is_away_stops_no_guest(tmp_path):
    code, text = said(hook(str(tmp_path / "nobody.sock"), definition(DEVICE)))
    assert code == 0
    assert "cannot be asked" in text


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n[1]", b"nonsense\r\n\r\n"])
def test_nonsense_in_place_of_a_daemon_stops_no_guest(tmp_path, answer):
    path = str(tmp_path / "odd.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve_once() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve_once)
        thread.start()
        code, text = said(hook(path, definition(DEVICE)))
        thread.join(PATIENCE)
    assert code == 0
    assert "starts without it" in text


def test_a_refusal_of_the_call_itself_stops_no_guest(served):
    code, text = said(hook(served.path, definition("x" * 5000)))
    assert code == 0
    assert "E_DOC_INVALID" in text


@pytest.mark.parametrize("text", ["", "no xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><domain/>"])
def test_a_definition_that_cannot_be_read_stops_no_guest(served, text):
    code, said_text = said(hook(served.path, text))
    assert code == 0
    assert "cannot be read" in said_text


def test_it_needs_nothing_but_a_plain_python() -> None:
    """It runs for every guest of the host, so it imports little, and nothing of vifd."""
    text = HOOK.read_text()
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    imports = {line.split()[1].partition(".")[0] for line in text.splitlines()
               if line.startswith(("import ", "from "))}  # fmt: skip
    assert imports == {"http", "json", "os", "socket", "sys", "xml"}
    assert os.access(HOOK, os.X_OK)
