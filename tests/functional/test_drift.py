"""Another program changes a port under the daemon: found, logged with what it was, and mended.

``check_interval`` is 0 wherever there is an event: the event must do. Whether it is mended is
judged by a second opinion and by frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functional.drift_scene import Host
from support import meddler, oracle
from support.oracle import Wanted
from unit.docs import document, port_id
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import Change, Element
from vifd.testing.census import Census
from vifd.testing.guests import PacketGuest, assert_reaches, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import OPEN, PORTS, TABLE, chain_names
from vifd_linuxbridge.testing import quiet_netfilter

DOCUMENTS = [document(1), document(2)]
DEVICE = f"tap{port_id(1)[:11]}"

#: What is found of each change: one of these facts is in the log, with what it was and is.
DEVICE_FACTS = {
    "device deleted": ["device"],
    "device made anew": ["device.ifindex", "ovsdb.ifindex", "device"],
    "queues changed": ["device.multi_queue"],
    "MTU changed": ["device.mtu"],
    "MAC changed": ["device.mac"],
    "alias changed": ["device.alias"],
    "set down": ["device.up", "ovsdb.admin_state"],
}
SWITCH_FACTS = {
    "port deleted": ["ovsdb.port"],
    "tag changed": ["ovsdb.tag"],
    "external ids changed": ["ovsdb.external_ids"],
    "MTU requested": ["device.mtu"],
}
ROW_FACTS = {
    "VLAN mode changed": ["ovsdb.vlans"],
    "trunks changed": ["ovsdb.vlans"],
    "type changed": ["ovsdb.type"],
    "moved to another bridge": ["ovsdb.bridge"],
    "external ids cleared": ["ovsdb.external_ids"],
    "document removed": ["ovsdb.document"],
    "fail mode changed": ["switch.fail_mode"],
}
FLOW_FACTS = {
    "flows of the port deleted": ["flows.port"],
    "all flows deleted": ["flows.bridge", "flows.port"],
    "flow changed": ["flows.port"],
    "flow with our cookie added": ["trace.dhcp", "trace.arp"],
}


def test_the_table_is_complete() -> None:
    assert DEVICE_FACTS.keys() == meddler.DEVICE.keys()
    assert ROW_FACTS.keys() == meddler.ROWS.keys()
    assert SWITCH_FACTS.keys() | FLOW_FACTS.keys() == meddler.SWITCH.keys()


# --- Open vSwitch ---------------------------------------------------------------------------------


def test_on_open_vswitch(ovs: PrivateOvs, tmp_path: Path) -> None:
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="ovs")
    with host.running():
        for edit, facts in DEVICE_FACTS.items():
            _mended(host, edit, lambda e=edit: meddler.DEVICE[e](DEVICE), facts)  # type: ignore[misc]
        for edit, facts in SWITCH_FACTS.items():
            _mended(host, edit, lambda e=edit: meddler.SWITCH[e](ovs, DEVICE), facts)  # type: ignore[misc]
        for edit, facts in ROW_FACTS.items():
            _mended(host, edit, lambda e=edit: meddler.ROWS[e](ovs, DEVICE), facts)  # type: ignore[misc]
        assert ovs.vsctl("get", "Bridge", "br-int", "fail_mode").strip() == "secure"
        for edit, facts in FLOW_FACTS.items():
            _mended(host, edit, lambda e=edit: meddler.SWITCH[e](ovs, DEVICE), facts)  # type: ignore[misc]
        assert oracle.frames_go_astray(ovs, [Wanted(d) for d in DOCUMENTS]) == []


def _mended(host: Host, edit: str, act: Callable[[], object], facts: list[str]) -> None:
    host.mark()
    act()
    host.healed(*facts)
    astray: list[str] = []

    def right() -> bool:
        astray[:] = oracle.complaints(host.ovs, [Wanted(d) for d in host.documents])
        return not astray

    with contextlib.suppress(AssertionError):
        until(right, "the second opinion agrees")
        return
    pytest.fail(f"after {edit}: {astray}\n{host.news[-4000:]}")


def test_what_makes_no_event_is_found_by_the_periodic_check(
    ovs: PrivateOvs, tmp_path: Path
) -> None:
    """IPv6 turned on again on a tap: the kernel tells nobody."""
    switch = Path(f"/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6")
    options = {"engine": {"check_interval": 1, "retry_first": 0.05}}
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="ovs", **options)
    with host.running():
        if not switch.exists():
            pytest.skip("this kernel has no IPv6")
        host.mark()
        switch.write_text("0")
        host.healed("device.ipv6")
        assert switch.read_text().strip() == "1"


def test_a_flow_of_others_above_ours_is_named_and_left_alone(
    ovs: PrivateOvs, tmp_path: Path
) -> None:
    """It is somebody's: the port says so, the other port is served, and once it is gone all is
    well by itself."""
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="ovs", engine={"verify_timeout": 3})
    with host.running():
        shadow = f"table=0,priority=5000,in_port={meddler.number(ovs, DEVICE)}"
        ovs.ofctl("add-flow", "br-int", f"cookie=0xbad,{shadow},actions=drop")
        host.check()
        path = f"/v1/ports/{port_id(1)}"
        until(lambda: host.vifd.get(path)["error"], "the port has its error")
        found = host.vifd.get(path)
        assert found["error"]["code"] == "E_WIRE_TIMEOUT"
        assert "cookie 0xbad" in found["error"]["message"]
        assert host.vifd.plug(document(3))[0] == 201
        assert host.vifd.unplug(port_id(3))[0] == 204
        assert host.vifd.get(f"/v1/ports/{port_id(2)}")["phase"] == "LIVE"
        assert "cookie=0xbad" in ovs.ofctl("dump-flows", "br-int")
        ovs.ofctl("del-flows", "br-int", "cookie=0xbad/-1")
        until(host.quiet, "it is tried again and again")


def test_a_tap_that_another_program_made_a_port_of_its_bridge(
    ovs: PrivateOvs, tmp_path: Path
) -> None:
    """The switch reads a copy, so all looks well from there, and the guest's frames go there as
    well, whatever they are."""
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="ovs")
    with host.running():
        with meddler.bridge() as bridge, guests(*host.devices) as (one, two):
            host.mark()
            meddler.enslave(host.devices[1], bridge)
            found = f"drift on {host.devices[1]}: device.master is 'bridge'"
            until(lambda: found in host.news and host.quiet(), "it is found and mended")
            with PacketGuest(bridge) as there:
                assert_reaches(two, one, host.hello())
                assert host.hello() not in there.drain()
        assert oracle.frames_go_astray(ovs, [Wanted(d) for d in DOCUMENTS]) == []


def test_a_port_whose_name_somebody_took_waits_and_holds_up_nobody(
    ovs: PrivateOvs, tmp_path: Path
) -> None:
    """The row without our mark is left alone; the port is an error with its finding, tried again
    until the name is free."""
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="ovs")
    with host.running():
        meddler.take_name(ovs, DEVICE)
        path = f"/v1/ports/{port_id(1)}"

        def refused() -> bool:
            return (host.vifd.get(path)["error"] or {}).get("code") == "E_PLUG_NAME_CLASH"

        until(refused, "the clash is found by its event")
        assert host.vifd.get(path)["status"] == "ERROR"
        assert host.vifd.get(f"/v1/ports/{port_id(2)}")["phase"] == "LIVE"
        assert host.vifd.plug(document(3))[0] == 201
        assert host.vifd.unplug(port_id(3))[0] == 204
        assert "vifd-port" not in ovs.vsctl("get", "Interface", DEVICE, "external_ids")
        ovs.vsctl("del-port", DEVICE)
        until(host.quiet, "the port is back")
        assert oracle.frames_go_astray(ovs, [Wanted(d) for d in DOCUMENTS]) == []


# --- Linux bridge ---------------------------------------------------------------------------------


@pytest.fixture
def bridged(ovs: PrivateOvs, leaks: Census, tmp_path: Path) -> Iterator[Host]:
    quiet_netfilter()
    options = {"linuxbridge": {"serve_local": "true"}}
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="linuxbridge", **options)
    with host.running():
        yield host


def _without_table() -> None:
    _nft(lambda nft: nft.delete_table(TABLE))


def _without_chain() -> None:
    """The port's own chain, and what points to it."""
    gone = Change(delete=[Element(PORTS, DEVICE)], delete_chains=[chain_names(DEVICE)[0]])
    _nft(lambda nft: nft.apply(TABLE, gone))


def _closed() -> None:
    _nft(lambda nft: nft.apply(TABLE, Change(delete=[Element(OPEN, DEVICE)])))


def _nft(act: Callable[[Nft], object]) -> None:
    nft = Nft()
    try:
        act(nft)
    finally:
        nft.close()


def _off_its_bridge() -> None:
    meddler.release(DEVICE)


def test_on_another_bridge_of_the_kernel(bridged: Host) -> None:
    with meddler.bridge() as bridge:
        bridged.mark()
        meddler.enslave(DEVICE, bridge)
        bridged.healed("bridge.port")
        with guests(*bridged.devices) as (one, two):
            until(lambda: _heard(two, one, bridged.hello()), "frames pass")


BRIDGE_EDITS: dict[str, tuple[Callable[[], object], list[str]]] = {
    **{
        edit: (lambda e=edit: meddler.DEVICE[e](DEVICE), facts)  # type: ignore[misc]
        for edit, facts in DEVICE_FACTS.items()
    },
    "table deleted": (_without_table, [f"nft.{PORTS}", f"nft.{OPEN}", "nft.input", "nft.forward"]),
    "closed by hand": (_closed, [f"nft.{OPEN}"]),
    "off its bridge": (_off_its_bridge, ["bridge.port"]),
    "isolated": (lambda: meddler.isolate(DEVICE), ["bridge.isolated"]),
    "reached by no broadcast": (lambda: meddler.mute(DEVICE), ["bridge.broadcasts"]),
}


def test_on_a_linux_bridge(bridged: Host) -> None:
    for edit, (act, facts) in BRIDGE_EDITS.items():
        bridged.mark()
        act()
        try:
            bridged.healed(*facts)
        except AssertionError as error:
            pytest.fail(f"after {edit}: {error}")
    with guests(*bridged.devices) as (one, two):
        until(lambda: _heard(two, one, bridged.hello()), "frames pass")


def _heard(sender: object, receiver: object, frame: bytes) -> bool:
    try:
        assert_reaches(sender, receiver, frame, timeout=0.2)  # type: ignore[arg-type]
    except AssertionError:
        return False
    return True
