"""Each error of this host is met by somebody who does something real, or it is said why not.

A driver takes a directory, does what a caller, an operator or the host would do, and returns the
codes that come of it. Where a whole machine is needed, a test elsewhere does it and is named here.
"""

from __future__ import annotations

import ast
import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.api import serve
from support.backend import FakeDaemon
from unit.api.client import Client, send_raw, uuid
from unit.api.client import document as api_document
from unit.capabilities.asking import OVS, host, needs
from unit.docs import document, port_id
from unit.garbage.test_collector import Scene
from unit.machine import WAIT, Machine, until
from unit.test_upgrade import FAST, Guarded
from vifd import errors
from vifd.api import events
from vifd.api.auth import Policy
from vifd.capabilities import names
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.meeting import meet
from vifd.engine import Settings
from vifd.model import decode
from vifd.negotiation import Acceptable, token
from vifd.negotiation.offer import spoken
from vifd.negotiation.offering import Terms
from vifd.plugin import Health, Probe, Uplink
from vifd.store import VERSION, Journal
from vifd.testing.attachments import attachment, vlan
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd.testing.plugin import FakeBackend, FakePlugin

TESTS = Path(__file__).parents[1]
Codes = Iterable[str]
Driver = Callable[[Path], Codes]
DRIVERS: dict[str, Driver] = {}

#: Codes that a test elsewhere shows, on a scene that is too large for here.
SHOWN = {
    "E_ANSWER_UNREADABLE": "unit/cli/test_odd_answers.py",
    "E_SET_CHANGED": "unit/sets/test_engine.py",
    "E_SET_IN_USE": "unit/sets/test_engine.py",
    "E_SET_LIMIT": "unit/sets/test_engine.py",
    "E_SET_MISSING": "unit/sets/test_engine.py",
    "E_SET_NOT_FOUND": "unit/sets/test_engine.py",
    "E_SET_STALE": "unit/sets/test_engine.py",
    "E_TRUNK_CONFLICT": "functional/trunks/test_daemon.py",
    "E_TRUNK_WAITS": "functional/trunks/test_daemon.py",
    "E_ACT_BINDING_UNBOUND": "unit/migration/test_arrivals.py",
    "E_BACKEND_RETURNED": "functional/test_moving.py",
    "E_BACKEND_UNFIT": "functional/test_moving.py",
    "E_MIG_UNFIT": "unit/migration/test_prechecks.py",
    "E_MIG_UNKNOWN": "unit/cli/test_migration.py",
    "E_STATE_WAITS": "unit/api/test_sides.py",
    "E_STATE_STALE": "unit/api/test_sides.py",
    "E_STATE_PARTS_DIFFER": "unit/api/test_sides.py",
    "E_ADOPT_ABSENT": "functional/test_adopt.py",
    "E_ADOPT_UNFIT": "functional/test_adopt.py",
    "E_RELEASE_UNFIT": "functional/test_release.py",
    "E_RELEASE_UNSUPPORTED": "unit/test_release.py",
    "E_CAP_GUEST": "unit/test_offering.py",
    "E_CAP_NUMA": "unit/capabilities/test_meeting.py",
    "E_CONN_L2_REQUIRED": "unit/capabilities/test_binding.py",
    "E_CAP_MEM_ENCRYPTION": "unit/vhostuser/test_needs.py",
    "E_CAP_SHARED_MEMORY": "unit/vhostuser/test_needs.py",
    "E_GC_CHANGED": "unit/garbage/test_collector.py",
    "E_GC_INCOMPLETE": "unit/garbage/test_collector.py",
    "E_HOST_RESOURCES": "unit/test_limits.py",
    "E_GC_LIMIT": "unit/garbage/test_collector.py",
    "E_GC_NOT_FOUND": "unit/garbage/test_collector.py",
    "E_GUEST_HYPERVISOR": "unit/guests/test_requests.py",
    "E_GUEST_NOT_RUNNING": "unit/guests/test_requests.py",
    **dict.fromkeys(
        (
            "E_GUEST_UNKNOWN",
            "E_GUEST_RUNNING",
            "E_GUEST_UNFIT",
            "E_GUEST_NETWORK",
            "E_GUEST_NOT_WIRED",
        ),
        "unit/cli/test_wire.py",
    ),
    "E_GUEST_REPAIR": "unit/guests/test_requests.py",
    "E_PLUGIN_LOAD": "packaging/test_example_plugin.py",
    "E_PLUGIN_NOT_ASKED": "functional/test_offers.py",
    "E_PLUG_DEVICE": "functional/drivers/test_links.py",
    "E_PLUG_PRIV": "functional/drivers/test_links.py",
    "E_PLUG_SOCKET": "unit/vhostuser/test_plugin.py",
    "E_SEG_NO_LOCAL_VLAN": "unit/ovs/test_numbers.py",
    "E_PLUG_BRIDGE_TAKEN": "functional/test_second_agent.py",
    "E_STATE_MOVE": "unit/test_lifecycle.py",
    "E_STATE_QUEUES": "unit/test_queues.py",
    "E_STATE_UNRECORDED": "functional/test_lost_records.py",
    "E_STATE_NOT_PLUGGED": "unit/api/test_offers.py",
}

#: Codes that nothing in the tree brings about, and why they are there all the same.
UNREACHED: dict[str, str] = {}


def drives(*codes: str) -> Callable[[Driver], Driver]:
    """The function brings these codes about."""

    def note(driver: Driver) -> Driver:
        DRIVERS.update(dict.fromkeys(codes, driver))
        return driver

    return note


def code_of(call: Callable[[], object]) -> str:
    """The code of the error that a call ends with."""
    with pytest.raises(errors.VifError) as caught:
        call()
    return caught.value.code


# --- what a caller sends --------------------------------------------------------------------------


@drives("E_DOC_INVALID", "E_DOC_VERSION", "E_DOC_REQUIRED_UNKNOWN")
def documents(_: Path) -> Codes:
    for changes in ({"network__mtu": "wide"}, {"version": "9.0"}, {"required": {"sunshine": 1}}):
        yield code_of(lambda c=changes: decode(document(1, **c)))  # type: ignore[misc]


@contextlib.contextmanager
def served(path: Path, policy: Policy | None = None) -> Iterator[tuple[Client, str]]:
    socket = str(path / "s")
    with FakeDaemon() as backend, serve(backend, socket, policy):
        client = Client(socket)
        yield client, socket
        client.close()


@drives(
    "E_API_NO_ROUTE", "E_API_METHOD", "E_API_MEDIA_TYPE", "E_API_BODY_SIZE", "E_STATE_NOT_FOUND",
    "E_API_HTTP",
)  # fmt: skip
def calls(path: Path) -> Codes:
    with served(path) as (client, socket):
        yield client.call("GET", "/v1/unicorns").code
        yield client.call("DELETE", "/v1/status").code
        yield client.call("PUT", f"/v1/ports/{uuid(1)}", b"{}", Content_Type="text/xml").code
        yield client.call("GET", f"/v1/ports/{uuid(1)}").code
        raw = send_raw(socket, b"GARBAGE\r\n\r\n")
        yield json.loads(raw.partition(b"\r\n\r\n")[2])["code"]
        head = f"PUT /v1/ports/{uuid(1)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        raw = send_raw(socket, head.encode() + b"Content-Length: 999999999\r\n\r\n")
        yield json.loads(raw.partition(b"\r\n\r\n")[2])["code"]


@drives("E_AUTH_FORBIDDEN")
def strangers(path: Path) -> Codes:
    class Nobody(Policy):
        def access(self, peer: Any) -> Any:
            return super().access(type(peer)(65534, 65534))

    with served(path, Nobody(own_uid=7)) as (client, _):
        yield client.call("GET", "/v1/status").code


@drives("E_STATE_WAIT")
def impatience(path: Path) -> Codes:
    with FakeDaemon() as backend, serve(backend, str(path / "s")):
        backend._running.clear()
        client = Client(str(path / "s"))
        url = f"/v1/ports/{uuid(1)}?wait=active&timeout=0.05"
        yield client.call("PUT", url, api_document(1)).code
        backend._running.set()
        client.close()


@drives("E_API_BUSY")
def readers(path: Path) -> Codes:
    most = events.MAX_FOLLOWERS
    events.MAX_FOLLOWERS = 0
    try:
        with served(path) as (client, _):
            yield client.call("GET", "/v1/events").code
    finally:
        events.MAX_FOLLOWERS = most


# --- what the host decides ------------------------------------------------------------------------


@contextlib.contextmanager
def machine(path: Path, **settings: Any) -> Iterator[Machine]:
    terms = Settings(**{"verify": 2.0, "hang": 5.0, "retry_first": 0.02, **settings})
    made = Machine(path, FakeBackend(), terms)
    made.backend.health = Probe(
        Health.READY,
        physical_networks={
            "physnet1": Uplink("eth1", up=True, mtu=1500),
            "physnet2": Uplink("eth2", up=False, mtu=1500, problem="no carrier"),
        },
    )
    made.boot()
    try:
        yield made
    finally:
        made.halt()


def segment(physnet: str, **more: Any) -> dict[str, Any]:
    return {"network_type": "vlan", "physical_network": physnet, "segmentation_id": 5, **more}


@drives(
    "E_SEG_PHYSNET_UNMAPPED", "E_SEG_PHYSNET_DOWN", "E_SEG_TYPE_UNSUPPORTED", "E_VNIC_UNSUPPORTED",
    "E_PLUGIN_MISSING", "E_NEG_NO_COMMON_VIF", "E_IP_DEFERRED_UNRESOLVED", "E_IP_WRONG_SEGMENT",
    "E_PLUG_MTU", "E_IP_DUPLICATE", "E_CAP_FLAVOR_IMAGE_CONFLICT", "E_PLUGIN_UNHEALTHY",
)  # fmt: skip
def bindings(path: Path) -> Codes:
    routed = {
        "network__segment": segment("physnet1", id=uuid(8)),
        "fixed_ips": [{"ip_address": "10.0.0.2", "subnet_id": uuid(7)}],
        "subnets": [{"id": uuid(7), "cidr": "10.0.0.0/24", "segment_id": uuid(9)}],
    }
    queues = {
        "id": uuid(5), "vcpus": 4, "flavor_extra_specs": {"hw:vif_multiqueue_enabled": "true"},
        "image_properties": {"hw_vif_multiqueue_enabled": "false"},
    }  # fmt: skip
    asked: tuple[dict[str, Any], ...] = (
        {"network__segment": segment("physnet9")},
        {"network__segment": segment("physnet2")},
        {"network__segment": {"network_type": "vxlan", "segmentation_id": 5}},
        {"port__vnic_type": "direct"},
        {"plugin": "of-tomorrow"},
        {"vif_type": "of-tomorrow"},
        {"port__ip_allocation": "deferred", "fixed_ips": []},
        routed,
        {"network__segment": segment("physnet1"), "network__mtu": 9000},
        {"port__mac_address": document(1)["port"]["mac_address"]},
        {"instance": queues},
    )
    with machine(path) as made:
        made.plug(document(1))
        for changes in asked:
            yield code_of(lambda c=changes: made.plug(document(2, **c)))  # type: ignore[misc]
        made.backend.health = Probe(Health.UNAVAILABLE, ["the switch is away"])
        made.engine.lanes.probe_all()
        until(lambda: made.engine.probes["fake"].health is Health.UNAVAILABLE)
        yield code_of(lambda: made.plug(document(3)))


def _same(known: Inventory) -> Inventory:
    return known


@drives(
    "E_CAP_VIF_MODEL", "E_CAP_PACKED", "E_CAP_MACHINE_TYPE", "E_CAP_VIOMMU", "E_CAP_TRAIT",
)  # fmt: skip
def guests(path: Path) -> Codes:
    asked: tuple[tuple[dict[str, str], dict[str, str], str], ...] = (
        ({}, {"hw_vif_model": "e1000"}, names.vif_model("e1000")),
        ({"hw:virtio_packed_ring": "true"}, {}, names.VIRTIO_PACKED),
        ({}, {"hw_machine_type": "q35"}, names.machine_type("q35")),
        ({"hw:viommu_model": "virtio"}, {}, names.viommu_model("virtio")),
        ({"trait:HW_NIC_OFFLOAD_GRO": "required"}, {}, "HW_NIC_OFFLOAD_GRO"),
    )
    virtio = names.vif_model("virtio")
    with machine(path) as made:
        for flavor, image, lacking in asked:
            known = host(**{virtio: 1, lacking: None})
            made.engine.negotiator.inventory = partial(_same, known)
            wish = {"id": uuid(5), "vcpus": 4, "flavor_extra_specs": flavor,
                    "image_properties": image}  # fmt: skip
            yield code_of(lambda w=wish: made.plug(document(2, instance=w)))  # type: ignore[misc]


@drives("E_VNIC_NO_SWITCHDEV")
def hardware(_: Path) -> Codes:
    """What a host with SR-IOV and without switchdev would answer."""
    known = host(**{names.VFIO: 1, names.IOMMU: 1, names.SRIOV: 1, names.SWITCHDEV: None})
    wanted = needs(vnic_type="direct", hardware_offload_type="switchdev")
    found = meet(wanted, known, OVS, None)
    return [r.error.code for r in found if not r.met and r.error is not None]


@drives("E_FEATURE_UNENFORCED")
def enforcement(path: Path) -> Codes:
    with machine(path, terms=Terms(strict=True)) as made:
        yield code_of(lambda: made.plug(document(1, port__security_groups=[uuid(3)])))


@drives("E_NEG_NO_COMMON_VERSION", "E_NEG_CONTRACT_VERSION", "E_NEG_TOKEN_STALE")
def offers(path: Path) -> Codes:
    with machine(path) as made:
        wanted = decode(document(1)).attachment
        future = made.agent.offers.submit(
            wanted, [Acceptable("VIFGeneric", min_version="9.0")], "1.0"
        )
        yield from _all_codes(future)
        yield code_of(lambda: spoken("9.0"))
        text = made.agent.offers.submit(wanted, None, "1.0").result(WAIT).token
        claims = {port_id(1): token.read(text, "query.token")}
        made.backend.health = Probe(Health.UNAVAILABLE, ["gone"])
        made.engine.lanes.probe_all()
        until(lambda: made.engine.probes["fake"].health is Health.UNAVAILABLE)
        ticket = made.agent.plug([decode(document(1))], "r", claims)[0]
        yield code_of(lambda: ticket.done.result(WAIT))


def _all_codes(future: Future[Any]) -> Codes:
    try:
        found = [r.error for r in future.result(WAIT).refused]
    except errors.VifError as error:
        found = [error.to_dict()]
    return [c for e in found for c in _codes_in(e)]


def _codes_in(error: Any) -> Codes:
    body = error.to_dict() if isinstance(error, errors.VifError) else error
    return [body["code"], *(c for below in body["candidates"] for c in _codes_in(below))]


# --- what becomes of a port -----------------------------------------------------------------------


@drives("E_STATE_CONFLICT", "E_INTERNAL", "E_WIRE_TIMEOUT", "E_UNPLUG_PARTIAL", "E_REC_DRIFT")
def ports(path: Path) -> Codes:
    with machine(path, verify=0.05) as made:
        made.plug(document(1))
        yield code_of(lambda: made.plug(document(1, port__mac_address="fa:16:3e:00:99:99")))
        made.backend.faults["plug", port_id(2)] = KeyError("a defect")
        yield code_of(lambda: made.plug(document(2)))
        made.backend.dirty[port_id(3)] = 1000
        yield code_of(lambda: made.plug(document(3)))
        made.backend.ports[port_id(1)].damage = "by another program"
        made.engine.again([port_id(1)])
        until(lambda: "degraded" in made.names())
        yield from (str(e.error["code"]) for e in made.agent.events(0)
                    if e.event == "degraded" and e.error)  # fmt: skip
        made.backend.faults["unplug", port_id(1)] = errors.DeviceError()
        yield code_of(lambda: made.drop(1).done.result(WAIT))


@drives("E_STATE_SUPERSEDED", "E_AGENT_STOPPING", "E_PLUGIN_TIMEOUT")
def a_lane_that_hangs(path: Path) -> Codes:
    # long enough for what the lane does first, on any machine
    with machine(path, hang=1.0) as made:
        made.backend.gate.clear()
        first = made.put(document(1))
        first.accepted.result(WAIT)
        # before it has begun, it would be left out, and nothing would hang
        until(lambda: any(port_id(1) in ids for _, ids in made.backend.calls))
        second = made.drop(1)
        yield code_of(lambda: first.done.result(WAIT))
        second.accepted.result(WAIT)
        until(lambda: made.engine.tick() is not None and made.engine.lanes["fake"].quarantined)
        yield (made.record(1).error or {})["code"]
        yield code_of(lambda: second.done.result(WAIT))
        made.engine.stopping = True
        yield code_of(lambda: made.plug(document(2)))


@drives("E_REC_APPROVAL")
def upgrades(path: Path) -> Codes:
    Guarded.make = FakePlugin
    made = Guarded(path, FakeBackend(), FAST)
    made.boot()
    try:
        for number in (1, 2):
            made.plug(document(number))
        made.upgrade()
        yield code_of(lambda: made.plug(document(3)))
    finally:
        made.halt()


# --- the plugin ovs on a host of fakes ------------------------------------------------------------


def ovs(machine: FakeMachine, **options: Any) -> Ledger:
    from contract.ovs import plugin

    return Ledger(machine.drivers, lambda host: plugin(host, **options), patience=0)


@drives(
    "E_PLUG_BACKEND", "E_PLUG_BACKEND_DOWN", "E_PLUG_NAME_CLASH",
    "E_PLUG_BRIDGE_MISSING",
)  # fmt: skip
def switches(_: Path) -> Codes:
    def failing(act: Callable[[FakeMachine], object], **options: Any) -> Codes:
        machine = FakeMachine()
        act(machine)
        return [e.code for e in ovs(machine, **options).plug(attachment(1)).values()]

    device = f"tap{attachment(1).id[:11]}"
    yield from failing(lambda m: m.ovsdb.stop())
    yield from failing(lambda m: m.openflow.fail_next("apply"))
    yield from failing(lambda m: m.links.place(device, kind="tun"))
    yield from failing(lambda m: None, create_bridge=False)


@drives("E_CAP_MULTIQUEUE")
def queues(_: Path) -> Codes:
    machine = FakeMachine()
    ledger = ovs(machine, max_queues=1)
    wish = {"vcpus": 4, "flavor_extra_specs": {"hw:vif_multiqueue_enabled": "true"}}
    found = ledger.plugin.requires(attachment(1, instance=wish, segment=vlan(5)))
    return [r.error.code for r in found if not r.met and r.error is not None]


@drives("E_GC_UNDO")
def garbage(path: Path) -> Codes:
    scene = Scene(path)
    try:
        scene.orphans.make([7])
        scene.ripen()
        scene.collect()
        scene.drivers.ovsdb.delete_bridge("br-int")
        yield from (f.error["code"] for f in scene.undo().failed)
    finally:
        scene.close()


@drives("E_DOC_UNREAD")
def unread_fields(path: Path) -> Codes:
    yield code_of(lambda: decode(document(1, nonsense="x" * 100_000)))


# --- the journal ----------------------------------------------------------------------------------


@drives("E_REC_STORE", "E_REC_STORE_VERSION", "E_REC_STORE_CORRUPT")
def journals(path: Path) -> Codes:
    import sqlite3

    journal = Journal.open(path / "journal.db")
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    yield code_of(lambda: journal.remember("much", "x" * 100_000))
    journal.close()
    with contextlib.closing(sqlite3.connect(path / "journal.db")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    yield code_of(lambda: Journal.open(path / "journal.db"))
    (path / "journal.db").write_bytes(b"torn" * 4096)
    journal = Journal.open(path / "journal.db")
    yield from (str(e.error["code"]) for e in journal.events(0, 9) if e.error)
    journal.close()


# --- the register ---------------------------------------------------------------------------------


def test_every_code_has_a_driver_a_test_or_a_reason() -> None:
    registers = [DRIVERS.keys(), SHOWN.keys(), UNREACHED.keys()]
    known = set().union(*registers)
    assert known == set(errors.all_codes())
    assert sum(map(len, registers)) == len(known), "in one register each"
    assert all(len(reason) > 20 for reason in UNREACHED.values())


@pytest.mark.parametrize("driver", dict.fromkeys(DRIVERS.values()), ids=lambda d: d.__name__)
def test_a_driver_brings_its_codes_about(
    driver: Driver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    promised = {code for code, known in DRIVERS.items() if known is driver}
    assert promised <= set(driver(tmp_path))


@pytest.mark.parametrize(("code", "where"), SHOWN.items())
def test_the_test_that_is_named_looks_for_the_code(code: str, where: str) -> None:
    """In an assertion or in ``pytest.raises``, by its code or its class."""
    name = errors.all_codes()[code].__name__
    tree = ast.parse((TESTS / where).read_text())
    tests = [n for n in ast.walk(tree)
             if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]  # fmt: skip
    found = {
        part.value if isinstance(part, ast.Constant) else
        part.attr if isinstance(part, ast.Attribute) else part.id
        for test in tests for part in ast.walk(test)
        if isinstance(part, ast.Constant | ast.Attribute | ast.Name)
    }  # fmt: skip
    assert found & {code, name}
