"""A host whose message bus is not there: the status says so, and why a port waits; no password is
in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("module:kombu")

#: Nobody listens there; and a scheme that nobody knows.
NOWHERE = {"away": "rabbit://guest:s3cret@127.0.0.1:1/", "wrong": "rabit://guest:s3cret@127.0.0.1/"}
#: What is said of it at last.
SAID = {"away": "is not reached yet", "wrong": "rabit"}


@pytest.fixture(params=NOWHERE)
def host(
    request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path: Path
) -> Iterator[tuple[Vifd, str]]:
    given: dict[str, dict[str, object]] = {
        "network": {"service": "neutron"},
        "network_neutron": {"transport_url": NOWHERE[request.param]},
    }
    with Vifd(tmp_path / "v", ovs, given) as vifd:
        yield vifd, SAID[request.param]


def test_it_is_said_where_one_looks(host: tuple[Vifd, str]):
    vifd, said = host
    port = str(uuid.uuid4())
    body = {"version": "1.0", "instance": {"id": str(uuid.uuid4())}}
    assert vifd.call("PUT", f"/v1/ports/{port}/instance", body)[0] == 202
    until(lambda: said in (vifd.get("/v1/status")["network_problem"] or ""), "the status says it")
    status = vifd.get("/v1/status")
    assert (status["network_service"], status["live"], status["ready"]) == ("neutron", True, True)
    assert "transport_url" in status["network_problem"]
    why = vifd.get(f"/v1/ports/{port}/explain")
    assert said in why["hint"]
    assert "'neutron'" in why["hint"]
    assert "s3cret" not in str([status, why]) + vifd.log
