"""Who may call what: the table, the kernel's word, and a process of another user."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import serve
from unit.api.client import document, uuid
from vifd.api.auth import Access, Peer, Policy, permits
from vifd.api.server import peer_of

NOBODY = 65534
POLICY = Policy(
    own_uid=200,
    admin_uids=frozenset({300}),
    admin_gids=frozenset({301}),
    compute_uids=frozenset({350}),
    compute_gids=frozenset({351}),
    reader_uids=frozenset({400}),
    reader_gids=frozenset({401}),
)


@pytest.mark.parametrize(
    ("peer", "access"),
    [
        (Peer(0, 0), Access.WRITE),
        (Peer(0, 401, groups=frozenset({401})), Access.WRITE),
        (Peer(200, 5), Access.WRITE),
        (Peer(300, 5), Access.WRITE),
        (Peer(500, 301), Access.WRITE),
        (Peer(500, 5, groups=frozenset({6, 301})), Access.WRITE),
        (Peer(350, 5), Access.COMPUTE),
        (Peer(400, 351), Access.COMPUTE),
        (Peer(350, 301), Access.WRITE),
        (Peer(400, 5), Access.READ),
        (Peer(500, 401), Access.READ),
        (Peer(500, 5, groups=frozenset({401})), Access.READ),
        (Peer(400, 301), Access.WRITE),
        (Peer(500, 5, groups=frozenset({400, 300, 200, 0})), Access.NONE),
        (Peer(301, 300), Access.NONE),
        (Peer(NOBODY, NOBODY), Access.NONE),
        (Peer(-1, -1), Access.NONE),
    ],
)
def test_access(peer, access):
    assert POLICY.access(peer) is access


def test_nobody_but_root_and_the_daemon_by_default():
    assert Policy(own_uid=7).access(Peer(7, 1)) is Access.WRITE
    assert Policy(own_uid=7).access(Peer(8, 0)) is Access.NONE


@pytest.mark.parametrize(
    ("access", "method", "good"),
    [
        (Access.READ, "GET", True),
        (Access.READ, "POST", False),
        (Access.READ, "PUT", False),
        (Access.READ, "DELETE", False),
        (Access.READ, "BREW", False),
        (Access.NONE, "GET", False),
        (Access.NONE, "OPTIONS", False),
        (Access.WRITE, "DELETE", True),
    ],
)
def test_permits(access, method, good):
    assert permits(access, method) is good


def test_the_kernel_names_the_peer():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.gid, peer.pid) == (os.getuid(), os.getgid(), os.getpid())
    assert peer.groups == frozenset(os.getgroups())


# --- a process of another user --------------------------------------------------------------------

_CALL = """
import http.client, json, os, socket, sys
uid, groups, path, method, url, body = sys.argv[1:]
os.setgroups(json.loads(groups)); os.setgid(int(uid)); os.setuid(int(uid))
c = http.client.HTTPConnection("localhost", timeout=30)
c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(path)
c.request(method, url, body or None, {"Content-Type": "application/json"})
r = c.getresponse()
print(json.dumps([r.status, json.loads(r.read() or b"null")]))
"""


def call_as(groups: list[int], path: str, method: str, url: str, body: str = ""):
    """A call by a process of ``nobody`` with these supplementary groups."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            _CALL,
            str(NOBODY),
            json.dumps(groups),
            path,
            method,
            url,
            body,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd="/",
    )
    return json.loads(done.stdout)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="changes its uid: needs root")


@pytest.fixture
def reachable() -> Iterator[str]:
    """A path that other users can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield f"{folder}/open.sock"


@needs_root
def test_a_peer_that_is_not_allowed(backend, reachable, caplog):
    caplog.set_level(logging.WARNING)
    with serve(backend, reachable, mode=0o666):
        body = json.dumps(document())
        for method, url in (("PUT", f"/v1/ports/{uuid(1)}"), ("GET", "/v1/status"), ("GET", "/x")):
            status, error = call_as([], reachable, method, url, body if method == "PUT" else "")
            assert (status, error["code"]) == (403, "E_AUTH_FORBIDDEN")
            assert error["facts"]["uid"] == NOBODY
    assert backend.effects == []
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(lines) == 3
    assert f"uid {NOBODY} gid {NOBODY} pid " in lines[0]
    assert f"may not PUT /v1/ports/{uuid(1)}" in lines[0]


@needs_root
def test_a_supplementary_group_lets_read_and_not_write(backend, reachable):
    policy = Policy(reader_gids=frozenset({4321}))
    with serve(backend, reachable, policy, mode=0o666):
        assert call_as([4321], reachable, "GET", "/v1/status")[0] == 200
        status, error = call_as([4321], reachable, "POST", f"/v1/ports/{uuid(1)}/check")
        assert (status, error["facts"]["access"]) == (403, "read-only")
        assert call_as([4320], reachable, "GET", "/v1/status")[0] == 403


@needs_root
def test_the_mode_of_the_socket_keeps_others_out(backend, reachable):
    with serve(backend, reachable, mode=0o660), pytest.raises(subprocess.CalledProcessError) as no:
        call_as([], reachable, "GET", "/v1/status")
    assert "PermissionError" in no.value.stderr


@pytest.mark.parametrize(
    ("method", "path", "may"),
    [
        ("GET", "/v1/ports", True),
        ("GET", f"/v1/ports/{uuid(1)}/explain", True),
        ("POST", "/v1/offers", True),
        ("PUT", f"/v1/ports/{uuid(1)}/instance", True),
        ("DELETE", f"/v1/ports/{uuid(1)}/instance", True),
        ("POST", f"/v1/ports/{uuid(1)}/check", True),
        ("POST", "/v1/guests:prepare", True),
        ("POST", "/v1/compute:compare", True),
        ("POST", "/v1/network:compare", False),
        ("POST", f"/v1/ports/{uuid(1)}/instance", False),
        ("PUT", f"/v1/ports/{uuid(1)}", False),
        ("DELETE", f"/v1/ports/{uuid(1)}", False),
        ("PUT", f"/v1/ports/{uuid(1)}/network", False),
        ("POST", f"/v1/ports/{uuid(1)}/activate", False),
        ("POST", f"/v1/ports/{uuid(1)}/adopt", False),
        ("PUT", f"/v1/ports/{uuid(1)}/x/instance", False),
        ("PUT", f"/v1/ports/{uuid(1)}/instance/", False),
        ("POST", "/v1/ports:plug", False),
        ("POST", "/v1/garbage", False),
        ("POST", "/v1/reconcile", False),
    ],
)
def test_compute_says_its_own_part_and_nothing_else(method, path, may):
    assert permits(Access.COMPUTE, method, path) is may
    assert permits(Access.WRITE, method, path)
