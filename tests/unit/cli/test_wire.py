"""``vifctl guest wire`` and ``unwire``: the file, the XML, refusals. Domains are of libvirt's own
test driver, which is a libvirt without guests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.api import Served
from unit.api.client import Client
from unit.cli.conftest import environment
from vifd import errors
from vifd.cli import boot, domain, networks, wiring

pytest.importorskip("libvirt")

GUEST = "6695eb01-f6a4-8304-79aa-97f2502e193f"
MAC = "52:54:00:12:34:56"
DEFINITION = f"""<domain type='test' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <uuid>{GUEST}</uuid>
  <memory unit='KiB'>65536</memory>
  <vcpu>1</vcpu>
  <os><type>hvm</type></os>
  <devices>
    <interface type='network'>
      <mac address='{MAC}'/>
      <source network='default'/>
      <model type='e1000'/>
      <filterref filter='clean-traffic'/>
      <bandwidth><inbound average='1000'/></bandwidth>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <console type='pty'/>
  </devices>
  <qemu:commandline><qemu:arg value='-näme'/></qemu:commandline>
</domain>
"""
#: What the test driver has; its domains run unless it is said otherwise.
NODE = """<node xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>web</name><uuid>{uuid}</uuid><memory>65536</memory><os><type>hvm</type></os>
    <devices><interface type='user'><mac address='{mac}'/></interface></devices>
    <test:runstate>5</test:runstate>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>busy</name><memory>65536</memory><os><type>hvm</type></os>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>passing</name><memory>65536</memory><os><type>hvm</type></os>
    <test:transient>1</test:transient>
  </domain>
</node>
"""
LAB = {"cidr": "192.0.2.0/29", "gateway": "192.0.2.1"}


def port(number: int, mac: str = MAC, **vif: Any) -> dict[str, object]:
    made = {"type": "ethernet", "device": f"tap{number}", "mac_address": mac, "mtu": 1450}
    return {"id": f"{number:08x}-0000-4000-8000-000000000000", "vif": {**made, **vif}}


# --- the definition ---


def test_a_card_keeps_what_it_is_to_the_guest_and_the_rest_of_the_text_stays() -> None:
    found = domain.parse(DEFINITION)
    text = domain.wired(found, [(found.cards[0], port(1))])
    after = domain.parse(text)
    (card,) = after.cards
    assert "<target dev='tap1' managed='no'/>" in card.text
    for stays in (MAC, "e1000", "bandwidth", "bus='0x01'"):
        assert stays in card.text
    for gone in ("source", "filterref", "clean-traffic"):
        assert gone not in card.text
    assert "<qemu:commandline><qemu:arg value='-näme'/></qemu:commandline>" in text
    assert [(kept.port, kept.mac) for kept in after.kept] == [(port(1)["id"], MAC)]
    shown = domain.difference(DEFINITION, text, "web")
    assert "+      <target dev='tap1'" in shown
    assert "-  <qemu" not in shown
    assert "-  <name>" not in shown


def test_what_is_wired_so_already_is_known_whoever_wrote_it_down() -> None:
    found = domain.parse(DEFINITION)
    after = domain.parse(domain.wired(found, [(found.cards[0], port(1))]).replace("'", '"'))
    assert domain.same(after, [port(1)])
    assert not domain.same(after, [port(1, mtu=9000)])
    assert not domain.same(after, [port(1, device="tap9")])
    assert not domain.same(after, [port(2)])
    assert not domain.same(after, [])


def test_unwired_it_is_byte_for_byte_what_it_was() -> None:
    found = domain.parse(DEFINITION)
    more = "52:54:00:00:00:09"
    text = domain.wired(found, [(found.cards[0], port(1)), (None, port(2, more))])
    assert len(domain.parse(text).cards) == 2
    assert domain.unwired(domain.parse(text)) == DEFINITION
    assert domain.unwired(found) == DEFINITION


def test_metadata_of_others_stays() -> None:
    theirs = DEFINITION.replace(
        "  <memory unit", "  <metadata>\n    <a:b xmlns:a='urn:a'/>\n  </metadata>\n  <memory unit"
    )
    found = domain.parse(theirs)
    text = domain.wired(found, [(found.cards[0], port(1))])
    assert "<a:b xmlns:a='urn:a'/>" in text
    assert domain.unwired(domain.parse(text)) == theirs


def test_a_vhost_user_port_is_a_socket_and_needs_shared_memory() -> None:
    vif: dict[str, Any] = {
        "type": "vhostuser",
        "socket_path": "/run/s",
        "socket_mode": "server",
        "queues": 2,
    }
    found = domain.parse(DEFINITION)
    text = domain.wired(found, [(found.cards[0], port(1, **vif))])
    assert "path='/run/s'" in text
    assert "queues='2'" in text
    with pytest.raises(errors.GuestUnfit, match="shared memory"):
        wiring.fit(found, [vif])
    backed = "<memoryBacking><access mode='shared'/></memoryBacking><devices>"
    wiring.fit(domain.parse(DEFINITION.replace("<devices>", backed, 1)), [vif])


@pytest.mark.parametrize(
    "text",
    ["", "<domain/>", "<domain><devices></domain>", "<!DOCTYPE a><domain><devices/></domain>"],
)
def test_what_is_no_definition_is_said_so(text: str) -> None:
    with pytest.raises(domain.BadDefinition):
        domain.parse(text)


# --- the file ---


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ([], "(file)", "names"),
        ({}, "networks", "names"),
        ({"networks": {}}, "networks", "at least"),
        ({"nets": {}}, "(file).nets", "did you mean networks"),
        ({"networks": {"a": {"cird": "192.0.2.0/24"}}}, "networks.a.cird", "did you mean cidr"),
        ({"networks": {"a": {"cidr": "192.0.2.1/24"}}}, "networks.a.cidr", "no prefix"),
        ({"networks": {"a": {**LAB, "gateway": "10.0.0.1"}}}, "networks.a.gateway", "no cidr"),
        ({"networks": {"a": {"vlan": 5}}}, "networks.a.physical_network", "required"),
        ({"networks": {"a": {"vlan": 5000, "physical_network": "p"}}}, "networks.a.vlan", "4094"),
        ({"networks": {"a": {"mtu": True}}}, "networks.a.mtu", "no number"),
        ({"networks": {"a": {"id": "x"}}}, "networks.a.id", "no UUID"),
        ({"networks": {"a": {"port_security": "no"}}}, "networks.a.port_security", "neither"),
        ({"networks": {"a": {}}, "guests": {"g": "a"}}, "guests.g", "list"),
        ({"networks": {"a": {}}, "guests": {"g": [{}]}}, "guests.g[0].network", "required"),
        ({"networks": {"a": {}}, "guests": {"g": [{"network": "a", "mac": "1"}]}},
         "guests.g[0].mac", "no MAC"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_path(value: object, path: str, says: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        networks.read(value)
    assert caught.value.facts["field"] == path
    assert says in caught.value.message


def plan(**guests: object) -> networks.Plan:
    return networks.read({"networks": {"lab": LAB, "wild": None}, "guests": guests})


def test_which_network_is_said_or_there_is_one_alone() -> None:
    with pytest.raises(errors.GuestNetworkUnknown, match="several networks: lab, wild"):
        plan().wishes("web", [], 1)
    with pytest.raises(errors.GuestNetworkUnknown, match="did you mean lab"):
        plan().wishes("web", ["labb"], 1)
    with pytest.raises(errors.GuestNetworkUnknown):
        plan(web=["other"])
    assert [w.network for w in plan().wishes("web", ["wild", "lab"], 1)] == ["wild", "lab"]
    one = networks.read({"networks": {"lab": LAB}})
    assert [w.network for w in one.wishes("web", [], 3)] == ["lab"] * 3
    assert [w.network for w in one.wishes("web", [], 0)] == ["lab"]
    assert [w.mac for w in plan(web=[{"network": "lab", "mac": "AA:BB:CC:00:00:01"}]).wishes(
        "web", [], 1)] == ["aa:bb:cc:00:00:01"]  # fmt: skip


def made(listed: list[object], known: list[dict[str, object]] | None = None) -> list[wiring.Port]:
    asked = plan(web=listed)
    found = domain.parse(DEFINITION)
    return wiring.ports(asked, asked.wishes("web", [], 1), found, known or [])


def test_addresses_that_nobody_named_are_the_first_that_nobody_has() -> None:
    first, second = made(["lab", "lab"])
    assert (first.addresses, second.addresses) == (["192.0.2.2"], ["192.0.2.3"])
    assert first.mac == MAC
    assert second.mac.startswith("52:54:00:")
    again = made(["lab", "lab"], [first.document, second.document])
    assert [p.document for p in again] == [first.document, second.document]
    other = {**first.document, "port": {"id": "x", "mac_address": "52:54:00:00:00:01"}}
    assert made(["lab"], [other])[0].addresses == ["192.0.2.3"]
    with pytest.raises(errors.BadDocument, match=r"192\.0\.2\.2 is another port's"):
        made([{"network": "lab", "address": "192.0.2.2"}], [other])
    with pytest.raises(errors.BadDocument, match="no free address"):
        made(["lab"] * 6)
    with pytest.raises(errors.BadDocument, match="in no cidr"):
        made([{"network": "lab", "address": "198.51.100.1"}])


def test_a_card_that_is_named_is_the_one_and_others_follow_in_order() -> None:
    other, named = made(["wild", {"network": "lab", "mac": MAC}])
    assert named.card is not None
    assert other.card is None
    assert other.document["fixed_ips"] == []


# --- the boot ---


def test_the_hook_is_installed_and_what_is_missing_is_said(tmp_path: Path) -> None:
    said = boot.look(False, "web", install=False, root=tmp_path)
    assert "would be installed" in said[0].text
    assert not (tmp_path / boot.HOOK).exists()
    said = boot.look(True, "web", install=True, root=tmp_path)
    assert "systemctl restart libvirtd" in said[0].text
    assert (tmp_path / boot.HOOK).stat().st_mode & 0o777 == 0o755
    assert "no systemd" in said[1].text
    unit = tmp_path / "lib/systemd/system/vifd.service"
    for place in (tmp_path / "run/systemd/system", unit.parent):
        place.mkdir(parents=True)
    assert "no unit" in boot.look(True, "web", install=True, root=tmp_path)[1].text
    unit.touch()
    assert "systemctl enable" in boot.look(True, "web", install=True, root=tmp_path)[1].text
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants/vifd.service"
    wanted.parent.mkdir(parents=True)
    wanted.symlink_to(unit)
    assert all(line.good for line in boot.look(True, "web", install=True, root=tmp_path))


# --- the command ---


@pytest.fixture
def wire(vifctl, tmp_path):
    node = tmp_path / "node.xml"
    node.write_text(NODE.format(uuid=GUEST, mac=MAC))
    file = tmp_path / "networks.json"
    file.write_text(json.dumps({"networks": {"lab": LAB}}))

    def run(*argv: str, verb: str = "wire"):
        given = ("-f", str(file)) if verb == "wire" else ()
        return vifctl("guest", verb, *given, "--connect", f"test://{node}", *argv)

    return run


@pytest.mark.parametrize(
    ("verb", "argv", "code"),
    [
        ("wire", ("wep",), "E_GUEST_UNKNOWN"),
        ("wire", ("busy",), "E_GUEST_RUNNING"),
        ("unwire", ("busy",), "E_GUEST_RUNNING"),
        ("wire", ("passing",), "E_GUEST_UNFIT"),
        ("wire", ("web", "--network", "lob"), "E_GUEST_NETWORK"),
        ("unwire", ("web",), "E_GUEST_NOT_WIRED"),
    ],
)
def test_refusals_have_codes_and_touch_nothing(wire, backend, verb, argv, code):
    done = wire(*argv, "--format", "json", verb=verb)
    assert (done.code, done.json["code"]) == (1, code)
    assert backend.effects == []
    people = wire(*argv, verb=verb)
    assert people.err.startswith(f"vifctl: {code}: ")
    assert "hint:" in people.err


def test_a_libvirt_that_is_not_there_is_said(vifctl, tmp_path):
    file = tmp_path / "n.json"
    file.write_text('{"networks": {"lab": {}}}')
    uri = f"qemu+unix:///system?socket={tmp_path}/none"
    done = vifctl("guest", "wire", "web", "-f", str(file), "--connect", uri)
    assert done.code == 1
    assert "E_GUEST_HYPERVISOR" in done.err


def test_a_dry_run_shows_the_difference_and_what_would_be_plugged(wire, backend):
    done = wire("web", "--dry-run")
    assert (done.code, backend.effects) == (0, [])
    port = networks.port_id(GUEST, MAC)
    assert f"+      <target dev='tap{port[:11]}' managed='no'" in done.out
    assert "would be plugged" in done.out
    assert "192.0.2.2" in done.out
    (answer,) = wire("web", "--dry-run", "--format", "json").json
    assert answer["ports"][0]["document"]["port"]["id"] == port
    assert "urn:vifd:wired:1" in answer["after"]


def test_wired_the_port_is_plugged_with_what_the_file_says(wire, served, backend):
    done = wire("web")
    assert done.code == 0, done.err
    client = Client(served.path)
    found = client.call("GET", f"/v1/ports/{networks.port_id(GUEST, MAC)}").json["document"]
    client.close()
    assert found["instance"] == {"id": GUEST, "name": "web"}
    assert found["fixed_ips"][0]["ip_address"] == "192.0.2.2"
    assert "ACTIVE" in done.out


def test_what_cannot_be_plugged_leaves_nothing(wire, served, backend):
    backend.fail(networks.port_id(GUEST, MAC), errors.DeviceError(facts={"device": "tap"}))
    assert wire("web").code == 1
    client = Client(served.path)
    assert client.call("GET", "/v1/ports").json["ports"] == []
    client.close()


#: vifctl with another end of the step after the plug.
BROKEN = """
import os, signal, sys
from vifd import errors
from vifd.cli import virt
from vifd.cli.main import main

def refused(self, text):
    raise errors.HypervisorError(facts={"problem": "that is no definition"}, stage="libvirt")

def killed(self, text):
    os.kill(os.getpid(), signal.SIGKILL)

virt.Domains.define = {how}
sys.exit(main(sys.argv[1:]))
"""


def broken(how: str, served: Served, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BROKEN.replace("{how}", how), "guest", "wire", "web", "-f",
         str(tmp_path / "networks.json"), "--connect", f"test://{tmp_path / 'node.xml'}"],
        capture_output=True, text=True, timeout=300, check=False, env=environment(served.path),
    )  # fmt: skip


def ports(served: Served) -> list[Any]:
    client = Client(served.path)
    try:
        return list(client.call("GET", "/v1/ports").json["ports"])
    finally:
        client.close()


def test_a_definition_that_libvirt_refuses_takes_the_ports_along(wire, served, tmp_path):
    done = broken("refused", served, tmp_path)
    assert done.returncode == 1
    assert "that is no definition" in done.stderr
    assert ports(served) == []
    assert wire("web").code == 0


def test_what_was_there_before_stays_when_libvirt_refuses(wire, served, tmp_path):
    assert wire("web").code == 0
    before = ports(served)
    assert broken("refused", served, tmp_path).returncode == 1
    assert [port["id"] for port in ports(served)] == [port["id"] for port in before]


def test_killed_between_plug_and_definition_the_same_call_goes_on(wire, served, tmp_path):
    assert broken("killed", served, tmp_path).returncode == -signal.SIGKILL
    left = [port["id"] for port in ports(served)]
    assert left == [networks.port_id(GUEST, MAC)]
    done = wire("web")
    assert done.code == 0, done.err
    assert [port["id"] for port in ports(served)] == left
