"""Hostile documents and the whole daemon: a coded refusal that names the field, and no effect."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.testing import census
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs

#: Wrong for every field it is put into.
HOSTILE: tuple[Any, ...] = (
    None, [], {"a": {}}, -1, 2**70, 1.5, "../../etc/passwd", "x" * 70_000, "a\nb", "\x00", "💥",
)  # fmt: skip
FIELDS = (
    "version", "role", "port", "port.id", "port.mac_address", "port.admin_state_up",
    "port.vnic_type", "port.port_security_enabled", "port.allowed_address_pairs",
    "network", "network.id", "network.mtu", "network.segment", "network.segment.network_type",
    "fixed_ips", "subnets", "instance", "instance.id", "required",
)  # fmt: skip
#: Values that are right for the field they meet.
FITTING = {
    ("port.allowed_address_pairs", "[]"), ("fixed_ips", "[]"), ("subnets", "[]"),
    ("instance", "None"),
}  # fmt: skip


def hostile() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field with every wrong value, and left out where it is needed."""
    for field in FIELDS:
        for value in HOSTILE:
            if (field, repr(value)) not in FITTING:
                yield field, changed(field, value)
    for field in ("version", "port", "port.id", "port.mac_address", "network", "network.segment"):
        yield field, changed(field, ...)


def changed(field: str, value: Any) -> dict[str, Any]:
    """The valid document with one field replaced, or left out for ``...``."""
    doc = copy.deepcopy(document(1))
    *parents, leaf = field.split(".")
    where = doc
    for parent in parents:
        where = where[parent]
    if value is ...:
        del where[leaf]
    else:
        where[leaf] = value
    return doc


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs) as daemon:
        yield daemon


def test_every_one_is_refused_by_its_field_and_nothing_is_made(vifd: Vifd, ovs: PrivateOvs) -> None:
    before = census.take(ovs)
    documents = list(hostile())
    assert len(documents) >= 200
    for field, doc in documents:
        status, error = vifd.call("PUT", f"/v1/ports/{port_id(1)}?wait=active&timeout=5", doc)
        assert 400 <= status < 500, (field, status, error)
        assert error["code"].startswith("E_"), (field, error)
        told = str(error["facts"]) + error["message"]
        assert field.split(".")[-1] in told or field.split(".")[0] in told, (field, error)
    assert vifd.get("/v1/ports")["ports"] == []
    assert census.take(ovs).beyond(before, processes=False) == []
    assert vifd.plug(document(1))[0] == 201
    vifd.unplug(port_id(1))
