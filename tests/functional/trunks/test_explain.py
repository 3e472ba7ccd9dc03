"""``port explain`` and ``port show`` of parents and sub-ports, on a real switch that was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.breaking import Host, link_down
from functional.trunks.test_daemon import OPTIONS, parent, port, sub_port
from unit.docs import port_id
from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, mac
from vifd.testing.daemon import Options, Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: Nothing is repaired, and nobody looks but for events.
FROZEN: Options = {
    **OPTIONS, "engine": {**OPTIONS["engine"], "repair": "false", "check_interval": 0},
}  # fmt: skip
DEVICE = f"tap{port_id(1)[:11]}"


@pytest.fixture
def host(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    """A parent with three sub-ports, of which one has no document."""
    with Vifd(tmp_path / "v", ovs, FROZEN) as vifd:
        assert vifd.plug(parent(1, (2, 101), (3, 102), (4, 103)))[0] == 201
        for number in (2, 3):
            assert vifd.plug(sub_port(number))[0] == 201
        made = Host(vifd, ovs)
        yield made
        made.links.close()
        vifd.clear()


def explain(host: Host, number: int) -> Any:
    return host.vifd.get(f"/v1/ports/{port_id(number)}/explain")


def step(found: Any, name: str) -> str:
    return str(next(s["sentence"] for s in found["steps"] if s["name"] == name))


def page(host: Host, verb: str, number: int) -> str:
    """What a person reads, in one line, and without the borders of a table."""
    said = host.vifctl("port", verb, port_id(number)).stdout
    return " ".join(said.replace("|", " ").split())


def test_the_pages_of_a_parent_and_of_a_sub_port(host: Host) -> None:
    family = port(host.vifd, 1)["trunk"]
    shown = [(one["port"], one["vlan"], one["status"]) for one in family["sub_ports"]]
    assert shown == [
        (port_id(2), 101, "ACTIVE"), (port_id(3), 102, "ACTIVE"), (port_id(4), 103, ""),
    ]  # fmt: skip
    assert "no document" in family["sub_ports"][2]["problem"]
    (above,) = port(host.vifd, 2)["trunk"]["parents"]
    assert (above["port"], above["vlan"], above["status"]) == (port_id(1), 101, "ACTIVE")
    listed = host.vifd.get("/v1/ports?fields=id,trunk")["ports"]
    assert listed[0] == {"id": port_id(1), "trunk": family}
    for verb in ("show", "explain"):
        said = page(host, verb, 1)
        assert f"✗ sub-port {port_id(4)}, VLAN 103: not here; no document" in said
        assert f"✓ sub-port {port_id(2)} (port2), VLAN 101: ACTIVE" in said
        assert f"✓ sub-port of {port_id(1)} (port1), VLAN 101: ACTIVE" in page(host, verb, 2)
    found, child = explain(host, 1), explain(host, 2)
    assert found["healthy"]
    assert child["healthy"]
    assert "of its 3 sub-ports 1 is not as wanted" in found["sentence"]
    assert (found["trunk"], child["trunk"]["parents"]) == (family, [above])
    assert f"by VLAN 101 of port {port_id(1)}" in step(child, "port")
    assert "none of its own" in step(child, "device")


def test_a_tag_that_no_sub_port_has_is_named_and_counted(host: Host) -> None:
    def dropped() -> int:
        found = explain(host, 1)
        assert "VLANs of sub-ports that are here: 101-102" in step(found, "flows")
        assert "any other tag is dropped here" in step(found, "flows")
        facts = [e for s in found["steps"] for e in s["facts"]]
        return int(next(e["have"]["dropped"] for e in facts if e["fact"] == "flows.frames"))

    with TapGuest(DEVICE) as guest:
        before = dropped()
        # 103 is that of a sub-port that has no document here
        for vlan in (103, 2000):
            guest.send(f.udp(mac(1), mac(2), ipv4(1), ipv4(2), vlan=vlan))
        until(lambda: dropped() >= before + 2, "both are counted")


def _device_deleted(host: Host) -> None:
    host.links.delete([DEVICE])


def _port_removed(host: Host) -> None:
    host.ovs.vsctl("del-port", DEVICE)


def _stopped(host: Host) -> None:
    host.ovs.ofctl("mod-port", "br-int", DEVICE, "no-receive")


def _closed(host: Host) -> None:
    host.vifd.call("POST", f"/v1/ports/{port_id(1)}/deactivate?wait=inactive&timeout=60")


def _unplugged(host: Host) -> None:
    host.vifd.unplug(port_id(1))


def _disowned(host: Host) -> None:
    assert host.vifd.plug(parent(1, (3, 102)))[0] == 200


def _flows_deleted(host: Host) -> None:
    number = port(host.vifd, 2)["wiring"]["details"]["ofport"]
    host.ovs.ofctl("del-flows", "br-int", f"in_port={number}")


@pytest.mark.parametrize(
    ("breaks", "broken", "words"),
    [
        (_device_deleted, "port", f"{DEVICE} does not exist"),
        (link_down, "port", f"{DEVICE} is down"),
        (_port_removed, "port", f"{DEVICE} is missing"),
        (_stopped, "port", f"{DEVICE}: NO_RECV"),
        (_closed, "port", f"port {port_id(1)} is closed"),
        (_unplugged, "port", "no port of this host has it as a sub-port"),
        (_disowned, "port", "no port of this host has it as a sub-port"),
        (_flows_deleted, "flows", "flows"),
    ],
)
def test_the_first_broken_step_of_a_sub_port(
    host: Host, breaks: Callable[[Host], None], broken: str, words: str
) -> None:
    breaks(host)

    def said() -> str:
        return str(explain(host, 2)["sentence"])

    def cause() -> bool:
        return said().startswith(f"{broken}: ") and words in said()

    until(cause, "the first broken step is the cause", told=said)
    assert f"→ ✗ {broken}" in host.vifctl("port", "explain", port_id(2)).stdout


def test_what_a_broken_sub_port_is_on_the_page_of_its_parent(host: Host) -> None:
    host.vifd.call("POST", f"/v1/ports/{port_id(2)}/deactivate?wait=inactive&timeout=60")
    family = port(host.vifd, 1)["trunk"]["sub_ports"]
    assert (family[0]["status"], "role on this host is INACTIVE" in family[0]["problem"]) == (
        "DOWN", True,
    )  # fmt: skip
    said = explain(host, 1)
    assert (said["healthy"], said["trunk"]["sub_ports"]) == (True, family)
    assert "of its 3 sub-ports 2 are not as wanted" in said["sentence"]


def test_from_the_journal_of_a_daemon_that_was_stopped(host: Host) -> None:
    host.vifd.stop()
    journal = ("--journal", str(host.journal))
    said = host.vifctl("port", "explain", port_id(1), *journal).stdout
    assert f"✓ sub-port {port_id(2)} (port2), VLAN 101: ACTIVE" in said
    said = host.vifctl("port", "explain", port_id(2), *journal).stdout
    assert f"✓ sub-port of {port_id(1)} (port1), VLAN 101: ACTIVE" in said
    host.vifd.start()
    host.vifd.ready()
