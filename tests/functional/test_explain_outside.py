"""``port explain`` beyond the port itself: other hands' flows in both directions, settings of every
switch port on the way, and a card that is gone. On a real switch with a real card."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional import breaking as b
from functional.breaking import DOCUMENT, FROZEN, PORT, TAP, VLAN, Host, named, running, unplug
from unit.docs import document, port_id
from vifd.testing import sandbox
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

NIC = "nic0"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A switch with a card, and a daemon that repairs nothing."""
    if lacking := sandbox.missing():
        pytest.fail(f"not installed: {', '.join(lacking)}; run tools/bootstrap")
    directory = tmp_path_factory.mktemp("x")
    with (
        IPRoute() as netlink,
        PrivateOvs(directory / "o") as ovs,
        running(ovs, directory / "v", FROZEN) as host,
    ):
        netlink.link("add", ifname=NIC, kind="veth", peer="nic1")
        for name in (NIC, "nic1"):
            netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
        b.physical_bridge_restored(host)
        card_back(host)
        # what the first port leaves: bridge and patch ports stay
        until(lambda: host.vifd.plug(DOCUMENT)[0] == 201, "the first port is there")
        unplug(host)
        yield host
        host.vifd.stop()
        netlink.link("del", index=netlink.link_lookup(ifname=NIC)[0])


def foreign_master(_: Host) -> None:
    subprocess.run(["ip", "link", "add", "brx", "type", "bridge"], check=True, timeout=60)
    subprocess.run(["ip", "link", "set", TAP, "master", "brx"], check=True, timeout=60)


def foreign_master_gone(_: Host) -> None:
    subprocess.run(["ip", "link", "del", "brx"], check=True, timeout=60)


@pytest.fixture
def host(world: Host) -> Iterator[Host]:
    """A port of a VLAN network, as it shall be."""
    status, answer = world.vifd.plug(DOCUMENT)
    assert status == 201, answer
    yield world
    unplug(world)


def patch(host: Host) -> tuple[str, str]:
    near = host.details["patch"]
    return near, near.replace("int-", "phy-")


def flow(bridge: str, text: str) -> Callable[[Host], None]:
    def add(host: Host) -> None:
        host.ovs.ofctl("add-flow", bridge, f"cookie=0xbad,{text.format(**host.details)}")

    add.__name__ = f"flow {bridge} {text}"
    return add


def flows_gone(host: Host) -> None:
    for bridge in ("br-int", "br-ex"):
        host.ovs.ofctl("del-flows", bridge, "cookie=0xbad/-1")


def card_gone(host: Host) -> None:
    host.ovs.vsctl("del-port", "br-ex", NIC)


def card_back(host: Host) -> None:
    host.ovs.vsctl("--may-exist", "add-port", "br-ex", NIC)


def card_tagged(host: Host) -> None:
    host.ovs.vsctl("set", "Port", NIC, "tag=9")


def card_trunks(host: Host) -> None:
    host.ovs.vsctl("set", "Port", NIC, "trunks=8,9")


def card_free(host: Host) -> None:
    host.ovs.vsctl("clear", "Port", NIC, "tag", "trunks", "vlan_mode")


def tap_trunks(host: Host) -> None:
    host.ovs.vsctl("set", "Port", TAP, "vlan_mode=trunk", "trunks=8")


def far_trunks(host: Host) -> None:
    host.ovs.vsctl("set", "Port", patch(host)[1], "trunks=8")


def setting(bridge: str, port: str, what: str) -> Callable[[Host], None]:
    def change(host: Host) -> None:
        name = {"near": patch(host)[0], "far": patch(host)[1]}.get(port, port)
        # `no-flood` is in OpenFlow 1.0 alone
        host.ovs.ofctl("mod-port", bridge, name, what, "-OOpenFlow10")

    change.__name__ = f"{what} on {port}"
    return change


def settings_back(host: Host) -> None:
    ports = [("br-int", TAP), ("br-int", patch(host)[0]), ("br-ex", patch(host)[1]), ("br-ex", NIC)]
    for bridge, port in ports:
        for word in ("up", "receive", "forward", "flood"):
            host.ovs.ofctl("mod-port", bridge, port, word, "-OOpenFlow10")


def run(text: str) -> Callable[[Host], None]:
    def change(_: Host) -> None:
        subprocess.run(text.format(tap=TAP).split(), check=True, capture_output=True)

    change.__name__ = text
    return change


def netdev_chain(_: Host) -> None:
    hook = f"{{ type filter hook ingress device {TAP} priority 0; policy drop; }}"
    subprocess.run(["nft", "add", "table", "netdev", "other"], check=True)
    subprocess.run(["nft", "add", "chain", "netdev", "other", "c", hook], check=True)


def netdev_gone(_: Host) -> None:
    subprocess.run(["nft", "delete", "table", "netdev", "other"], check=True)


def nothing(_: Host) -> None:
    pass


@pytest.mark.parametrize(
    ("breaks", "step", "words", "restores"),
    [
        # flows of others, from the guest and to it, in every table, on both bridges
        (flow("br-int", "table=110,priority=60000,actions=drop"), "flows", ("0xbad",), flows_gone),
        (
            flow("br-int", "table=120,priority=60000,in_port={ofport},actions=resubmit(,160)"),
            "flows", ("0xbad",), flows_gone,
        ),
        (
            flow("br-int", "table=140,priority=60000,in_port={ofport},actions=NORMAL"),
            "flows", ("0xbad",), flows_gone,
        ),
        (
            flow("br-int", "table=160,priority=60000,dl_dst=fa:16:3e:00:00:01,actions=drop"),
            "flows", ("0xbad",), flows_gone,
        ),
        (
            flow("br-int", "table=0,priority=60000,dl_vlan=7,actions=drop"),
            "flows", ("0xbad",), flows_gone,
        ),
        (
            flow("br-int", "table=0,priority=60000,in_port={ofport},dl_src=02:00:00:00:00:09,"
                           "actions=NORMAL"),
            "flows", ("0xbad", "unfiltered"), flows_gone,
        ),
        (flow("br-ex", "priority=60000,in_port=1,actions=drop"), "uplink",
         ("br-ex", "for the guest", "0xbad"), flows_gone),
        (flow("br-ex", "priority=60000,dl_src=fa:16:3e:00:00:01,actions=drop"), "uplink",
         ("br-ex", "from the guest", "0xbad"), flows_gone),
        # VLAN settings of every switch port on the way
        (tap_trunks, "port", ("trunks 8",), nothing),
        (far_trunks, "uplink", ("trunks",), nothing),
        (card_tagged, "uplink", (NIC, "VLAN 7", "tag 9"), card_free),
        (card_trunks, "uplink", (NIC, "VLAN 7", "trunks 8, 9"), card_free),
        # the card
        (card_gone, "uplink", (NIC, "no port that leads out"), card_back),
        # the device
        (run("ip link set {tap} txqueuelen 0"), "device", ("txqueuelen 0",),
         run("ip link set {tap} txqueuelen 1000")),
        (foreign_master, "device", ("a port of a bridge of the kernel",), foreign_master_gone),
        (run("ip address add 10.9.9.9/24 dev {tap}"), "device", ("10.9.9.9",),
         run("ip address del 10.9.9.9/24 dev {tap}")),
        (run("tc qdisc add dev {tap} root tbf rate 8bit burst 10b latency 1ms"), "device",
         ("tbf",), run("tc qdisc del dev {tap} root")),
        (netdev_chain, "device", ("netdev other",), netdev_gone),
        # OpenFlow port settings
        (setting("br-int", TAP, "no-forward"), None, (), settings_back),
        (setting("br-int", TAP, "no-receive"), None, (), settings_back),
        (setting("br-int", "near", "no-forward"), None, (), settings_back),
        (setting("br-int", "near", "no-receive"), None, (), settings_back),
        (setting("br-ex", "far", "no-forward"), None, (), settings_back),
        (setting("br-ex", "far", "no-receive"), None, (), settings_back),
        (setting("br-ex", "far", "no-flood"), None, (), settings_back),
        (setting("br-ex", NIC, "no-forward"), None, (), settings_back),
        (setting("br-ex", NIC, "no-receive"), None, (), settings_back),
        (setting("br-ex", NIC, "no-flood"), None, (), settings_back),
        (setting("br-ex", NIC, "down"), None, (), settings_back),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_the_first_broken_step_outside(
    host: Host, breaks: b.Breaker, step: str | None, words: tuple[str, ...], restores: b.Breaker
) -> None:
    found = host.explain()
    assert (found["healthy"], found["broken"]) == (True, None), found["sentence"]
    try:
        breaks(host)
        if step is None:
            until(lambda: not host.explain()["healthy"], "it is not called well")
        else:
            named(host, step, *words)
    finally:
        restores(host)
    if restores is not nothing:
        until(lambda: host.explain()["healthy"], "it is well again",
              told=lambda: host.explain()["sentence"])  # fmt: skip


def test_between_two_ports_of_the_host(host: Host) -> None:
    """What a local peer sends is traced as well."""
    peer = document(2, network__segment=VLAN)
    assert host.vifd.plug(peer)[0] == 201
    try:
        facts = [f for s in host.explain()["steps"] for f in s["facts"]]
        (fact,) = [f for f in facts if f["fact"] == "trace.neighbour"]
        assert fact["ok"], fact
        assert PORT[:11] in fact["have"]
    finally:
        host.vifd.unplug(port_id(2))


def test_settings_of_a_switch_port_are_seen_by_their_event(host: Host) -> None:
    """OpenFlow port status: the port is degraded although nobody asks."""

    def phase() -> Any:
        return host.vifd.get(f"/v1/ports/{PORT}")["phase"]

    for bridge, port, fact in (
        ("br-int", TAP, "ovsdb.openflow"),
        ("br-ex", NIC, "uplink.openflow"),
    ):
        setting(bridge, port, "no-forward")(host)
        until(lambda: phase() == "DEGRADED", f"{port}: the port is degraded")
        until(partial(_logged, host, fact), "the log names it")
        settings_back(host)
        until(lambda: phase() == "LIVE", "it is well again")


def _logged(host: Host, fact: str) -> bool:
    return f"{fact} is " in host.vifd.log


def test_a_foreign_flow_is_seen_by_the_check_that_its_event_raises(host: Host) -> None:
    """Nobody asks: the port is degraded, and the log names the flow."""

    def phase() -> Any:
        return host.vifd.get(f"/v1/ports/{PORT}")["phase"]

    flow("br-int", "table=120,priority=60000,in_port={ofport},actions=resubmit(,160)")(host)
    try:
        until(lambda: phase() == "DEGRADED", "the port is degraded")
        until(lambda: "flows.foreign is " in host.vifd.log, "the log names it")
    finally:
        flows_gone(host)
    until(lambda: phase() == "LIVE", "it is well again")
