"""``port explain`` on a Linux bridge: filters of other software, settings of bridges, ports and
uplinks, and what was put on the device; with the real kernel."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.breaking import FROZEN, PORT, TAP, Host, running
from support import xdp
from unit.docs import document
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.testing import quiet_netfilter

NIC, MAPPED = "nic0", "br-own"
CALLS = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
CALLS_6 = Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture(params=["own bridge", "mapped bridge"])
def host(request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    """A port of a flat network, on a bridge of vifd or of somebody else, with a card."""
    quiet_netfilter()
    mapped = request.param == "mapped bridge"
    with IPRoute() as netlink, contextlib.ExitStack() as stack:
        netlink.link("add", ifname=NIC, kind="veth", peer="nic1")
        stack.callback(run, "ip", "link", "del", NIC)
        for name in (NIC, "nic1"):
            run("ip", "link", "set", name, "up")
        if mapped:
            run("ip", "link", "add", MAPPED, "type", "bridge", "mcast_snooping", "0")
            stack.callback(run, "ip", "link", "del", MAPPED)
            run("ip", "link", "set", NIC, "master", MAPPED)
            run("ip", "link", "set", MAPPED, "up")
        option = {"bridge_mappings": f"physnet1:{MAPPED}"} if mapped else {
            "physical_interface_mappings": f"physnet1:{NIC}"
        }  # fmt: skip
        options: dict[str, Any] = {**FROZEN, "linuxbridge": option, "ovs": {}}
        with running(ovs, tmp_path / "v", options) as made:
            segment = {"network_type": "flat", "physical_network": "physnet1"}
            body = {**document(1, network__segment=segment), "plugin": "linuxbridge"}
            status, answer = made.vifd.plug(body)
            assert status == 201, answer
            until(lambda: made.explain()["healthy"], "it is well",
                  told=lambda: made.explain()["sentence"])  # fmt: skip
            yield made
            until(lambda: made.vifd.unplug(PORT)[0] == 204, "the port is gone")
            made.vifd.stop()


def of_nft(family: str, name: str, rule: str = "", policy: str = "drop") -> tuple[Any, Any]:
    hook = f"{{ type filter hook {name} priority 5; policy {policy}; }}"

    def make() -> None:
        run("nft", "add", "table", family, "other")
        run("nft", "add", "chain", family, "other", "c", hook)
        if rule:
            run("nft", "add", "rule", family, "other", "c", *rule.split())

    return make, lambda: run("nft", "delete", "table", family, "other")


def mapped(calls: Path) -> tuple[Any, Any]:
    """A map of verdicts that bridged frames come to: they are handed to the host's filters."""
    make, undo = of_nft("ip", "forward", "ip protocol vmap { udp : drop, tcp : accept }", "accept")

    def called() -> None:
        calls.write_text("1")
        make()

    def gone() -> None:
        undo()
        calls.write_text("0")

    return called, gone


def natted(family: str, calls: Path, name: str, rule: str) -> tuple[Any, Any]:
    """Connections get other addresses, and bridged frames come by."""

    def make() -> None:
        calls.write_text("1")
        run("nft", "add", "table", family, "other")
        run("nft", "add", "chain", family, "other", "c",
            f"{{ type nat hook {name} priority 5; policy accept; }}")  # fmt: skip
        run("nft", "add", "rule", family, "other", "c", *rule.split())

    def undo() -> None:
        run("nft", "delete", "table", family, "other")
        calls.write_text("0")

    return make, undo


def masquerading(program: str, calls: Path) -> tuple[Any, Any]:
    def make() -> None:
        calls.write_text("1")
        run(program, "-t", "nat", "-A", "POSTROUTING", "!", "-o", "docker0", "-j", "MASQUERADE")

    def undo() -> None:
        run(program, "-t", "nat", "-F")
        calls.write_text("0")

    return make, undo


def docker() -> None:
    CALLS.write_text("1")
    of_nft("ip", "forward")[0]()


def docker_gone() -> None:
    of_nft("ip", "forward")[1]()
    CALLS.write_text("0")


def legacy(program: str, calls: Path, rule: str = "-P FORWARD DROP") -> tuple[Any, Any]:
    """Without nftables' help: the modules ip_tables and ip6_tables."""

    def make() -> None:
        calls.write_text("1")
        run(program, *rule.split())

    def undo() -> None:
        run(program, "-P", "FORWARD", "ACCEPT")
        run(program, "-F", "FORWARD")
        calls.write_text("0")

    return make, undo


def tool(make: str, undo: str) -> tuple[Any, Any]:
    return lambda: run(*make.split()), lambda: run(*undo.split())


def htb(device: str) -> tuple[Any, Any]:
    def make() -> None:
        run("tc", "qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "1")
        run("tc", "class", "add", "dev", device, "parent", "1:", "classid", "1:1", "htb",
            "rate", "2mbit", "ceil", "8mbit")  # fmt: skip

    return make, lambda: run("tc", "qdisc", "del", "dev", device, "root")


def bridge_of(host: Host) -> str:
    return str(host.details["bridge"])


BREAKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], str, str]] = {
    "FORWARD drops bridged frames": (docker, docker_gone, "filter", "table ip other"),
    "legacy FORWARD drops bridged frames": (
        *legacy("iptables-legacy", CALLS), "filter", "table ip filter (iptables-legacy)",
    ),
    "a legacy rule for IPv6": (
        *legacy("ip6tables-legacy", CALLS_6, "-A FORWARD -s 2001:db8::/32 -j DROP"),
        "filter", "table ip6 filter (iptables-legacy), chain FORWARD (forward): 1 rules",
    ),
    "bridge table drops": (*of_nft("bridge", "forward"), "filter", "table bridge other"),
    "rule in a bridge table": (
        *of_nft("bridge", "prerouting", "ether saddr fa:16:3e:00:00:01 drop", "accept"),
        "filter", "1 rules refuse",
    ),
    "a bridge table gives another sender": (
        *of_nft("bridge", "prerouting", "ether saddr set 02:00:00:00:00:09", "accept"),
        "filter", "table bridge other, chain c (prerouting): 1 rules rewrite frames",
    ),
    "a bridge table gives another address": (
        *of_nft("bridge", "forward", "ip6 daddr set fd00::9", "accept"),
        "filter", "1 rules rewrite frames",
    ),
    "a table of the device gives another receiver": (
        *of_nft("netdev", f"ingress device {TAP}", "ether daddr set 02:00:00:00:00:09", "accept"),
        "filter", "table netdev other, chain c (ingress): 1 rules rewrite frames",
    ),
    "a table of the device sends elsewhere": (
        *of_nft("netdev", f"ingress device {TAP}", "fwd to lo", "accept"),
        "filter", "1 rules send frames elsewhere",
    ),
    "a chain of others in the own table": (
        lambda: run("nft", "add", "chain", "bridge", TABLE, "evil",
                    "{ type filter hook forward priority 0; policy drop; }"),
        lambda: run("nft", "delete", "chain", "bridge", TABLE, "evil"),
        "filter", f"table bridge {TABLE}, chain evil (forward): drops",
    ),
    "a rule of ebtables rewrites": (
        lambda: run("ebtables-nft", "-t", "nat", "-A", "PREROUTING", "-s", "fa:16:3e:00:00:01",
                    "-j", "dnat", "--to-destination", "02:00:00:00:00:09"),
        lambda: run("ebtables-nft", "-t", "nat", "-F"),
        "filter", "table bridge nat, chain PREROUTING (prerouting): 1 rules rewrite",
    ),
    "a table for IP masquerades": (
        *natted("ip", CALLS, "postrouting", "masquerade"),
        "filter", "table ip other, chain c (postrouting): 1 rules translate addresses",
    ),
    "a table for IP gives another receiver": (
        *natted("ip", CALLS, "prerouting", "ip daddr 203.0.113.5 dnat to 203.0.113.6"),
        "filter", "table ip other, chain c (prerouting): 1 rules translate addresses",
    ),
    "a table for IPv6 masquerades": (
        *natted("ip6", CALLS_6, "postrouting", "masquerade"),
        "filter", "table ip6 other, chain c (postrouting): 1 rules translate addresses",
    ),
    "a table for both masquerades": (
        *natted("inet", CALLS, "postrouting", "ip saddr { 10.0.0.0/8, 192.0.2.1 } masquerade"),
        "filter", "table inet other, chain c (postrouting): 1 rules translate addresses",
    ),
    "a rule of iptables masquerades": (
        *masquerading("iptables-nft", CALLS), "filter",
        "chain POSTROUTING (postrouting): 1 rules translate addresses",
    ),
    "a legacy rule masquerades": (
        *masquerading("iptables-legacy", CALLS), "filter",
        "table ip nat (iptables-legacy), chain POSTROUTING (postrouting): 1 rules translate",
    ),
    "a legacy rule masquerades IPv6": (
        *masquerading("ip6tables-legacy", CALLS_6), "filter",
        "table ip6 nat (iptables-legacy), chain POSTROUTING (postrouting): 1 rules translate",
    ),
    "a rule of iptables rejects": (
        *legacy("iptables-nft", CALLS, "-A FORWARD -p udp -j REJECT"),
        "filter", "chain FORWARD (forward): 1 rules refuse",
    ),
    "verdict map in a bridge table": (
        *of_nft("bridge", "postrouting", f"oifname vmap {{ {TAP} : drop }}", "accept"),
        "filter", "chain c (postrouting): 1 rules refuse",
    ),
    "verdict map in a table for IP": (
        *mapped(CALLS), "filter", "table ip other, chain c (forward): 1 rules refuse",
    ),
    "netdev table": (*of_nft("netdev", f"ingress device {TAP}"), "filter", "table netdev other"),
    "tc sends elsewhere": (
        lambda: run("tc", "filter", "add", "dev", TAP, "egress", "prio", "5", "u32", "match", "u32",
                    "0", "0", "action", "mirred", "egress", "redirect", "dev", "lo"),
        lambda: run("tc", "filter", "del", "dev", TAP, "egress", "prio", "5"),
        "device", "u32 filter on egress",
    ),
    "a program": (
        lambda: run("tc", "filter", "add", "dev", TAP, "ingress", "prio", "5", "bpf", "da",
                    "bytecode", "1,6 0 0 2,"),
        lambda: run("tc", "filter", "del", "dev", TAP, "ingress", "prio", "5"),
        "device", "bpf filter on ingress",
    ),
    "a shaper": (
        *tool(f"tc qdisc add dev {TAP} root tbf rate 8bit burst 10b latency 1ms",
              f"tc qdisc del dev {TAP} root"), "device", "tbf",
    ),
    "classes of rates": (*htb(TAP), "device", "at most 8000 kbit/s (tc class htb)"),
    "classes of rates on the card": (*htb(NIC), "uplink", f"{NIC}: towards the device at"),
    "no queue": (*tool(f"ip link set {TAP} txqueuelen 0", f"ip link set {TAP} txqueuelen 1000"),
                 "device", "txqueuelen 0"),
    "address on the tap": (*tool(f"ip address add 10.9.9.9/24 dev {TAP}",
                                 f"ip address del 10.9.9.9/24 dev {TAP}"), "device", "10.9.9.9"),
    "the guest's address on the card": (
        *tool(f"ip address add 10.0.0.1/24 dev {NIC}", f"ip address del 10.0.0.1/24 dev {NIC}"),
        "device", f"10.0.0.1/24 on {NIC}",
    ),
    "locked port": (*tool(f"bridge link set dev {TAP} locked on",
                          f"bridge link set dev {TAP} locked off"), "port", "locked"),
    "suppressing port": (*tool(f"bridge link set dev {TAP} neigh_suppress on",
                               f"bridge link set dev {TAP} neigh_suppress off"), "port", "neigh"),
    "port keeps ARP back": (*tool(f"ip link set {TAP} type bridge_slave proxy_arp on",
                                  f"ip link set {TAP} type bridge_slave proxy_arp off"),
                            "port", "proxy_arp"),
    "port gives frames back": (*tool(f"bridge link set dev {TAP} hairpin on",
                                     f"bridge link set dev {TAP} hairpin off"), "port", "hairpin"),
    "uplink keeps ARP back": (*tool(f"ip link set {NIC} type bridge_slave proxy_arp on",
                                    f"ip link set {NIC} type bridge_slave proxy_arp off"),
                              "uplink", "proxy_arp"),
    "a program on the card": (lambda: xdp.drop(NIC), lambda: xdp.take(NIC), "uplink",
                              f"{NIC}: an XDP program"),
    "a program on the device": (lambda: xdp.drop(TAP), lambda: xdp.take(TAP), "device",
                                "an XDP program"),
    "ingress of a table for IP": (*of_nft("inet", f"ingress device {NIC}"), "filter",
                                  "table inet other"),
    "egress of the card": (*of_nft("netdev", f"egress device {NIC}"), "filter",
                           "table netdev other"),
    "uplink floods nothing": (*tool(f"bridge link set dev {NIC} flood off",
                                    f"bridge link set dev {NIC} flood on"), "uplink", "floods"),
    "uplink learns nothing": (*tool(f"bridge link set dev {NIC} learning off",
                                    f"bridge link set dev {NIC} learning on"), "uplink", "learns"),
    "uplink isolated": (*tool(f"bridge link set dev {NIC} isolated on",
                              f"bridge link set dev {NIC} isolated off"), "uplink", "isolated"),
    "uplink disabled": (*tool(f"bridge link set dev {NIC} state 0",
                             f"bridge link set dev {NIC} state 3"), "uplink", "disabled"),
    "uplink without broadcasts": (*tool(f"bridge link set dev {NIC} bcast_flood off",
                                        f"bridge link set dev {NIC} bcast_flood on"),
                                  "uplink", "frames to all"),
    "uplink down": (*tool(f"ip link set {NIC} down", f"ip link set {NIC} up"), "uplink", "down"),
}  # fmt: skip


def test_what_others_did(host: Host) -> None:
    for name, (make, undo, step, word) in BREAKS.items():
        make()
        try:
            found = until(
                lambda: None if (f := host.explain())["healthy"] else f, f"{name} is seen"
            )
            assert found is not None
            assert found["broken"] == step, (name, found["sentence"])
            assert word in found["sentence"], (name, found["sentence"])
        finally:
            undo()
        until(lambda: host.explain()["healthy"], f"well after {name}",
              told=lambda: host.explain()["sentence"])  # fmt: skip


def test_what_translates_for_others_is_no_finding(host: Host) -> None:
    """libvirt's and Docker's own rules are on every other host, and routed frames are theirs."""
    CALLS.write_text("1")
    for words in (
        "add table ip other",
        "add chain ip other c { type nat hook postrouting priority 5; policy accept; }",
        "add rule ip other c ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 masquerade",
        "add rule ip other c oifname eth0 masquerade",
    ):
        run("nft", words)
    docker = "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    run("iptables-nft", "-t", "nat", "-A", "POSTROUTING", *docker.split())
    make, undo = of_nft("bridge", "forward")
    make()
    try:
        until(lambda: not host.explain()["healthy"], "what does refuse frames is seen")
        sentence = host.explain()["sentence"]
        assert "table bridge other, chain c (forward): drops" in sentence
        assert "translate" not in sentence
    finally:
        undo()
        run("nft", "delete", "table", "ip", "other")
        run("iptables-nft", "-t", "nat", "-F")
        CALLS.write_text("0")


def test_a_tap_on_another_bridge(host: Host) -> None:
    run("ip", "link", "add", "brx", "type", "bridge")
    run("ip", "link", "set", TAP, "master", "brx")
    found = host.explain()
    assert (found["healthy"], found["broken"]) == (False, "port"), found["sentence"]
    until(lambda: host.vifd.get(f"/v1/ports/{PORT}")["status"] == "DOWN", "its status says so")
    run("ip", "link", "del", "brx")
    segment = {"network_type": "flat", "physical_network": "physnet1"}
    body = {**document(1, network__segment=segment, port__name="again"), "plugin": "linuxbridge"}
    assert host.vifd.plug(body)[0] == 200
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


def test_snooping_on_the_bridge(host: Host) -> None:
    run("ip", "link", "set", bridge_of(host), "type", "bridge", "mcast_snooping", "1")
    found = host.explain()
    assert (found["healthy"], found["broken"]) == (False, "switch"), found["sentence"]
    assert "snoops on multicast" in found["sentence"]
    run("ip", "link", "set", bridge_of(host), "type", "bridge", "mcast_snooping", "0")


def test_the_guests_address_on_its_bridge(host: Host) -> None:
    bridge = bridge_of(host)
    run("ip", "address", "add", "10.0.0.1/24", "dev", bridge)
    found = host.explain()
    assert (found["healthy"], found["broken"]) == (False, "device"), found["sentence"]
    assert f"answers in its place: 10.0.0.1/24 on {bridge}" in found["sentence"]
    run("ip", "address", "del", "10.0.0.1/24", "dev", bridge)
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


def test_a_card_that_was_renamed(host: Host) -> None:
    for words in ([NIC, "down"], [NIC, "name", "nic9"], ["nic9", "up"]):
        run("ip", "link", "set", *words)
    found = host.explain()
    if bridge_of(host) == MAPPED:
        assert found["healthy"], "it is a port of that bridge by whatever name"
    else:
        assert found["broken"] == "uplink", found["sentence"]
        assert f"this host has no interface {NIC}" in found["sentence"], found["sentence"]
    for words in (["nic9", "down"], ["nic9", "name", NIC], [NIC, "up"]):
        run("ip", "link", "set", *words)
    until(lambda: host.explain()["healthy"], "it is well again",
          told=lambda: host.explain()["sentence"])  # fmt: skip


def test_a_filter_is_seen_by_the_check_that_its_event_raises(host: Host) -> None:
    """Nobody asks: the kernel tells of the rules."""

    def phase() -> Any:
        return host.vifd.get(f"/v1/ports/{PORT}")["phase"]

    make, undo = of_nft("bridge", "forward")
    make()
    try:
        until(lambda: phase() == "DEGRADED", "the port is degraded")
        until(lambda: "nft.others is " in host.vifd.log, "the log says why")
    finally:
        undo()
    until(lambda: phase() == "LIVE", "it is well again")
