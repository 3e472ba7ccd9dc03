"""What a QoS policy is as rules of nftables."""

from __future__ import annotations

import pytest

from contract import linuxbridge as make
from support.nftmachine import Frame, Machine
from vifd.drivers.nft.expr import Over
from vifd.drivers.nft.objects import Hook
from vifd.errors import FeatureUnenforced
from vifd.plugin import Host
from vifd.policy.qos import Limit, Shape, Traffic
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge import shaping

TAP = "tap1"


def over(**limit: int) -> Over:
    """The rule of a limit of bandwidth."""
    (rule,) = shaping.port_rules(TAP, Shape(egress=Traffic(Limit(**limit))))[f"{TAP}-from"]
    (found,) = (e for e in rule.exprs if isinstance(e, Over))
    return found


@pytest.mark.parametrize(
    ("limit", "wanted", "text"),
    [
        # what a second brings comes at once anyway
        ({"rate": 10_000, "burst": 8_000}, Over(1_250_000, 0), "10000 kbit/s, burst 10000 kbit"),
        ({"rate": 10_000, "burst": 12_000}, Over(1_250_000, 250_000),
         "10000 kbit/s, burst 12000 kbit"),
        # the biggest frame passes whatever the rate
        ({"rate": 1, "burst": 1}, Over(125, 65_411), "1 kbit/s, burst 524 kbit"),
        # what the kernel can count
        ({"rate": 2**31, "burst": 2**31}, Over(12_500_000_000, 0xFFFF_FFFF),
         "100000000 kbit/s, burst 134359738 kbit"),
    ],
)  # fmt: skip
def test_bandwidth(limit, wanted, text):
    found = over(**limit)
    assert found == wanted
    assert shaping.told(found) == text


def test_nothing_is_made_of_nothing():
    assert shaping.port_rules(TAP, Shape(dscp=0)).keys() == {f"{TAP}-from"}
    assert shaping.port_rules(TAP, Shape(ingress=Traffic(packets=Limit(1, 1)))).keys() == {
        f"{TAP}-to"
    }
    assert [wanted for _, wanted in shaping.elements(TAP, None)] == [False, False]


@pytest.mark.parametrize("mark", [0, 1, 46, 63])
@pytest.mark.parametrize("ecn", range(4))
def test_a_mark_leaves_the_rest_of_the_header(mark, ecn):
    rules = shaping.port_rules(TAP, Shape(dscp=mark))
    chains = {c.name: c for c in shaping.base()} | {
        name: type(shaping.base()[0])(name, made) for name, made in rules.items()
    }
    elements = {(e.set, e.name): e for e, w in shaping.elements(TAP, Shape(dscp=mark)) if w}
    machine = Machine(chains, elements)
    four = bytearray(f.udp(mac(1), mac(2), ipv4(1), ipv4(2)))
    four[15] = 0x20 | ecn
    want = bytearray(four)
    want[15] = mark << 2 | ecn
    assert machine.passes(Hook.PREROUTING, Frame(four, TAP))
    assert four == want
    six = bytearray(f.udp(mac(1), mac(2), ipv6(1), ipv6(2)))
    six[14:16] = ((6 << 12) | (9 << 6) | (ecn << 4) | 5).to_bytes(2, "big")
    want = bytearray(six)
    want[14:16] = ((6 << 12) | (mark << 6) | (ecn << 4) | 5).to_bytes(2, "big")
    assert machine.passes(Hook.PREROUTING, Frame(six, TAP))
    assert six == want
    assert shaping.facts(TAP, rules) == {"qos.dscp_marking.egress": [mark]}


def test_a_kernel_without_limits_is_told_and_refuses_them():
    fake = FakeMachine()
    nft = fake.nft
    nft.unknown = (Over,)
    plugin = make.plugin(Host(fake.drivers, dict), serve_local=True)
    probe = plugin.probe()
    assert "nft_limit" in probe.unenforced["qos.bandwidth_limit.egress"]
    assert "nft_limit" in probe.facts["limits"]
    limited = attachment(1, qos_policy=make.POLICY)
    (unmet,) = (r for r in plugin.requires(limited) if not r.met)
    assert isinstance(unmet.error, FeatureUnenforced)
    assert all(r.met for r in plugin.requires(attachment(1)))
    nft.unknown = ()
    plugin.probe()
    assert all(r.met for r in plugin.requires(limited))
