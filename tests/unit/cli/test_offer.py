"""``vifctl offer``: a dry run, and ``port plug`` with its token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.api import Served
from support.backend import FakeDaemon
from unit.api.client import document, uuid
from unit.cli.conftest import Done, environment, terminal
from vifd.cli.base import UsageError
from vifd.cli.offer import accepted
from vifd.plugin import Health, Probe

Vifctl = Callable[..., Done]


@pytest.fixture
def one(tmp_path: Path) -> str:
    path = tmp_path / "port.json"
    path.write_text(json.dumps(document(1)))
    return str(path)


def test_the_table_says_who_can_who_cannot_and_why(
    vifctl: Vifctl, one: str, backend: FakeDaemon
) -> None:
    done = vifctl("offer", "-f", one)
    assert (done.code, done.err) == (0, "")
    assert "VIFGeneric 1.0" in done.out
    assert "VIFPortProfileBase 1.1" in done.out
    lines = done.out.splitlines()
    assert any("fake/tap" in line and "chosen" in line for line in lines)
    assert any("sick/vhostuser" in line and "refused" in line for line in lines)
    assert "E_PLUGIN_UNHEALTHY: plugin 'sick' cannot work on this host now: no" in done.out
    assert uuid(1) not in done.out, "it need not be said which of one"
    assert max(map(len, lines)) < 140
    assert "hint: vifctl plugin list" in done.out
    assert backend.effects == []


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_fits_the_terminal(served: Served, one: str, columns: int) -> None:
    """And its sentences are broken where words end, not once more by the table."""
    env = environment(served.path)
    text = terminal("offer", "-f", one, columns=columns, env=env)
    lines = text.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns
    assert min(map(len, lines)) == max(map(len, lines)), "it is one table"
    words = " ".join(line.split("|")[-2].strip() for line in lines if line.startswith("|"))
    assert "cannot work on this host now: no switch" in words
    host = terminal("host", "show", columns=columns, env=env)
    assert max(map(len, host.replace("\r", "").splitlines())) <= columns


def test_columns_may_be_chosen(vifctl: Vifctl, one: str) -> None:
    done = vifctl("offer", "-f", one, "-c", "candidate", "-c", "answer")
    assert [line.split() for line in done.out.splitlines()[3:-1]] == [
        ["|", "fake/tap", "|", "chosen", "|"], ["|", "sick/vhostuser", "|", "refused", "|"],
    ]  # fmt: skip


def test_one_that_is_unwell_says_so_in_one_line(
    vifctl: Vifctl, one: str, backend: FakeDaemon
) -> None:
    backend.offers.health = Probe(Health.DEGRADED, ["slow", "old"])
    done = vifctl("offer", "-f", one, "--format", "value", "-c", "why")
    assert done.out.splitlines()[0].startswith("degraded: slow; degraded: old")
    assert "| degraded: slow" in vifctl("offer", "-f", one).out


def test_nothing_can(vifctl: Vifctl, one: str, backend: FakeDaemon) -> None:
    backend.offers.health = Probe(Health.UNAVAILABLE, ["no bridge"])
    done = vifctl("offer", "-f", one)
    assert done.code == 1
    assert done.out.count("refused") == 2
    assert "no bridge" in done.out
    done = vifctl("offer", "-f", one, "--format", "json")
    assert done.code == 1
    (answer,) = done.json
    assert (answer["port"], answer["offer"]) == (uuid(1), None)
    assert answer["error"]["code"] == "E_NEG_NO_COMMON_VIF"


def test_programs_get_the_offer_whole(vifctl: Vifctl, one: str) -> None:
    done = vifctl("offer", "-f", one, "--format", "json")
    assert done.code == 0
    (answer,) = done.json
    assert answer["offer"]["choice"]["plugin"] == "fake"
    assert answer["error"] is None
    done = vifctl("offer", "-f", one, "--format", "value", "-c", "token")
    assert done.out.split()[0] == answer["offer"]["token"] or done.out.startswith("v1.")


def test_what_the_network_service_takes(vifctl: Vifctl, one: str) -> None:
    done = vifctl("offer", "-f", one, "--accept", "VIFBridge", "--accept", "tap:1.0")
    assert done.code == 0
    done = vifctl("offer", "-f", one, "--accept", "VIFGeneric:1.1-2.0")
    assert done.code == 1
    assert "E_NEG_NO_COMMON_VERSION" in done.out
    assert vifctl("offer", "-f", one, "--accept", "tap:").code == 2


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("ovs", {"vif_type": "ovs"}),
        ("VIFBridge", {"vif_class": "VIFBridge"}),
        ("VIFVHostUser:1.0", {"vif_class": "VIFVHostUser", "min_version": "1.0"}),
        ("ovs:1.0-1.3", {"vif_type": "ovs", "min_version": "1.0", "max_version": "1.3"}),
    ],
)
def test_how_it_is_written(text: str, entry: dict[str, str]) -> None:
    assert accepted(text) == entry


@pytest.mark.parametrize("text", ["", ":1.0", "ovs:", "ovs:1.0-"])
def test_how_it_is_not_written(text: str) -> None:
    with pytest.raises(UsageError):
        accepted(text)


def test_several_documents(vifctl: Vifctl) -> None:
    bad: Any = {**document(2), "version": "9.9"}
    text = json.dumps([document(1), bad])
    done = vifctl("offer", "-f", "-", stdin=text)
    assert done.code == 1
    assert "E_DOC_VERSION" in done.out
    assert uuid(1) in done.out
    done = vifctl("offer", "-f", "-", stdin=json.dumps(bad))
    assert (done.code, done.out) == (1, "")
    assert "E_DOC_VERSION" in done.err


def test_plug_with_the_token(vifctl: Vifctl, one: str, backend: FakeDaemon) -> None:
    token = vifctl("offer", "-f", one, "--format", "json").json[0]["offer"]["token"]
    backend.offers.health = Probe(Health.READY, facts={"bridge": "br-new"})
    done = vifctl("port", "plug", "-f", one, "--token", token)
    assert done.code == 1
    assert "E_NEG_TOKEN_STALE: the token of the offer is stale: plugin.bridge was" in done.err
    backend.offers.health = Probe(Health.READY, facts={"bridge": "br-int"})
    done = vifctl("port", "plug", "-f", one, "--token", token)
    assert done.code == 0
    assert "fake/tap" in done.out
    assert "sick/vhostuser E_PLUGIN_UNHEALTHY" in done.out
    done = vifctl("port", "show", uuid(1))
    assert "VIFGeneric 1.0 VIFPortProfileBase 1.1, asked for" in done.out
    assert "sick/vhostuser: E_PLUGIN_UNHEALTHY: plugin 'sick' cannot work" in done.out


def test_a_token_is_for_one_port(vifctl: Vifctl) -> None:
    text = json.dumps([document(1), document(2)])
    done = vifctl("port", "plug", "-f", "-", "--token", "v1.x", stdin=text)
    assert done.code == 2
    assert "--token belongs to one port" in done.err
