"""Which rows of other programs count as ports."""

from __future__ import annotations

from typing import Any

import pytest

from unit.docs import port_id
from vifd.drivers import Bridge, PortRow
from vifd_ovs import hosted


class Rows:
    """A database with one bridge and these rows."""

    def __init__(self, *rows: PortRow) -> None:
        self._rows = rows

    def bridge(self, name: str) -> Bridge | None:
        return Bridge(name, "netdev", "", ()) if name == "br-int" else None

    def ports(self, _bridge: str) -> list[PortRow]:
        return list(self._rows)


def row(name: str, number: int = 1, **fields: Any) -> PortRow:
    return PortRow(name, "br-int", external_ids={"iface-id": port_id(number)}, **fields)


def found(*rows: PortRow, before: dict[str, str] | None = None) -> dict[str, str]:
    return hosted.found(Rows(*rows), "br-int", before or {})  # type: ignore[arg-type]


def test_a_row_that_the_switch_has_not_decided_on_is_no_port_yet() -> None:
    assert found(row("new")) == {}
    assert found(row("new", ofport=7)) == {port_id(1): "new"}


@pytest.mark.parametrize("ofport", [None, -1])
def test_a_row_that_the_switch_refused_is_told(ofport: int | None) -> None:
    assert found(row("bad", ofport=ofport, error="no device")) == {port_id(1): "bad"}


def test_a_row_made_anew_is_the_same_port() -> None:
    before = {port_id(1): "dhcp"}
    assert found(row("dhcp"), before=before) == before
    assert found(row("other"), before=before) == {}


def test_of_two_with_one_id_the_one_that_the_switch_has() -> None:
    assert found(row("a", error="x"), row("b", ofport=3)) == {port_id(1): "b"}
