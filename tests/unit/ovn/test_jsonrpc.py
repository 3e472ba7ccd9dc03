"""Questions over TLS: with the files that are named, and with no others."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.testing.wait import PATIENCE
from vifd_ovn.jsonrpc import Tls, Unanswered, ask

pytestmark = pytest.mark.needs("program:openssl")


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A key, and a certificate that is its own authority."""
    key, made = directory / f"{name}.key", directory / f"{name}.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    argv += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(made)]
    subprocess.run(argv, check=True, capture_output=True)
    return key, made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Tls]]:
    """A database that takes one client, and the files by which it takes it."""
    assert shutil.which("openssl")
    (key, cert), (own_key, own) = certificate(tmp_path, "db"), certificate(tmp_path, "host")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(own)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    asked = json.loads(wrapped.recv(65536))
                    answer = {"id": asked["id"], "result": asked["params"], "error": None}
                    wrapped.sendall(json.dumps(answer).encode())
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"ssl:127.0.0.1:{listening.getsockname()[1]}", Tls(str(own_key), str(own), str(cert))
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(PATIENCE)


def test_an_answer_over_tls(server: tuple[str, Tls]) -> None:
    address, tls = server
    assert ask(address, "transact", [1, "x"], 10.0, tls) == [1, "x"]


def test_without_files_it_is_said_which_are_wanted(server: tuple[str, Tls]) -> None:
    with pytest.raises(Unanswered, match="southbound_ca_cert of \\[ovn\\]"):
        ask(server[0], "transact", [], 10.0)


def test_a_server_that_the_authority_did_not_sign_is_refused(
    server: tuple[str, Tls], tmp_path: Path
) -> None:
    address, tls = server
    _, other = certificate(tmp_path, "other")
    with pytest.raises(Unanswered, match="verify failed"):
        ask(address, "transact", [], 10.0, Tls(tls.private_key, tls.certificate, str(other)))


def test_a_file_that_is_not_there(server: tuple[str, Tls]) -> None:
    with pytest.raises(Unanswered, match="No such file"):
        ask(server[0], "transact", [], 10.0, Tls("/none", "/none", "/none"))
