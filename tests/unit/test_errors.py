"""Every "no" is one object with the same keys, a code of its own, and a page that lists it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vifd import errors
from vifd.errors import page as errors_doc
from vifd.errors.elsewhere import ELSEWHERE

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

KEYS = {
    "schema", "code", "class", "stage", "port", "host", "message", "facts", "remediation",
    "retryable", "retry_after", "reschedulable", "scope", "owner", "candidates", "cause",
}  # fmt: skip

CLASSES = sorted(errors.all_codes().items())


def subclasses(cls: type[errors.VifError]) -> set[type[errors.VifError]]:
    below = set(cls.__subclasses__())
    return below.union(*map(subclasses, below)) if below else below


def test_every_class_has_a_code_of_its_own() -> None:
    ours = {c for c in subclasses(errors.VifError) if c.__module__.startswith("vifd.errors")}
    assert set(errors.all_codes().values()) == ours
    assert all("code" in cls.__dict__ for cls in ours)


def test_every_class_says_how_it_is_reached() -> None:
    silent = [code for code, cls in CLASSES if "reached" not in cls.__dict__ or not cls.reached]
    assert not silent


#: Everything for which a port can fail between the request and the first frame.
CAUSES = """
    NEG_CONTRACT_VERSION NEG_NO_COMMON_VIF NEG_NO_COMMON_VERSION NEG_TOKEN_STALE VNIC_UNSUPPORTED
    VNIC_NO_SWITCHDEV VNIC_SMARTNIC_AGENT VNIC_EXTERNAL_PORT AGENT_ABSENT AGENT_DEAD
    SEG_TYPE_UNSUPPORTED SEG_PHYSNET_UNMAPPED SEG_NONE SEG_LEVELS_EXCEEDED SEG_NO_LOCAL_VLAN
    SEG_HOST_UNMAPPED IP_WRONG_SEGMENT IP_HOST_INCOMPATIBLE IP_EXHAUSTED IP_DEFERRED_UNRESOLVED
    CONN_L2_REQUIRED QOS_RP_UNKNOWN QOS_RP_AMBIGUOUS MIG_SOURCE_MISMATCH DRV_EXCEPTION STATE_EXISTS
    STATE_ACTIVE STATE_CONFLICT STATE_NOT_FOUND ACT_BINDING_UNBOUND CAP_SHARED_MEMORY CAP_VIF_MODEL
    CAP_MULTIQUEUE CAP_PACKED CAP_NUMA CAP_VIOMMU CAP_FLAVOR_IMAGE_CONFLICT PLUGIN_MISSING
    PLUGIN_LOAD PLUGIN_UNHEALTHY PLUGIN_TIMEOUT PLUG_DEVICE PLUG_BACKEND PLUG_PRIV PLUG_MTU
    PLUG_NAME_CLASH PLUG_SOCKET WIRE_TIMEOUT WIRE_REPORTED_FAILED WIRE_EVIDENCE_CONTRADICTS
    FEATURE_UNENFORCED UNPLUG_BUSY UNPLUG_PARTIAL REC_DRIFT REC_ORPHAN REC_STORE_CORRUPT
"""


def test_every_cause_is_an_error_here_or_says_who_decides_it() -> None:
    causes = {f"E_{name}" for name in CAUSES.split()}
    ours = set(errors.all_codes())
    assert causes <= ours | ELSEWHERE.keys()
    assert not ours & ELSEWHERE.keys()
    assert causes >= ELSEWHERE.keys()


def test_a_code_cannot_be_taken_twice() -> None:
    with pytest.raises(TypeError, match="E_PLUG_MTU"):
        type("Impostor", (errors.VifError,), {"code": "E_PLUG_MTU"})


@pytest.mark.parametrize(("code", "cls"), CLASSES, ids=[c for c, _ in CLASSES])
def test_the_object_has_exactly_its_keys_and_is_json(code: str, cls: type[errors.VifError]) -> None:
    body = json.loads(json.dumps(cls().to_dict()))
    assert set(body) == KEYS
    assert body["code"] == code
    assert body["code"].startswith("E_")
    assert body["message"]
    assert body["remediation"]
    assert 400 <= cls.http < 600
    assert isinstance(body["retryable"], bool)
    assert isinstance(body["reschedulable"], bool)
    assert body["owner"] in ("user", "operator", "host", "backend", "transient")
    assert body["scope"] in ("request", "port", "host", "plugin")


def test_the_sentence_is_made_of_the_facts() -> None:
    error = errors.PhysnetUnmapped(facts={"wanted": "physnet2", "have": ["physnet1"]})
    assert (
        error.message
        == "physical network 'physnet2' is not mapped on this host (have ['physnet1'])"
    )
    assert str(error) == error.message
    assert errors.PhysnetUnmapped().message == errors.PhysnetUnmapped.template


def test_stage_and_port_are_filled_in_once() -> None:
    error = errors.DeviceError(stage="tap").at("plug", "p1").at("other", "p2")
    assert (error.stage, error.port) == ("tap", "p1")


def test_the_cause_is_told_line_by_line() -> None:
    error = errors.DeviceError(facts={"device": "tap0", "problem": "busy"})
    error.__cause__ = middle = RuntimeError("netlink")
    middle.__cause__ = OSError(16, "Device or resource busy")
    assert error.to_dict()["cause"] == [
        "RuntimeError: netlink", "OSError: [Errno 16] Device or resource busy",
    ]  # fmt: skip


def test_an_unknown_exception_is_internal_and_keeps_its_cause() -> None:
    error = errors.wrap(ValueError("x"), stage="plug", port="p1")
    assert isinstance(error, errors.InternalError)
    assert (error.stage, error.port) == ("plug", "p1")
    assert error.to_dict()["cause"] == ["ValueError: x"]
    coded = errors.DeviceError("stuck", stage="tap")
    again = errors.wrap(coded, stage="plug", port="p1")
    assert (type(again), again.stage, again.port) == (errors.DeviceError, "tap", "p1")
    assert coded.port == "", "who raised it may raise it again"


def test_a_copy_shares_nothing_that_changes() -> None:
    cause = ValueError("low")
    error = errors.BackendError("broken", facts={"a": 1}, hint="wait", retry_after=2.0)
    error.__cause__ = cause
    twin = error.copy().at(port="p1")
    twin.facts["not_undone"] = ["x"]
    twin.candidates.append(errors.PortNotFound())
    assert type(twin) is errors.BackendError
    assert (error.port, error.facts, error.candidates) == ("", {"a": 1}, [])
    assert (twin.message, twin.hint, twin.retry_after) == ("broken", "wait", 2.0)
    assert twin.__cause__ is cause


def test_an_aggregated_error_is_as_hopeful_as_its_best_refusal() -> None:
    error = errors.StateConflict(candidates=[errors.PluginUnhealthy(), errors.PortNotFound()])
    body = error.to_dict()
    assert body["retryable"]
    assert body["reschedulable"]
    assert [c["code"] for c in body["candidates"]] == ["E_PLUGIN_UNHEALTHY", "E_STATE_NOT_FOUND"]
    assert all(set(c) == KEYS for c in body["candidates"])


def test_the_page_equals_the_classes() -> None:
    assert PAGE.read_text() == errors_doc.page(), "run: make docs/errors"


def test_the_page_names_every_code_once() -> None:
    page = errors_doc.page()
    for code in errors.all_codes():
        assert page.count(f"### {code}\n") == 1
