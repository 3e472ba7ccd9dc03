"""``vifctl ui`` in a real browser: what is seen, what keys do, who comes in; its screenshots.

A browser takes more of a machine than all other tests at once, so those with one run by ``make
test-ui``. ``VIFD_SCREENSHOTS`` says where pictures are kept (``make docs/screenshots``).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import browser as browsers
from support.api import serve
from support.backend import FakeDaemon
from support.browser import Browser
from unit.api.client import Client
from unit.api.client import document as fake_document
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

SHOTS = os.environ.get("VIFD_SCREENSHOTS")
ASKED = SHOTS or os.environ.get("VIFD_TEST_UI")
LACKS = browsers.lacking() or (None if ASKED else "a browser: make test-ui")
needs_browser = pytest.mark.skipif(LACKS is not None, reason=str(LACKS))


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return Path(SHOTS) if SHOTS else tmp_path / "shots"


@contextlib.contextmanager
def served(socket: Path | str, *argv: str) -> Iterator[str]:
    """The page's server; its address."""
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, "VIFD_SOCKET": str(socket)}
    line = [sys.executable, "-m", "vifd.cli.main", "ui", "--no-open", *argv]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextlib.contextmanager
def page(socket: Path | str, *argv: str, dark: bool = False) -> Iterator[Browser]:
    """A browser on the page, which is ready and makes no mistake."""
    with served(socket, *argv) as address, Browser(dark=dark) as browser:
        browser.open(address)
        browser.until("document.documentElement.dataset.ready === '1'", "the page is ready")
        yield browser
        assert browser.errors == []


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[tuple[FakeDaemon, str]]:
    socket = str(tmp_path / "s")
    with FakeDaemon() as backend, serve(backend, socket):
        yield backend, socket


# --- who comes in ---


def ask(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    host = address.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request(
            method, path, headers={n.replace("_", "-"): v for n, v in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_token_works_once_and_others_stay_outside(fake: tuple[FakeDaemon, str]) -> None:
    with served(fake[1]) as address:
        path = "/" + address.rpartition("/")[2]
        assert ask(address, "/")[0] == 403
        assert ask(address, "/v1/status")[0] == 403
        assert ask(address, "/?token=wrong")[0] == 403
        status, headers, _ = ask(address, path)
        assert status == 303
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert {"HttpOnly", "SameSite=Strict"} <= {
            part.strip() for part in headers["Set-Cookie"].split(";")
        }
        assert ask(address, path)[0] == 403
        status, headers, body = ask(address, "/", Cookie=cookie)
        assert (status, b"<title>vifd" in body) == (200, True)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert ask(address, "/v1/status", Cookie=cookie)[0] == 200
        # no page of another name, although it may resolve to here
        assert ask(address, "/v1/status", Cookie=cookie, Host="evil.example:80")[0] == 403
        assert ask(address, "/v1/status", Cookie=cookie, Origin="http://evil.example")[0] == 403
        for name in ("../uiserver.py", "%2e%2e/uiserver.py", "page/index.html", "__init__.py", ""):
            assert ask(address, f"/x{name}", Cookie=cookie)[0] == 404


def test_it_only_reads_unless_it_is_asked_for(fake: tuple[FakeDaemon, str]) -> None:
    backend, socket = fake
    client = Client(socket)
    assert client.plug(1).status == 201
    client.close()
    change = f"/v1/ports/{fake_document(1)['port']['id']}/deactivate"
    for argv, expected in (((), 403), (("--write",), 202)):
        with served(socket, *argv) as address:
            _, headers, _ = ask(address, "/" + address.rpartition("/")[2])
            cookie = headers["Set-Cookie"].partition(";")[0]
            assert ask(address, change, "POST", Cookie=cookie)[0] == 403, "without the header"
            before = list(backend.effects)
            assert ask(address, change, "POST", Cookie=cookie, X_Vifd_Ui="1")[0] == expected
            unplug = "/v1/ports:unplug"
            assert ask(address, unplug, "POST", Cookie=cookie, X_Vifd_Ui="1")[0] == 403
            if expected == 403:
                assert backend.effects == before


def test_an_interrupt_ends_it_without_a_word(fake: tuple[FakeDaemon, str]) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, "VIFD_SOCKET": fake[1]}
    process = subprocess.Popen(
        [sys.executable, "-m", "vifd.cli.main", "ui", "--no-open"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")


# --- what is seen ---


@needs_browser
def test_a_host_without_ports_says_what_to_do(fake: tuple[FakeDaemon, str], shots: Path) -> None:
    with page(fake[1]) as browser:
        browser.until("!document.getElementById('empty').hidden", "it is said that there is none")
        assert "vifctl port plug" in browser.js("document.getElementById('empty').textContent")
        browser.picture(shots / "ui-empty.png")


def wide(number: int) -> dict[str, Any]:
    """A port of one of three networks."""
    tag = 100 + number % 3
    name = ("front", "back", "store")[tag - 100]
    segment = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": tag}
    return document(
        number,
        port__name=f"web-{number}",
        network={"id": f"0d1e0000-0000-4000-8000-{tag:012x}", "name": name, "segment": segment},
    )


@pytest.fixture
def real(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    """Twelve ports on a real switch, one of which is broken and stays so."""
    ovs.vsctl("--may-exist", "add-br", "br-ex", "--", "set", "bridge", "br-ex",
              OF_DATAPATH)  # fmt: skip
    subprocess.run(["ip", "link", "set", "br-ex", "up"], check=True)
    options = {"ovs": {"bridge_mappings": "physnet1:br-ex"}, "engine": {"repair": "false"}}
    with Vifd(tmp_path / "v", ovs, options) as daemon:
        until(lambda: "physnet1" in str(daemon.get("/v1/host")["plugins"]["ovs"]), "br-ex is known")
        for number in range(1, 13):
            assert daemon.plug(wide(number))[0] == 201
        ovs.vsctl("set", "port", "tap00000007-00", "tag=77")
        until(lambda: daemon.get(f"/v1/ports/{port_id(7)}")["findings"], "it is found broken")
        yield daemon
        daemon.clear()
    ovs.vsctl("--if-exists", "del-br", "br-ex")


@needs_browser
def test_twelve_ports_of_which_one_is_broken(real: Vifd, ovs: PrivateOvs, shots: Path) -> None:
    with page(real.socket, "--ovsdb", str(ovs.db)) as browser:
        # the broken one is first, picked, and explained
        browser.until("document.querySelectorAll('#list .row').length === 12", "all are listed")
        assert "1 broken" in browser.js("document.getElementById('counts').textContent")
        first = "document.querySelector('#list .row[aria-selected=true]').textContent"
        assert "web-7" in browser.js(first)
        browser.until("document.querySelector('#verdict.broken') !== null", "it is explained")
        said = browser.js("document.getElementById('verdict').textContent")
        explained = real.get(f"/v1/ports/{port_id(7)}/explain")
        assert explained["sentence"] in said
        # the picture has every column, and what is broken is marked
        drawn = browser.js(
            "[...document.querySelectorAll('#picture .node')].map(n => n.textContent)"
        )
        for words in ("tap00000007-00", "br-int", "front", "br-ex", "instance-00000007"):
            assert any(words in node for node in drawn), (words, drawn)
        bad = "[...document.querySelectorAll('#picture .node.bad')].map(n => n.dataset.id)"
        assert port_id(7) in browser.js(bad)
        # an uplink that leads nowhere says so, and is no broken port
        uplink = "document.querySelector('#picture .node.warn[data-id=\"p:physnet1\"] title')"
        assert "no port that leads out" in browser.js(f"{uplink}.textContent")
        browser.picture(shots / "ui-twelve.png")

        # keys: the next port, its evidence, what could serve it
        browser.key("j")
        browser.until(f"{first}.includes('web-1')", "the next one is picked")
        browser.key("v")
        browser.until(
            "document.getElementById('detail').textContent.includes('device.mtu')", "evidence"
        )
        browser.key("o")
        browser.until(
            "document.getElementById('detail').textContent.includes('E_CAP_SHARED_MEMORY')",
            "refusals",
        )
        browser.until(
            "document.getElementById('detail').textContent.includes('was chosen')", "choice"
        )
        browser.key("t")
        browser.until(
            "(document.getElementById('became') || {textContent: ''}).textContent"
            ".includes('refused: spoofed')", "what became of its frames",
        )  # fmt: skip
        browser.until(
            "[...document.querySelectorAll('#became tr')].slice(1).every("
            "row => row.lastChild.textContent !== '–')", "and how fast",
        )  # fmt: skip
        browser.key("/")
        browser.type("web-1")
        browser.until("document.querySelectorAll('#list .row').length === 4", "the filter holds")
        browser.key("Escape")
        browser.js("document.getElementById('filter').value = ''")
        browser.js("document.getElementById('filter').dispatchEvent(new Event('input'))")
        browser.key("b")
        browser.until(f"{first}.includes('web-7')", "the broken one is found again")

        # what happens is seen as it comes
        real.call("DELETE", f"/v1/ports/{port_id(12)}?wait=gone&timeout=60")
        browser.until("document.querySelectorAll('#list .row').length === 11", "it is gone")
        browser.until("document.getElementById('events').children.length > 3", "events are told")
        ovs.vsctl("set", "port", "tap00000007-00", "tag=1")


@needs_browser
def test_dark(real: Vifd, ovs: PrivateOvs, shots: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with page(real.socket, "--ovsdb", str(ovs.db), dark=True) as browser:
        browser.until("document.querySelector('#verdict.broken') !== null", "it is explained")
        assert browser.js(ground) == "rgb(20, 23, 26)"
        browser.picture(shots / "ui-dark.png")
        browser.key("d")
        browser.until(f"{ground} === 'rgb(251, 251, 250)'", "it is light")


@needs_browser
def test_a_thousand_ports(fake: tuple[FakeDaemon, str], shots: Path) -> None:
    """Only what is in sight is drawn, and it stays quick."""
    socket = fake[1]
    client = Client(socket)
    for begin in range(1, 1001, 50):
        ports = [wide(number) for number in range(begin, begin + 50)]
        answer = client.call("POST", "/v1/ports:plug?wait=active&timeout=60", {"ports": ports})
        assert answer.status == 200
    with page(socket) as browser:
        browser.until(
            "document.getElementById('counts').textContent.includes('1000 of 1000')", "all"
        )
        assert browser.js("document.querySelectorAll('#list .row').length") < 100
        assert browser.js("document.querySelectorAll('#picture .node').length") < 150
        assert "+" in browser.js("document.getElementById('picture').textContent")
        browser.picture(shots / "ui-thousand.png")
        browser.key("End")
        browser.until(
            "document.getElementById('list').scrollTop > 20000", "the last one is in sight"
        )
        browser.until("document.querySelector('#list .row[aria-selected=true]') !== null", "picked")
    client.close()
