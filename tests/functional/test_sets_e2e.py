"""Shared sets on a real host: a port that waits for its group, changes, the last use, a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import oracle
from unit.docs import document, port_id
from vifd.testing.daemon import Options, Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

OPTIONS: Options = {
    "engine": {"retry_first": 0.05, "retry_longest": 0.5},
    "plugins": {"enabled_plugins": "ovs"},
}
GROUP, OTHER = (f"5e75000{n}-0000-4000-8000-000000000000" for n in (1, 2))
PORT = f"/v1/ports/{port_id(1)}"
SG = f"/v1/security-groups/{GROUP}"


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    made = Vifd(tmp_path / "v", ovs, OPTIONS)
    made.start()
    made.ready()
    yield made
    made.call("DELETE", f"{PORT}?wait=gone")
    made.close()


def in_groups(*groups: str) -> dict[str, Any]:
    raw = document(1)
    raw["port"]["security_groups"] = list(groups)
    return raw


def phase(vifd: Vifd) -> Any:
    return vifd.get(PORT)["phase"]


def test_a_port_waits_for_its_group_and_for_what_its_rules_name(vifd: Vifd) -> None:
    status, answer = vifd.call("PUT", f"{PORT}?wait=active", in_groups(GROUP))
    assert (status, answer["code"]) == (504, "E_SET_MISSING")
    port = vifd.get(PORT)
    assert port["status"] == "DOWN"
    assert GROUP in port["error"]["message"]
    assert port["device"].startswith("tap")
    rules = [{"direction": "ingress", "remote_group_id": OTHER}, {"direction": "egress"}]
    assert vifd.call("PUT", f"{SG}?wait=applied", {"rules": rules})[0] == 201
    until(lambda: OTHER in str((vifd.get(PORT)["error"] or {}).get("message")), "what it names")
    assert vifd.call("PUT", f"/v1/security-groups/{OTHER}?wait=applied", {})[0] == 201
    until(lambda: phase(vifd) == "LIVE", "the port is open")
    port = vifd.get(PORT)
    assert (port["status"], port["error"], port["findings"]) == ("ACTIVE", None, [])
    (enforced,) = [e for e in port["enforcement"] if e["feature"] == "security_groups"]
    assert (enforced["level"], enforced["enforced_by"]) == ("dataplane", "ovs")


def test_changes_and_a_restart_and_the_last_use(vifd: Vifd, ovs: PrivateOvs) -> None:
    rules = [{"direction": "ingress", "remote_group_id": GROUP}, {"direction": "egress"}]
    assert vifd.call("PUT", f"{SG}?wait=applied", {"rules": rules})[0] == 201
    assert vifd.call("PUT", f"{PORT}?wait=active", in_groups(GROUP))[0] == 201
    before = oracle.flow_ages(ovs)
    body = {"add": {"members": [{"ip_address": "192.0.2.77"}]}}
    assert vifd.call("PATCH", f"{SG}?wait=applied", body)[0] == 200
    after = oracle.flow_ages(ovs)
    new = [flow for flow in after if flow not in before]
    assert new
    assert all("192.0.2.77" in flow for flow in new)
    until(lambda: not vifd.get(PORT)["findings"], "read back")
    vifd.kill()
    vifd.start()
    vifd.ready()
    until(lambda: phase(vifd) == "LIVE", "the port is proven")
    assert oracle.touched_flows(after, oracle.flow_ages(ovs)) == []
    assert vifd.call("DELETE", SG)[1]["code"] == "E_SET_IN_USE"
    assert vifd.call("DELETE", f"{SG}?later=true")[0] == 202
    vifd.call("DELETE", f"{PORT}?wait=gone")
    until(lambda: vifd.call("GET", SG)[0] == 404, "the group went with its last port")
    assert not [flow for flow in oracle.flow_ages(ovs) if "192.0.2.77" in flow]


def test_a_change_of_many_sets_in_one_call(vifd: Vifd) -> None:
    groups = [{"id": f"5e76{n:04d}-0000-4000-8000-000000000000",
               "rules": [{"direction": "ingress"}, {"direction": "egress"}]}
              for n in range(50)]  # fmt: skip
    status, answer = vifd.call("POST", "/v1/sets:put?wait=applied", {"security_groups": groups})
    assert (status, len(answer["sets"])) == (200, 50)
    ids = [str(group["id"]) for group in groups]
    assert vifd.call("PUT", f"{PORT}?wait=active", in_groups(*ids[:3]))[0] == 201
