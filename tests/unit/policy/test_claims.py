"""What a port may say of itself, held against the meaning: two hardware addresses, one IP address,
and each of the two is allowed for it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.policy.addresses import allowed
from vifd.policy.claims import Pair, allowed_claims, claims
from vifd.policy.rule import Verdict
from vifd.testing.attachments import attachment

A, B = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b"
#: Prefixes that hold, touch and leave out one another, by family.
PREFIXES = {
    4: ["10.0.0.1", "10.0.0.3", "10.0.0.2/31", "10.0.0.0/29", "10.0.0.8/29", "0.0.0.0/0"],
    6: ["fd00::1", "fd00::3", "fd00::2/127", "fd00::/125", "fd00::8/125", "::/0", "::"],
}
#: Addresses at the edges of them.
ADDRESSES = {
    4: ["0.0.0.0", *(f"10.0.0.{n}" for n in range(17)), "10.0.1.0", "255.255.255.255"],
    6: ["::", *(f"fd00::{n:x}" for n in range(17)), "fd00:0:0:1::", "fe80::1"],
}


def within(address: str, prefixes: Sequence[str]) -> bool:
    one = ipaddress.ip_address(address)
    return any(one in ipaddress.ip_network(prefix) for prefix in prefixes)


def several(version: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(PREFIXES[version]), max_size=3, unique=True).map(tuple)


PAIRS = st.tuples(
    st.tuples(st.just(A), several(4), several(6)), st.tuples(st.just(B), several(4), several(6))
)


@pytest.mark.parametrize("version", [4, 6])
@given(pairs=PAIRS)
def test_a_claim_is_allowed_where_both_hardware_addresses_are(
    pairs: tuple[Pair, Pair], version: int
) -> None:
    family = 1 if version == 4 else 2
    found = allowed_claims(pairs, version)
    for ethernet in pairs:
        for hardware in pairs:
            said = [c.prefix for c in found if c[:2] == (ethernet[0], hardware[0])]
            for address in ADDRESSES[version]:
                right = within(address, ethernet[family]) and within(address, hardware[family])
                assert within(address, said) == right, (ethernet, hardware, address)


@given(pairs=PAIRS)
def test_who_has_no_address_yet_tells_no_hardware_address(pairs: tuple[Pair, Pair]) -> None:
    """RFC 4861, 7.1.1: refused wherever a prefix of the port holds the unspecified address."""
    rules = list(claims(pairs))
    refused = {(r.match.eth_src, r.match.nd_option) for r in rules if r.verdict is Verdict.REFUSE}
    assert refused == {c[:2] for c in allowed_claims(pairs, 6) if within("::", [c.prefix])}
    assert {r.match.src for r in rules if r.verdict is Verdict.REFUSE} <= {"::"}


@given(pairs=PAIRS)
def test_every_claim_of_a_family_has_its_rules_and_no_other(pairs: tuple[Pair, Pair]) -> None:
    rules = list(claims(pairs))
    told = {(r.match.eth_src, r.match.arp_sha, r.match.arp_spa) for r in rules if r.match.arp_spa}
    probes = {(e, h, "0.0.0.0") for e in (A, B) for h in (A, B)}
    assert told == {tuple(c) for c in allowed_claims(pairs, 4)} | probes
    advertised = [r.match for r in rules if r.verdict is Verdict.BY_ADDRESS]
    plain = {(mac, p) for mac, _, six in pairs for p in six}
    own = [(m.eth_src, m.nd_target) for m in advertised if m.nd_option not in (A, B)]
    named = {(m.eth_src, m.nd_option, m.nd_target) for m in advertised if m.nd_option in (A, B)}
    assert set(own) == plain
    assert named == {tuple(c) for c in allowed_claims(pairs, 6)}


def test_an_address_written_with_bits_of_a_host_is_its_network() -> None:
    pairs = [{"ip_address": "10.7.0.9/24"}, {"ip_address": "fd07::9/64"}]
    (_, four, six), *_ = allowed(attachment(1, allowed_address_pairs=pairs))
    assert "10.7.0.0/24" in four
    assert "fd07::/64" in six
