"""Rules of others that translate addresses, as nft and iptables write them and the kernel tells."""

from __future__ import annotations

import subprocess
from ipaddress import ip_network

import pytest

from vifd.drivers.nft.driver import Nft
from vifd.drivers.translation import AddressCondition, DeviceCondition, Translation

NAT = "{ type nat hook postrouting priority 5; policy accept; }"


def to(source: bool, *prefixes: str, inverted: bool = False) -> AddressCondition:
    networks = [ip_network(prefix) for prefix in prefixes]
    ranges = tuple((int(n.network_address), int(n.broadcast_address)) for n in networks)
    return AddressCondition(source, networks[0].version, ranges, inverted)


def by(name: str, *, begins: bool = False, inverted: bool = False) -> DeviceCondition:
    return DeviceCondition(name, begins, inverted=inverted)


NFT: dict[str, tuple[str, str, Translation]] = {
    "plain": ("ip", "masquerade", Translation((4,))),
    "libvirt": (
        "ip", "ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 masquerade",
        Translation((4,), (to(True, "192.168.122.0/24"),
                           to(False, "192.168.122.0/24", inverted=True))),
    ),
    "bits": ("ip", "ip saddr 10.1.2.128/25 snat to 192.0.2.1",
             Translation((4,), (to(True, "10.1.2.128/25"),))),
    "one": ("ip", "ip daddr 192.0.2.7 masquerade", Translation((4,), (to(False, "192.0.2.7"),))),
    "set": ("ip", "ip saddr { 192.0.2.1, 192.0.2.9 } masquerade",
            Translation((4,), (to(True, "192.0.2.1", "192.0.2.9"),))),
    "ranges": ("ip", "ip saddr { 10.0.0.0/8, 192.0.2.1 } masquerade",
               Translation((4,), (to(True, "10.0.0.0/8", "192.0.2.1"),))),
    "to the end": ("ip", "ip saddr { 10.0.0.0/8, 240.0.0.0/4 } masquerade",
                   Translation((4,), (to(True, "10.0.0.0/8", "240.0.0.0/4"),))),
    "not in a set": ("ip", "ip saddr != { 10.0.0.0/8 } masquerade",
                     Translation((4,), (to(True, "10.0.0.0/8", inverted=True),))),
    "device": ("ip", "oifname != docker0 masquerade",
               Translation((4,), (), (by("docker0", inverted=True),))),
    "devices": ("ip", 'oifname "br*" masquerade', Translation((4,), (), (by("br", begins=True),))),
    "number": ("ip", "oif lo masquerade", Translation((4,), (), (DeviceCondition(index=1),))),
    "unknown": ("ip", "meta mark 7 tcp dport 80 masquerade", Translation((4,))),
    "IPv6": ("ip6", "ip6 saddr fd00::/7 masquerade", Translation((6,), (to(True, "fc00::/7"),))),
    "one of IPv6": ("ip6", "ip6 daddr fd00::7 masquerade",
                    Translation((6,), (to(False, "fd00::7"),))),
    "both": ("inet", "masquerade", Translation((4, 6))),
    "of both IPv6": ("inet", "ip6 saddr fd00::/16 masquerade",
                     Translation((6,), (to(True, "fd00::/16"),))),
    "of both IPv4": ("inet", "ip saddr 10.0.0.0/8 masquerade",
                     Translation((4,), (to(True, "10.0.0.0/8"),))),
}  # fmt: skip
IPTABLES: dict[str, tuple[str, Translation]] = {
    "Docker": (
        "-s 172.17.0.0/16 ! -o docker0",
        Translation((4,), (to(True, "172.17.0.0/16"),), (by("docker0", inverted=True),)),
    ),
    "not from": ("! -s 10.0.0.0/8 -d 192.0.2.7", Translation(
        (4,), (to(True, "10.0.0.0/8", inverted=True), to(False, "192.0.2.7")))),
    "devices": ("-o eth+", Translation((4,), (), (by("eth", begins=True),))),
    "any": ("-p tcp", Translation((4,))),
}  # fmt: skip


def told() -> tuple[Translation, ...]:
    driver = Nft()
    try:
        return tuple(one for chain in driver.others("vifd") for one in chain.translating)
    finally:
        driver.close()


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=600)


@pytest.mark.parametrize("case", NFT)
def test_by_nft(isolated: None, case: str) -> None:
    family, rule, wanted = NFT[case]
    run("nft", f"add table {family} other; add chain {family} other c {NAT}; "
               f"add rule {family} other c {rule}")  # fmt: skip
    try:
        assert told() == (wanted,)
    finally:
        run("nft", "delete", "table", family, "other")


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
@pytest.mark.parametrize("case", IPTABLES)
def test_by_iptables(isolated: None, case: str, program: str) -> None:
    match, wanted = IPTABLES[case]
    run(program, "-t", "nat", "-A", "POSTROUTING", *match.split(), "-j", "MASQUERADE")
    try:
        (found,) = told()
        assert set(found.addresses) == set(wanted.addresses)
        assert (found.versions, found.devices) == (wanted.versions, wanted.devices)
    finally:
        run(program, "-t", "nat", "-F")


@pytest.mark.parametrize("inverted", [False, True])
def test_by_legacy_iptables_of_ipv6(isolated: None, inverted: bool) -> None:
    no = ["!"] if inverted else []
    run("ip6tables-legacy", "-t", "nat", "-A", "POSTROUTING", *no, "-s", "fd00::/16", *no, "-o",
        "eth0", "-j", "MASQUERADE")  # fmt: skip
    try:
        assert told() == (Translation((6,), (to(True, "fd00::/16", inverted=inverted),),
                                      (by("eth0", inverted=inverted),)),)  # fmt: skip
    finally:
        run("ip6tables-legacy", "-t", "nat", "-F")
