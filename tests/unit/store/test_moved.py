"""Where a port was moved from survives with its names."""

from __future__ import annotations

import msgspec
import pytest

from unit.docs import document
from vifd.model import Origin, PortRecord, Wiring, decode
from vifd.store.rows import COLUMNS, port_record, port_row

NAMES = Wiring("ovs", "ovs", "tap0", {"ofport": 1})
ORIGIN = Origin("linuxbridge", Wiring("linuxbridge", "bridge", "tap0", {"bridge": "brq"}))


@pytest.mark.parametrize("origin", [None, ORIGIN, msgspec.structs.replace(ORIGIN, foreign=True)])
def test_a_record_is_read_as_it_was_written(origin):
    record = PortRecord(
        doc=decode(document()), plugin="ovs", vif_type="ovs", names=NAMES, origin=origin
    )
    read = port_record(port_row(record))
    assert (read.names, read.origin) == (NAMES, origin)
    assert type(read.names) is Wiring


def test_an_older_vifd_reads_the_names():
    record = PortRecord(
        doc=decode(document()), plugin="ovs", vif_type="ovs", names=NAMES, origin=ORIGIN
    )
    body = dict(zip(COLUMNS, port_row(record), strict=False))["names"]
    assert msgspec.json.decode(body, type=Wiring) == NAMES
