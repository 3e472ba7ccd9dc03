"""What stands beside ports and bridges in the switch's database, as other programs set it."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from support.ovsdb_suite import BRIDGE, ensure
from vifd.drivers import FlowTable, Mirror, Policing, PortSpec
from vifd.drivers.ovsdb import Ovsdb
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import PATIENCE, until

INTERNAL = PortSpec("one", type="internal")


@pytest.fixture
def ovsdb(ovs: PrivateOvs) -> Iterator[Ovsdb]:
    with contextlib.closing(Ovsdb(ovs.db, timeout=PATIENCE)) as driver:
        until(driver.connected, "the driver is connected")
        ensure(driver)
        driver.ensure_ports(BRIDGE, [INTERNAL])
        yield driver


class Told:
    """What a driver told."""

    def __init__(self, ovsdb: Ovsdb) -> None:
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str]] = set()
        ovsdb.subscribe(self._hear)

    def _hear(self, kind: str, name: str) -> None:
        with self._lock:
            self._seen.add((kind, name))

    def of(self, kind: str, name: str) -> bool:
        with self._lock:
            return (kind, name) in self._seen


def test_policing_of_an_interface(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    told = Told(ovsdb)
    ovs.vsctl("set", "interface", "one", "ingress_policing_rate=1000",
              "ingress_policing_burst=100", "ingress_policing_kpkts_rate=3")  # fmt: skip
    wanted = Policing(1000, 100, 3)
    until(lambda: (row := ovsdb.port("one")) and row.policing == wanted, "the limits are read")
    until(lambda: told.of("port", "one"), "it is told")


def test_queues_of_a_port_and_their_changes(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ovs.vsctl("set", "port", "one", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-htb",
              "other-config:max-rate=1000000", "queues:3=@three", "--", "--id=@three", "create",
              "queue", "dscp=10", "other-config:min-rate=5000")  # fmt: skip
    until(lambda: (row := ovsdb.port("one")) and row.qos, "the queues are read")
    row = ovsdb.port("one")
    assert row is not None
    assert row.qos is not None
    assert (row.qos.type, row.qos.other_config) == ("linux-htb", {"max-rate": "1000000"})
    assert (row.qos.queues[3].dscp, row.qos.queues[3].other_config) == (10, {"min-rate": "5000"})
    told = Told(ovsdb)
    uuid = ovs.vsctl("--bare", "--columns=_uuid", "list", "queue").strip()
    ovs.vsctl("set", "queue", uuid, "other-config:min-rate=6000")
    # the switch writes into the port's row as well, and may be told of first
    until(
        lambda: (
            (row := ovsdb.port("one"))
            and row.qos
            and row.qos.queues[3].other_config == {"min-rate": "6000"}
        ),
        "the change of the queue is read",
    )
    until(lambda: told.of("port", "one"), "a change of a queue is told of its port")
    ovs.vsctl("clear", "port", "one", "qos")
    until(lambda: (row := ovsdb.port("one")) and row.qos is None, "they are gone")


def test_mirrors_bounds_and_settings_of_a_bridge(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ovs.vsctl("set", "bridge", BRIDGE, "mirrors=@m", "flow_tables:0=@t", "rstp_enable=true",
              "flood_vlans=7,9", "--", "--id=@p", "get", "port", "one",
              "--", "--id=@m", "create", "mirror", "name=tapped", "select_src_port=@p",
              "output_vlan=20", "--", "--id=@t", "create", "flow_table",
              "flow_limit=5")  # fmt: skip
    until(lambda: (b := ovsdb.bridge(BRIDGE)) and b.mirrors, "the mirror is read")
    bridge = ovsdb.bridge(BRIDGE)
    assert bridge is not None
    assert bridge.mirrors == (Mirror("tapped", sources=("one",), output_vlan=20),)
    assert bridge.flow_tables == {0: FlowTable(5)}
    assert (bridge.stp, bridge.rstp, bridge.flood_vlans) == (False, True, (7, 9))
    told = Told(ovsdb)
    uuid = ovs.vsctl("--bare", "--columns=_uuid", "list", "flow_table").strip()
    ovs.vsctl("set", "flow_table", uuid, "overflow_policy=evict")
    until(
        lambda: (b := ovsdb.bridge(BRIDGE)) and b.flow_tables == {0: FlowTable(5, "evict")},
        "the bound is read anew",
    )
    # a bridge with a spanning tree tells of its state as well
    until(lambda: told.of("bridge", BRIDGE), "a change of a bound is told of its bridge")
    ovs.vsctl("--", "--id=@p", "get", "port", BRIDGE, "--", "set", "mirror", "tapped",
              "output_port=@p")  # fmt: skip
    until(lambda: (b := ovsdb.bridge(BRIDGE)) and b.mirrors[0].output == BRIDGE, "it is read")


def test_what_stood_there_before_the_driver_came(ovsdb: Ovsdb, ovs: PrivateOvs) -> None:
    ovs.vsctl("set", "port", "one", "qos=@q", "protected=true", "--", "--id=@q", "create", "qos",
              "type=linux-noop")  # fmt: skip
    until(lambda: (row := ovsdb.port("one")) and row.qos, "the first one sees it")
    with contextlib.closing(Ovsdb(ovs.db, timeout=PATIENCE)) as later:
        until(later.connected, "the driver is connected")
        row = later.port("one")
        assert row is not None
        assert row.qos is not None
        assert (row.qos.type, row.protected) == ("linux-noop", True)
