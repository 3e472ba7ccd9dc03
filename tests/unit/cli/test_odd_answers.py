"""Whatever another program answers, vifctl says in a sentence with a code what it cannot read.

The daemon, the switch's database, a bundle, the network service's answers in files: each is made
odd in every place.
"""

from __future__ import annotations

import io
import json
import random
import re
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from support.odd import ODD, variants
from unit.api.client import Client, document, uuid
from unit.cli.test_from_neutron import POLICY_ID, rest
from unit.cli.test_scan import answer, tap
from vifd import errors
from vifd.cli import counters, hostscan, networks, neutron, switchrows
from vifd.cli.app import COMMANDS, Vifctl

EXAMPLES = Path(__file__).parents[3] / "examples"
DOCUMENT = str(EXAMPLES / "local.json")
#: What each command needs besides its name; the others need nothing.
NEEDS: dict[str, Sequence[str]] = {
    "offer": ["-f", DOCUMENT], "port precheck": [uuid(1), "--source", DOCUMENT],
    "port plug": ["-f", DOCUMENT],
    "adopt": ["--all", "-f", DOCUMENT], "gc": ["--dry-run"],
    "port top": ["--once", "--interval", "0.1"], "port capture": [uuid(1), "--duration", "1"],
    "plugin verify": ["ovs"], "compute compare": ["--none"], "network compare": ["--none"],
    **{f"port {verb}": [uuid(1)] for verb in (
        "show", "check", "counters", "explain", "activate", "deactivate", "repair", "unplug",
        "release")},
    **{f"{kind} {verb}": [uuid(1)] for kind in ("sg", "address-group", "network", "log")
       for verb in ("show", "delete")},
    "migration show": ["1"], "port move-backend": [uuid(1), "--to", "linuxbridge"],
}  # fmt: skip
#: Commands that ask no daemon, or change something that is not to be changed here.
OTHERS = {
    "help", "complete", "port example", "document from-neutron", "config from-neutron",
    "guest wire", "guest unwire", "nova check", "ui", "bundle", "log set",
    *(f"{kind} {verb}" for kind in ("sg", "address-group", "network")
      for verb in ("set", "add", "remove")),
}  # fmt: skip


#: What Python says to itself.
PYTHON = re.compile(r"object (has no|is not|does not)|indices must be|Traceback|^vifctl: '", re.M)


class Odd:
    """Somebody who gives the same answer to every question on a socket."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.body = b""
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(odd.body)

            do_GET = do_POST = do_PUT = do_DELETE = _answer

        class Server(ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Odd]:
    made = Odd(tmp_path / "odd")
    yield made
    made.close()


Said = Callable[..., tuple[int, str]]


@pytest.fixture
def say(odd: Odd, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code of a command, and all that it says."""

    def run(name: str, *more: str) -> tuple[int, str]:
        code = Vifctl().run(["--socket", odd.path, "--timeout", "1", *name.split(), *more])
        done = capsys.readouterr()
        return code, done.out + done.err

    return run


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - OTHERS))
def test_who_answers_is_not_vifd(name: str, odd: Odd, say: Said) -> None:
    for body in (b"<html>Apache", b'{"a":', b"[" * 100_000, b"null", b"[]", b"0", b'"x"', b"[{}]"):
        odd.body = body if name != "events" else b"id: 1\ndata: " + body + b"\n\n"
        code, said = say(name, *NEEDS.get(name, []))
        assert code == 1, (body[:20], said)
        assert "E_ANSWER_UNREADABLE" in said
        assert odd.path in said


@pytest.fixture
def answers(served, backend) -> dict[str, Any]:
    """What the daemon answers to commands that read."""
    client = Client(served.path)
    for number in (1, 2):
        assert client.plug(number).status == 201
    asked = {
        "status": "/v1/status", "plugin list": "/v1/plugins", "host show": "/v1/host",
        "port list": "/v1/ports", "port show": f"/v1/ports/{uuid(1)}",
        "port explain": f"/v1/ports/{uuid(1)}/explain", "reconcile": "/v1/reconcile",
        "gc": "/v1/garbage", "migration list": "/v1/migrations", "sg list": "/v1/security-groups",
    }  # fmt: skip
    found = {name: client.call("GET", path).json for name, path in asked.items()}
    found["offer"] = client.call("POST", "/v1/offers", {"attachment": document(3)}).json
    found["port check"] = found["port show"]
    client.close()
    return found


def test_one_thing_in_an_answer_is_odd(answers: dict[str, Any], odd: Odd, say: Said) -> None:
    """What can be shown is shown; else it is said what cannot be read."""
    told = 0
    for name, right in answers.items():
        made = list(variants(right))
        for value in random.Random(7).sample(made, min(60, len(made))):
            odd.body = json.dumps(value).encode()
            code, said = say(name, *NEEDS.get(name, []))
            told += "E_ANSWER_UNREADABLE" in said
            assert code in (0, 1), (name, value, said)
            assert "E_ANSWER_UNREADABLE" in said or not PYTHON.search(said), (name, value, said)
    assert told > 20


def test_a_fault_of_vifctl_can_be_looked_into(odd: Odd, say: Said) -> None:
    odd.body = b"{}"
    code, said = say("port list")
    assert (code, "there is no 'ports' in it" in said, "Traceback" in said) == (1, True, False)
    code, said = say("port list", "--format", "json")
    assert (code, json.loads(said)["code"]) == (1, "E_ANSWER_UNREADABLE")
    code = Vifctl().run(["--debug", "--socket", odd.path, "port", "list"])
    assert code == 1


# --- the switch's database ---

TAPS = answer(
    tap(1, tag=3, other={"net_uuid": uuid(2), "network_type": "vlan", "tag": "3"}), tap(2)
)


def refused(read: Callable[[Any], object], right: Any, *expected: type[Exception]) -> set[str]:
    """Every sentence by which a reader refuses what is odd; it raises nothing else."""
    said = set()
    for value in variants(right):
        try:
            read(value)
        except expected as error:
            said.add(str(error))
    assert not [sentence for sentence in said if " " not in sentence]
    return said


def test_the_switch_says_something_odd() -> None:
    def read(value: Any) -> None:
        hostscan.scan(switchrows.read(hostscan.TABLES, value), [], [])

    assert len(refused(read, TAPS, switchrows.OddRows)) > 100


def test_counters_of_the_switch_are_odd() -> None:
    def read(value: Any) -> None:
        counters.of_switch(switchrows.read(counters._TABLES, value)["Interface"])

    row = {"name": "vhu1", "statistics": ["map", [["rx_bytes", 7], ["tx_bytes", 9]]]}
    assert refused(read, {"id": "vifctl", "result": [{"rows": [row]}]}, switchrows.OddRows)


@pytest.mark.parametrize("column", ["_uuid", "external_ids", "tag", "interfaces"])
def test_a_scan_names_what_is_odd(column: str, tmp_path: Path, vifctl) -> None:
    value = json.loads(json.dumps(TAPS))
    table = 2 if column == "external_ids" else 1
    del value["result"][table]["rows"][0][column]
    with socket.socket(socket.AF_UNIX) as listening:
        path = str(tmp_path / "db.sock")
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(json.dumps(value).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = vifctl("adopt", "--scan", "--ovsdb", path)
        thread.join()
    assert (done.code, done.out) == (1, "")
    assert "E_ANSWER_UNREADABLE" in done.err
    assert f"has no column {column}" in done.err
    assert path in done.err


# --- files ---


def test_files_of_the_network_service_are_odd() -> None:
    def read(value: Any) -> None:
        neutron.documents(value if isinstance(value, list) else [value], role="ACTIVE")

    right = rest()
    right[0]["port"]["qos_policy_id"] = POLICY_ID
    assert refused(read, right, neutron.Lacking)


def test_a_file_of_networks_is_odd() -> None:
    lab = {"cidr": ["10.0.0.0/24"], "gateway": "10.0.0.1", "vlan": 5, "physical_network": "p"}
    right = {"networks": {"lab": lab}, "guests": {"web": [{"network": "lab", "address": "::1"}]}}
    assert refused(networks.read, right, errors.BadDocument, errors.GuestNetworkUnknown)


def test_a_bundle_is_odd(answers: dict[str, Any], tmp_path: Path, say: Said) -> None:
    path = tmp_path / "b.tar"
    whole: dict[str, Any] = {
        "manifest.json": [{"name": "api/status.json", "problem": ""}],
        "api/ports.json": answers["port list"],
        "api/status.json": answers["status"],
    }

    def put(**changed: Any) -> None:
        with tarfile.open(path, "w") as tar:
            for name, value in {**whole, **{k.replace("__", "/") + ".json": v
                                            for k, v in changed.items()}}.items():  # fmt: skip
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                member = tarfile.TarInfo(f"vifd-bundle/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

    put()
    assert say("port list", "--bundle", str(path))[0] == 0
    for value in (*ODD, b"", b"[", b"\xff"):
        put(api__ports=value, manifest=value)
        code, said = say("port list", "--bundle", str(path))
        assert code in (1, 3), (value, said)
        assert "E_ANSWER_UNREADABLE" in said or "bundle" in said or str(path) in said
        assert "Traceback" not in said
