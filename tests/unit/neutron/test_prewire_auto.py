"""Ports are made ahead where nova plugs by vifd-nova, and one that stock os-vif plugs all the same
is given to it."""

from __future__ import annotations

import logging

import pytest

from support.neutron import Network, Port
from unit.neutron.scene import Cloud, Node
from unit.neutron.test_driver import active
from unit.neutron.test_prewire import ready, unplug
from vifd.model import Part, Parts
from vifd.model.parts import hosted_part
from vifd.model.plugger import Plugger, latest, plugger, spoken
from vifd.network.neutron import options
from vifd.network.neutron.prewire import Verdict, verdict
from vifd.testing.wait import until
from vifd_ovs.bridge import marks

ID = "00000001-0000-4000-8000-000000000001"
NET = Part("neutron", {"port": {"id": ID}})
BODY = {"version": "1.0", "instance": {"id": ID}}


def part(owner: str, at: float) -> Part:
    return Part(owner, BODY, at=at)


# --- who plugged ---


@pytest.mark.parametrize(("parts", "found"), [
    (Parts(NET), None),
    (Parts(NET, part("nova", 5.0)), Plugger(True, ID, at=5.0)),
    (Parts(NET, part("compute", 5.0)), None),
    (Parts(NET, hosted=hosted_part("ovs", "tap1", 5.0), ahead=True),
     Plugger(False, ID, "tap1", 5.0)),
    # a tap that libvirt makes, or the port of an agent
    (Parts(NET, hosted=hosted_part("ovs", "tap1", 5.0)), None),
    # its nova is back, and what another program had made is not vifd's yet
    (Parts(NET, part("nova", 6.0), hosted_part("ovs", "tap1", 5.0), ahead=True),
     Plugger(True, ID, at=6.0)),
])  # fmt: skip
def test_who_plugged_is_told_by_the_parts(parts: Parts, found: Plugger | None) -> None:
    assert plugger(ID, parts) == found


def test_the_last_one_counts() -> None:
    nova = {"a": Parts(NET, part("nova", 5.0))}
    other = {"b": Parts(NET, hosted=hosted_part("ovs", "tap1", 7.0), ahead=True)}
    known = latest(latest(None, nova), other)
    assert known is not None
    assert not known.asks
    assert latest(known, {**nova, "c": None}) == known, "an older word changes nothing"
    again = latest(known, {"b": Parts(NET, part("nova", 8.0), ahead=True)})
    assert again is not None
    assert again.asks
    assert spoken(ID, None) is None


@pytest.mark.parametrize(("option", "known", "ahead"), [
    ("true", None, True), ("true", Plugger(False, ID, "tap1"), True),
    ("false", Plugger(True, ID), None),
    ("auto", None, False), ("auto", Plugger(True, ID), True),
    ("auto", Plugger(False, ID, "tap1"), False),
])  # fmt: skip
def test_what_follows_of_it(option: str, known: Plugger | None, ahead: bool | None) -> None:
    found = verdict(option, known)
    assert found.ahead is ahead
    assert found.why
    if option == "auto" and known is not None:
        assert ID in found.why
    assert isinstance(found, Verdict)


@pytest.mark.parametrize(("given", "value"), [
    ("auto", "auto"), ("Auto", "auto"), (True, "true"), ("yes", "true"), ("1", "true"),
    (False, "false"), ("off", "false"), ("no", "false"),
])  # fmt: skip
def test_the_option_is_a_boolean_or_auto(given: object, value: str) -> None:
    assert options.Prewire()(given) == value


def test_the_option_is_nothing_else() -> None:
    with pytest.raises(ValueError, match="perhaps"):
        options.Prewire()("perhaps")


# --- on a host ---


def bound(cloud: Cloud, node: Node, network: Network) -> Port:
    port = cloud.neutron.port(network)
    cloud.neutron.bind(port, node.name, ovs_create_tap=True)
    return port


def waits(node: Node, port: Port) -> bool:
    """Whether the port is known here, and not made."""
    return node.bound(port) and node.record(port) is None


def theirs(node: Node, port: Port) -> bool:
    record = node.record(port)
    return node.live(port) and record is not None and record.doc.attachment.hosted is not None


def test_it_begins_with_the_first_call_of_vifd_nova_and_a_restart_knows(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node, network = cloud.node(), cloud.vlan()
    first = bound(cloud, node, network)
    until(lambda: waits(node, first), "not made ahead")
    assert "not made ahead of nova's plug: vifd-nova has plugged nothing" in node.service.ahead()
    node.compute(first)
    until(lambda: active(first), "plugged")
    second = bound(cloud, node, network)
    until(lambda: waits(node, second), "another caller than vifd-nova tells nothing of nova")
    node.compute(first, "nova")
    until(lambda: "are made ahead" in node.service.ahead(), "known at once")
    third = bound(cloud, node, network)
    until(lambda: ready(node, third), "made ahead")
    assert node.record(second) is None, "it is made when nova plugs it"
    until(lambda: "are made ahead of nova's plug: nova plugs by vifd-nova" in caplog.text, "told")
    assert caplog.text.count("of nova's plug") == 2
    node.stop()
    node.start()
    cloud.synchronised(node)
    assert "are made ahead" in node.service.ahead()
    fourth = bound(cloud, node, network)
    until(lambda: ready(node, fourth), "made ahead")
    assert ready(node, third)


def test_a_port_that_stock_os_vif_plugs_is_given_to_it_and_no_other_is_made(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    node, network = cloud.node(), cloud.vlan()
    old = bound(cloud, node, network)
    node.compute(old, "nova")
    until(lambda: active(old), "plugged")
    port, other = bound(cloud, node, network), bound(cloud, node, network)
    until(lambda: ready(node, port) and ready(node, other), "made ahead")
    device = node.row(port).name
    node.stock(port)
    until(lambda: theirs(node, port) and active(port), "it is os-vif's, and open")
    assert node.row(port).name == device
    assert not [key for key in node.row(port).external_ids if key.startswith(marks.OWN)]
    assert f"plugged it for instance {port.id}" in caplog.text
    assert "take_over in nova.conf" in caplog.text
    assert device in node.service.ahead()
    new = bound(cloud, node, network)
    until(lambda: waits(node, new), "not made ahead")
    assert ready(node, other), "what was made before stays: os-vif may plug it any moment"
    node.stop()
    node.start()
    cloud.synchronised(node)
    until(lambda: theirs(node, port), "still")
    assert device in node.service.ahead()
    # the instance goes: os-vif takes its port away, and vifd does not make it again
    node.take_off(device)
    node.machine.links.drop(device)
    until(lambda: node.record(port) is None, "gone")
    until(lambda: waits(node, port), "it waits for compute")
    node.compute(other, "nova")
    until(lambda: active(other), "vifd-nova is back")
    last = bound(cloud, node, network)
    until(lambda: ready(node, last), "made ahead again")
    assert waits(node, port)
    unplug(node, other)
    until(lambda: node.record(other) is None, "unplugged")
    assert caplog.text.count("plugged it for instance") == 1


def test_a_tap_of_libvirts_is_no_word_against_vifd_nova(cloud: Cloud) -> None:
    node, network = cloud.node(), cloud.vlan()
    port = bound(cloud, node, network)
    node.compute(port, "nova")
    until(lambda: active(port), "plugged")
    libvirts = cloud.neutron.port(network, node.name)
    node.plug(libvirts)
    until(lambda: active(libvirts), "hosted")
    assert "are made ahead" in node.service.ahead()


def test_what_was_plugged_while_vifd_was_down_is_found_by_its_next_start(cloud: Cloud) -> None:
    node, network = cloud.node(prewire=True), cloud.vlan()
    port = bound(cloud, node, network)
    until(lambda: ready(node, port), "made ahead")
    node.stop()
    node.stock(port)
    node.start()
    until(lambda: theirs(node, port) and active(port), "it is os-vif's, and open")


def test_an_option_that_changes_holds_at_once(cloud: Cloud) -> None:
    node, network = cloud.node(prewire=True), cloud.vlan()
    port = bound(cloud, node, network)
    until(lambda: ready(node, port), "made ahead")
    node.change(prewire=False)
    until(lambda: node.record(port) is None, "taken down")
    assert "prewire is false" in node.service.ahead()
    node.change(prewire=True)
    until(lambda: ready(node, port), "made again")
