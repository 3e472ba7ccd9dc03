"""A host that OVN wires, for real: northd, ovn-controller, a switch, frames.

vifd makes tap and row; a port is ACTIVE only once OVN's own evidence is there.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ovn
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest, assert_only, assert_reaches
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("tun")

#: OVN has a second: the tests below wait for what happens without it.
OPTIONS = {"engine": {"retry_first": 0.05, "retry_longest": 0.5}, "ovn": {"installed_timeout": 1.0}}
SEGMENT = {"network_type": "geneve", "segmentation_id": 7}


def doc(number: int, **changes: Any) -> dict[str, Any]:
    return document(number, network__segment=SEGMENT, vif_type="ovs", **changes)


def logical(number: int) -> tuple[str, str, str]:
    wanted = doc(number)
    return port_id(number), wanted["port"]["mac_address"], wanted["fixed_ips"][0]["ip_address"]


def tap(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


class Host:
    """One chassis with a daemon of vifd."""

    def __init__(self, ovs: PrivateOvs, directory: Path) -> None:
        self.ovs = ovs
        self.central = ovn.Central(directory / "c")
        self.chassis = ovn.Chassis(ovs, self.central.remote, "here", "127.0.0.1")
        self.vifd = Vifd(directory / "v", ovs, OPTIONS)
        self.vifd.configure(self.chassis.options())

    def start(self) -> None:
        self.central.start()
        self.central.switch("net1", *(logical(n) for n in (1, 2, 3)))
        self.chassis.start()
        self.vifd.start()
        self.vifd.ready()

    def plug(self, number: int, **changes: Any) -> dict[str, Any]:
        """Plug a port that must succeed."""
        status, answer = self.vifd.plug(doc(number, **changes))
        assert status in (200, 201), answer
        return dict(answer)

    def port(self, number: int) -> dict[str, Any]:
        return dict(self.vifd.get(f"/v1/ports/{port_id(number)}"))

    def status(self, number: int) -> str:
        return str(self.port(number)["status"])

    def becomes(self, number: int, status: str) -> None:
        until(lambda: self.status(number) == status, f"port {number} is {status}",
              told=lambda: self.port(number))  # fmt: skip

    def broken(self, number: int, *words: str) -> None:
        """The first broken step is OVN's, in these words."""
        path = f"/v1/ports/{port_id(number)}/explain"

        def said() -> bool:
            found = self.vifd.get(path)
            return found["broken"] == "wiring" and all(w in found["sentence"] for w in words)

        until(said, f"explain says {words}", told=lambda: self.vifd.get(path)["sentence"])
        assert self.vifd.get(path)["hint"]

    def row(self, number: int) -> dict[str, str]:
        text = self.ovs.vsctl("--if-exists", "get", "Interface", tap(number), "external_ids")
        pairs = (p.partition("=") for p in text.strip().strip("{}").split(", ") if "=" in p)
        return {key.strip('"'): value.strip('"') for key, _, value in pairs}

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for part in (self.central, self.chassis, self.vifd):
                stack.callback(part.close)
            self.ovs.start()
            self.vifd.start()
            self.vifd.ready()
            self.vifd.clear()


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[Host]:
    if reason := ovn.lacking():
        pytest.skip(f"needs ovn: {reason}")
    with tempfile.TemporaryDirectory(prefix="vo-") as directory:
        made = Host(ovs, Path(directory))
        made.start()
        yield made
        made.close()


def pings(sender: TapGuest, receiver: TapGuest, one: int, other: int) -> None:
    """An ARP request of one guest reaches the other: OVN answers those that it knows itself, so
    what is asked for is nobody's address."""
    _, mac, address = logical(one)
    assert_reaches(sender, receiver, frames.arp_request(mac, address, "10.0.0.99"))
    _, back_mac, back = logical(other)
    assert_reaches(receiver, sender, frames.arp_request(back_mac, back, "10.0.0.98"))


def test_active_only_with_the_evidence_of_ovn(host: Host) -> None:
    """Two guests of one host reach each other; every flow is OVN's."""
    assert host.plug(1)["status"] == "ACTIVE"
    host.plug(2)
    found = host.port(1)
    assert found["plugin"] == "ovn"
    facts = {e["fact"]: e["have"] for e in found["evidence"]}
    assert (facts["ovn.installed"], facts["ovn.flows"]) == (True, "present")
    flows = host.ovs.ofctl("dump-flows", "br-int")
    assert not re.findall(r"cookie=0x76[0-9a-f]{14},", flows)
    assert "up=true" in host.central.sbctl(
        "--columns=up", "find", "Port_Binding", f"logical_port={port_id(1)}"
    ).replace(" ", "").replace(":", "=")
    with TapGuest(tap(1)) as one, TapGuest(tap(2)) as two:
        host.ovs.wait_for_carrier(tap(1), tap(2))
        pings(one, two, 1, 2)


def test_a_closed_port_is_not_wired(host: Host) -> None:
    """A binding that is not active yet names no logical port: OVN does not take the port away from
    where it is, and not a frame passes."""
    host.plug(1)
    host.plug(2)
    status, answer = host.vifd.call(
        "PUT", f"/v1/ports/{port_id(3)}?wait=active&timeout=60", doc(3, role="INACTIVE")
    )
    assert status in (200, 201), answer
    assert "iface-id" not in host.row(3)
    with TapGuest(tap(1)) as one, TapGuest(tap(2)) as two, TapGuest(tap(3)) as three:
        host.ovs.wait_for_carrier(tap(1), tap(2), tap(3))
        _, mac, address = logical(3)
        _, known, its = logical(1)
        assert_only(
            two,
            forbidden=[(three, frames.arp_request(mac, address, "10.0.0.99"))],
            allowed=(one, frames.arp_request(known, its, "10.0.0.98")),
        )
        host.vifd.call("POST", f"/v1/ports/{port_id(3)}/activate?wait=active&timeout=60")
        host.becomes(3, "ACTIVE")
        pings(one, three, 1, 3)


def test_ovn_controller_is_away(host: Host) -> None:
    """Device and row are there all the same; the port waits by name, and is active by itself once
    it is wired."""
    host.chassis.controller.stop()
    status, error = host.vifd.plug(doc(1))
    assert status >= 400
    assert error["code"] == "E_WIRE_TIMEOUT"
    assert host.status(1) != "ACTIVE"
    assert host.row(1)["iface-id"] == port_id(1)
    assert (Path("/sys/class/net") / tap(1)).exists()
    host.broken(1, "ovn-controller")
    host.chassis.controller.start()
    host.becomes(1, "ACTIVE")


def test_no_logical_port(host: Host) -> None:
    host.vifd.plug(doc(9))
    assert host.status(9) != "ACTIVE"
    host.broken(9, "knows no logical port", port_id(9))
    host.central.switch("net9", logical(9))
    host.becomes(9, "ACTIVE")


def test_another_chassis_was_asked_for(host: Host) -> None:
    host.central.nbctl("lsp-set-options", port_id(1), "requested-chassis=elsewhere")
    host.vifd.plug(doc(1))
    assert host.status(1) != "ACTIVE"
    host.broken(1, "elsewhere", "alone")
    host.central.nbctl("lsp-set-options", port_id(1), "requested-chassis=here")
    host.becomes(1, "ACTIVE")


def test_no_encapsulation(host: Host) -> None:
    host.ovs.vsctl("remove", "Open_vSwitch", ".", "external_ids", "ovn-encap-ip")
    host.chassis.controller.stop()
    host.chassis.controller.start()
    host.vifd.plug(doc(1))
    host.broken(1, "no tunnel endpoint")


def test_installed_without_flows_is_no_proof(host: Host) -> None:
    """What ovn-controller said stays in the database when its flows go. It is found, and OVN is
    made to wire the port anew: the row stops naming the logical port, and names it again."""
    host.plug(1)
    number = host.ovs.vsctl("get", "Interface", tap(1), "ofport").strip()

    def wired() -> bool:
        return f"in_port={number} " in host.ovs.ofctl("dump-flows", "br-int", "table=0")

    assert wired()
    host.ovs.ofctl("del-flows", "br-int", f"table=0,in_port={number}")
    # it may have been found, and mended, before anybody can look
    host.vifd.call("POST", f"/v1/ports/{port_id(1)}/check?timeout=60")
    until(lambda: "ovn.flows" in host.vifd.log, "it is found though OVN calls the port installed")
    until(wired, "OVN has wired the port anew")
    host.becomes(1, "ACTIVE")


def test_an_ovn_controller_that_hangs(host: Host) -> None:
    """It is asked, and not waited for longer than a moment."""
    host.chassis.controller.pause()
    host.vifd.plug(doc(1))
    assert host.status(1) != "ACTIVE"
    host.broken(1, "does not answer")
    host.chassis.controller.resume()
    host.becomes(1, "ACTIVE")


def test_a_reboot_without_any_control_plane(host: Host) -> None:
    """Taps and rows are back from the journal with OVN's databases and ovn-controller away; the
    port is wired once they come."""
    host.plug(1)
    host.plug(2)
    host.vifd.stop()
    host.chassis.controller.stop()
    host.central.stop()
    host.ovs.vswitchd.stop()
    from vifd.drivers.links import Links

    with contextlib.closing(Links()) as links:
        links.delete([tap(1), tap(2)])
    host.ovs.vswitchd.start()
    host.vifd.start()
    host.vifd.ready()
    for number in (1, 2):
        assert (Path("/sys/class/net") / tap(number)).exists()
        assert "ovn-installed" not in host.row(number)
        assert host.status(number) != "ACTIVE"
    host.central.start()
    host.chassis.controller.start()
    host.becomes(1, "ACTIVE")
    host.becomes(2, "ACTIVE")
    with TapGuest(tap(1)) as one, TapGuest(tap(2)) as two:
        host.ovs.wait_for_carrier(tap(1), tap(2))
        pings(one, two, 1, 2)


def test_a_restart_of_the_daemon_changes_nothing(host: Host) -> None:
    host.plug(1)
    before = host.row(1)
    host.vifd.kill()
    host.vifd.start()
    host.vifd.ready()
    assert host.status(1) == "ACTIVE"
    assert host.row(1) == before


def test_a_running_guest_of_nova_changes_hands(host: Host) -> None:
    """As os-vif leaves it: adopted in place with the frames going on, and given back."""
    from vifd.drivers import Tap
    from vifd.drivers.links import Links

    port, mac, _ = logical(1)
    host.plug(2)
    with contextlib.closing(Links()) as links:
        made = links.create_taps([Tap(tap(1), mac, 1450, "vifd:other")])[tap(1)]
        assert not isinstance(made, Exception)
        links.unmark({tap(1): (made.ifindex, "")})
    host.ovs.vsctl(
        "add-port", "br-int", tap(1), "--", "set", "Interface", tap(1),
        f"external_ids:iface-id={port}", f'external_ids:attached-mac="{mac}"',
    )  # fmt: skip
    until(lambda: host.row(1).get("ovn-installed") == "true", "OVN wired it")
    installed = host.row(1)["ovn-installed-ts"]
    with TapGuest(tap(1)) as one, TapGuest(tap(2)) as two:
        host.ovs.wait_for_carrier(tap(1), tap(2))
        pings(one, two, 1, 2)
        path = f"/v1/ports/{port}/adopt?wait=active&timeout=60"
        status, answer = host.vifd.call("POST", path, doc(1))
        assert status in (200, 201), answer
        assert host.status(1) == "ACTIVE"
        assert host.row(1)["ovn-installed-ts"] == installed
        pings(one, two, 1, 2)
        status, answer = host.vifd.call(
            "POST", f"/v1/ports/{port}/release?wait=gone&timeout=60", {}
        )
        assert status in (200, 204), answer
        pings(one, two, 1, 2)
        assert host.row(1)["ovn-installed-ts"] == installed
    assert not [key for key in host.row(1) if key.startswith("vifd-")]
    host.ovs.vsctl("del-port", "br-int", tap(1))
    with contextlib.closing(Links()) as links:
        links.remark({tap(1): (made.ifindex, "vifd:gone")})
        links.delete([tap(1)])
