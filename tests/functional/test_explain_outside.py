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
from support import xdp
from unit.docs import document, port_id
from vifd.testing import sandbox
from vifd.testing.guests import guests
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


def rename(card: str, name: str) -> None:
    for words in (["down"], ["name", name]):
        subprocess.run(["ip", "link", "set", card, *words], check=True, timeout=60)
    subprocess.run(["ip", "link", "set", name, "up"], check=True, timeout=60)


def card_renamed(_: Host) -> None:
    rename(NIC, "nic9")


def card_named_back(_: Host) -> None:
    rename("nic9", NIC)


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


def of_switch(*arguments: str) -> Callable[[Host], None]:
    """Something in the switch's database; names in braces are those of the port's way."""

    def change(host: Host) -> None:
        near, far = patch(host)
        names = {"tap": TAP, "near": near, "far": far, "nic": NIC}
        host.ovs.vsctl(*(a.format(**names) for a in arguments))

    change.__name__ = " ".join(arguments)
    return change


def queues(port: str) -> Callable[[Host], None]:
    return of_switch("set", "port", port, "qos=@q", "--", "--id=@q", "create", "qos",
                     "type=linux-htb", "other-config:max-rate=1000000")  # fmt: skip


def tree(bridge: str, kind: str) -> Callable[[Host], None]:
    """A spanning tree that lets nothing pass for as long as one may: a slow machine sees it too."""
    return of_switch("set", "bridge", bridge, f"other-config:{kind}-forward-delay=30", "--", "set",
                     "bridge", bridge, f"{kind}_enable=true")  # fmt: skip


def mirror(bridge: str, output: str) -> Callable[[Host], None]:
    return of_switch("--id=@p", "get", "port", output, "--", "set", "bridge", bridge, "mirrors=@m",
                     "--", "--id=@m", "create", "mirror", "name=m", "select_all=true",
                     "output_port=@p")  # fmt: skip


def switch_as_it_was(host: Host) -> None:
    """Without the settings that another program made in the switch's database."""
    near, far = patch(host)
    for name in (TAP, near, far, NIC):
        limits = ("ingress_policing_rate=0", "ingress_policing_kpkts_rate=0")
        host.ovs.vsctl("set", "interface", name, *limits, "--", "set", "port", name,
                       "protected=false", "--", "clear", "port", name, "qos")  # fmt: skip
    for bridge in ("br-int", "br-ex"):
        host.ovs.vsctl(
            "set", "bridge", bridge, "stp_enable=false", "rstp_enable=false",
            "mcast_snooping_enable=false", "datapath_type=netdev",
            *(word for column in ("mirrors", "flood_vlans", "flow_tables")
              for word in ("--", "clear", "bridge", bridge, column)),
        )  # fmt: skip


def netdev_chain(_: Host) -> None:
    hook = f"{{ type filter hook ingress device {TAP} priority 0; policy drop; }}"
    subprocess.run(["nft", "add", "table", "netdev", "other"], check=True)
    subprocess.run(["nft", "add", "chain", "netdev", "other", "c", hook], check=True)


def chain_on(
    device: str, family: str = "netdev", at: str = "egress", rule: str = ""
) -> Callable[[Host], None]:
    """A chain that has this rule; without one it drops everything."""
    policy = "accept" if rule else "drop"

    def change(_: Host) -> None:
        hook = f"{{ type filter hook {at} device {device} priority 0; policy {policy}; }}"
        subprocess.run(["nft", "add", "table", family, "other"], check=True)
        subprocess.run(["nft", "add", "chain", family, "other", "c", hook], check=True)
        if rule:
            argv = ["nft", "add", "rule", family, "other", "c", *rule.split()]
            subprocess.run(argv, check=True)

    change.__name__ = f"{family} {at} chain on {device} {rule}"
    return change


def program(device: str, call: Callable[[str], None] = xdp.drop) -> Callable[[Host], None]:
    def change(_: Host) -> None:
        call(device)

    change.__name__ = f"{call.__name__} program of {device}"
    return change


def card_mode(*settings: str) -> Callable[[Host], None]:
    return of_switch("set", "port", "{nic}", *settings)


def netdev_gone(_: Host) -> None:
    for family in ("netdev", "inet"):
        subprocess.run(["nft", "add", "table", family, "other"], check=True)
        subprocess.run(["nft", "delete", "table", family, "other"], check=True)


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
        (card_renamed, "uplink", (f"this host has no interface {NIC}",), card_named_back),
        # the host answers for the guest
        (run("ip address add 10.0.0.1/24 dev br-ex"), "device", ("10.0.0.1/24 on br-ex",),
         run("ip address del 10.0.0.1/24 dev br-ex")),
        (run("ip address add 10.0.0.1/32 dev br-int"), "device", ("10.0.0.1/32 on br-int",),
         run("ip address del 10.0.0.1/32 dev br-int")),
        # the device
        (run("ip link set {tap} txqueuelen 0"), "device", ("txqueuelen 0",),
         run("ip link set {tap} txqueuelen 1000")),
        (foreign_master, "device", ("a port of a bridge of the kernel",), foreign_master_gone),
        (run("ip address add 10.9.9.9/24 dev {tap}"), "device", ("10.9.9.9",),
         run("ip address del 10.9.9.9/24 dev {tap}")),
        (run("tc qdisc add dev {tap} root tbf rate 8bit burst 10b latency 1ms"), "device",
         ("tbf",), run("tc qdisc del dev {tap} root")),
        (netdev_chain, "device", ("netdev other",), netdev_gone),
        (chain_on(TAP, "inet", "ingress"), "device", ("table inet other",), netdev_gone),
        (chain_on(TAP), "device", ("netdev other",), netdev_gone),
        (chain_on(NIC), "uplink", (f"{NIC}: table netdev other",), netdev_gone),
        (chain_on(TAP, rule="ether saddr set 02:00:00:00:00:09"), "device",
         ("1 rules rewrite frames",), netdev_gone),
        (chain_on(TAP, at="ingress", rule="fwd to lo"), "device",
         ("1 rules send frames elsewhere",), netdev_gone),
        (chain_on(NIC, rule="ip daddr set 10.9.9.9"), "uplink",
         (f"{NIC}: table netdev other", "rewrite"), netdev_gone),
        (program(TAP), "device", ("an XDP program",), program(TAP, xdp.take)),
        (program(NIC), "uplink", (f"{NIC}: an XDP program",), program(NIC, xdp.take)),
        # a card that takes the tag off, and a bridge that no patch port joins with ours
        (card_mode("tag=7"), "uplink", (NIC, "takes the tag", "access"), card_free),
        (card_mode("tag=7", "vlan_mode=native-untagged"), "uplink",
         (NIC, "takes the tag", "native-untagged"), card_free),
        (card_mode("tag=7", "vlan_mode=dot1q-tunnel"), "uplink", (NIC, "takes the tag", "dot1q"),
         card_free),
        (of_switch("set", "bridge", "br-ex", "datapath_type=system"), "uplink",
         ("of another datapath", "br-ex: system", "br-int: netdev"),
         of_switch("set", "bridge", "br-ex", "datapath_type=netdev")),
        # limits, from and to the guest and on the way out
        (of_switch("set", "interface", "{tap}", "ingress_policing_rate=1000"), "port",
         ("from the guest at most 1000 kbit/s",), switch_as_it_was),
        (of_switch("set", "interface", "{tap}", "ingress_policing_kpkts_rate=3"), "port",
         ("from the guest at most 3000 packets/s",), switch_as_it_was),
        (queues("{tap}"), "port", ("to the guest at most 1000 kbit/s", "QoS"), switch_as_it_was),
        (of_switch("set", "interface", "{nic}", "ingress_policing_rate=1000"), "uplink",
         (f"{NIC}: from outside at most 1000 kbit/s",), switch_as_it_was),
        (queues("{nic}"), "uplink", (f"{NIC}: to outside at most 1000 kbit/s",), switch_as_it_was),
        # mirrors, spanning trees, bounds, snooping
        (mirror("br-int", "{tap}"), "switch", (f"passes port {TAP}: mirror m",), switch_as_it_was),
        (mirror("br-int", "{near}"), "switch", ("nothing but copies",), switch_as_it_was),
        (mirror("br-ex", "{far}"), "uplink", ("nothing but copies",), switch_as_it_was),
        (mirror("br-ex", "{nic}"), "uplink", (f"port {NIC}: mirror m",), switch_as_it_was),
        (of_switch("set", "bridge", "br-int", "mirrors=@m", "--", "--id=@m", "create", "mirror",
                   "name=m", "select_all=true", "output_vlan=20"),
         "switch", ("mirror m floods its copies in VLAN 20",), switch_as_it_was),
        (of_switch("set", "bridge", "br-int", "protocols=OpenFlow10"), "switch",
         ("cannot be read", "does not speak OpenFlow 1.4"),
         of_switch("clear", "bridge", "br-int", "protocols")),
        (of_switch("set", "bridge", "br-int", "rstp_enable=true"), "switch",
         ("br-int (rstp_enable)",), switch_as_it_was),
        (of_switch("set", "bridge", "br-int", "stp_enable=true"), "switch",
         ("br-int (stp_enable)",), switch_as_it_was),
        (tree("br-ex", "rstp"), "uplink",
         ("a spanning tree keeps frames from passing",), switch_as_it_was),
        (tree("br-ex", "stp"), "uplink",
         ("a spanning tree keeps frames from passing",), switch_as_it_was),
        (of_switch("set", "bridge", "br-ex", "mcast_snooping_enable=true"), "uplink",
         ("br-ex (mcast_snooping_enable)",), switch_as_it_was),
        (of_switch("set", "bridge", "br-ex", "flood_vlans=7"), "uplink", ("VLAN 7",),
         switch_as_it_was),
        (of_switch("set", "bridge", "br-int", "flow_tables:0=@t", "--", "--id=@t", "create",
                   "flow_table", "flow_limit=2", "overflow_policy=evict"),
         "switch", ("table 0 takes 2 flows and evicts",), switch_as_it_was),
        (of_switch("set", "bridge", "br-int", "flow_tables:160=@t", "--", "--id=@t", "create",
                   "flow_table", "flow_limit=900"),
         "switch", ("table 160 takes 900 flows and refuses",), switch_as_it_was),
        (of_switch("set", "port", "{far}", "protected=true", "--", "set", "port", "{nic}",
                   "protected=true"), "uplink", (NIC, "protected"), switch_as_it_was),
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
    until(lambda: host.explain()["healthy"], "nothing is broken yet",
          told=lambda: host.explain()["sentence"])  # fmt: skip
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


CUTTING = {
    "a mirror has the tap": mirror("br-int", "{tap}"),
    "a mirror has the patch port": mirror("br-int", "{near}"),
    "a mirror has the card": mirror("br-ex", "{nic}"),
    "ports are kept apart": of_switch("set", "port", "{far}", "protected=true", "--", "set",
                                      "port", "{nic}", "protected=true"),
    "a spanning tree": tree("br-int", "rstp"),
    "a spanning tree outside": tree("br-ex", "stp"),
    "a filter keeps what goes to the guest": chain_on(TAP),
    "a filter keeps what goes out": chain_on(NIC),
    "its flows were taken away": lambda host: host.ovs.ofctl("del-flows", "br-ex"),
    "a flow of others drops": flow("br-ex", "priority=60000,dl_vlan=7,actions=drop"),
    "it passes what a controller says": of_switch("set-fail-mode", "br-ex", "secure"),
    "another datapath": of_switch("set", "bridge", "br-ex", "datapath_type=system"),
}  # fmt: skip


@pytest.mark.parametrize("what", CUTTING)
def test_what_cuts_a_port_is_in_its_status(host: Host, what: str) -> None:
    """Nobody asks: the database tells of the change."""

    def status() -> Any:
        return host.vifd.get(f"/v1/ports/{PORT}")["status"]

    try:
        CUTTING[what](host)
        until(lambda: status() == "DOWN", f"{what}: its status says so", told=status)
    finally:
        switch_as_it_was(host)
        netdev_gone(host)
        host.ovs.vsctl("del-fail-mode", "br-ex")
        flows_gone(host)
        host.ovs.ofctl("add-flow", "br-ex", "priority=0,actions=NORMAL")
    until(lambda: status() == "ACTIVE", "it is active again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


def test_a_carrier_that_somebody_took_from_a_guest(host: Host) -> None:
    assert host.explain()["healthy"]
    with guests(TAP, ovs=host.ovs):
        run("ip link set {tap} carrier off")(host)
        named(host, "guest", "has no carrier although", TAP)
        run("ip link set {tap} carrier on")(host)
        until(lambda: host.explain()["healthy"], "it is well again",
              told=lambda: host.explain()["sentence"])  # fmt: skip


def test_a_limit_costs_frames_and_not_the_status(host: Host) -> None:
    of_switch("set", "interface", "{tap}", "ingress_policing_rate=1000")(host)

    def port() -> Any:
        return host.vifd.get(f"/v1/ports/{PORT}")

    until(lambda: port()["phase"] == "DEGRADED", "its phase tells of it", told=port)
    assert port()["status"] == "ACTIVE"
    host.vifd.get(f"/v1/ports/{PORT}/explain")
    rate = host.ovs.vsctl("get", "interface", TAP, "ingress_policing_rate").strip()
    assert rate == "1000", "a limit of others is left"
    switch_as_it_was(host)
    until(lambda: port()["phase"] == "LIVE", "it is well again", told=port)


def test_a_limit_that_the_flavor_asks_for(world: Host) -> None:
    """What libvirt sets for it is told, and no fault; another value is one."""
    instance = {"id": "0d1e0000-0000-4000-8000-00000000000a",
                "flavor_extra_specs": {"quota:vif_outbound_average": "125"}}  # fmt: skip
    body = document(1, network__segment=VLAN, instance=instance)
    status, answer = world.vifd.plug(body)
    assert status == 201, answer
    try:
        of_switch("set", "interface", "{tap}", "ingress_policing_rate=1000")(world)
        sentence = until(
            lambda: (f := world.explain())["healthy"] and "1000 kbit/s" in f["sentence"]
            and f["sentence"], "it is told", told=world.explain,
        )  # fmt: skip
        assert "as is asked for" in str(sentence)
        of_switch("set", "interface", "{tap}", "ingress_policing_rate=90")(world)
        named(world, "port", "from the guest at most 90 kbit/s")
    finally:
        switch_as_it_was(world)
        unplug(world)


def test_a_shaper_with_classes_on_the_tap(host: Host) -> None:
    run("tc qdisc add dev {tap} root handle 1: htb default 1")(host)
    run("tc class add dev {tap} parent 1: classid 1:1 htb rate 1mbit")(host)
    named(host, "device", "towards the device at most 1000 kbit/s")
    run("tc qdisc del dev {tap} root")(host)
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


@pytest.mark.needs("kernel:macvlan")
def test_a_device_that_stands_on_the_tap(host: Host) -> None:
    run("ip link add mv0 link {tap} type macvlan mode passthru")(host)
    try:
        named(host, "device", "the macvlan device mv0 stands on it")
    finally:
        run("ip link del mv0")(host)
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


def test_a_limit_of_a_patch_port_is_idle_and_told(host: Host) -> None:
    of_switch("set", "interface", "{near}", "ingress_policing_rate=1000")(host)
    try:

        def idle() -> bool:
            found = host.explain()
            facts = [f for s in found["steps"] for f in s["facts"]]
            return found["healthy"] and any(f["fact"] == "uplink.idle_limits" for f in facts)

        until(idle, "it is told", told=host.explain)
    finally:
        switch_as_it_was(host)
