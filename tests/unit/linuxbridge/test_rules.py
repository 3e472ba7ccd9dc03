"""The rules, judged by an evaluator: the same frames as on a real bridge, and random ones."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functional.spoofing.frames import ALLOWED, ME, MY4, REFUSED, TAGGED, YOU, YOUR4
from support.nftmachine import Frame, Machine
from vifd.drivers.nft.expr import ACCEPT
from vifd.drivers.nft.objects import Element, Hook, Rule
from vifd.model import Role
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.nft import FakeNft
from vifd_linuxbridge import marks, ruleset
from vifd_linuxbridge.antispoof import ONE_RULE
from vifd_linuxbridge.ruleset import TABLE

TAP, OTHER = "tap1", "tap2"


def machine(opened=True, guests_reach_host=False, **port) -> Machine:
    """Port 1 as asked for, and port 2, which is open."""
    nft = FakeNft()
    ports = [
        ruleset.port_filter(attachment(1, **port), TAP, opened=opened),
        ruleset.port_filter(attachment(2), OTHER, opened=True),
    ]
    nft.apply(TABLE, ruleset.install(ports, ruleset.base(guests_reach_host)))
    chains = nft.list_chains(TABLE)
    elements = {}
    for name in (s.name for s in ruleset.SETS):
        for key, verdict in nft.list_elements(TABLE, name).items():
            elements[name, key] = Element(name, key, verdict)
    return Machine(chains, elements)


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name):
    assert machine().forwards(ALLOWED[name], TAP, OTHER)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    assert not machine().forwards(REFUSED[name], TAP, OTHER)
    assert machine(port_security_enabled=False).forwards(REFUSED[name], TAP, OTHER)


@pytest.mark.parametrize("name", TAGGED)
@pytest.mark.parametrize("secured", [True, False])
def test_tagged(name, secured):
    assert not machine(port_security_enabled=secured).forwards(TAGGED[name], TAP, OTHER)


@pytest.mark.parametrize("name", ALLOWED)
def test_a_closed_port_is_cut_off_both_ways(name):
    closed = machine(opened=False)
    assert not closed.forwards(ALLOWED[name], TAP, OTHER)
    assert not closed.forwards(ALLOWED[name], "eth1", TAP)
    assert not closed.forwards(f.udp(YOU, ME, YOUR4, MY4), OTHER, TAP)


def test_a_port_whose_gate_is_gone_is_cut_off():
    table = machine()
    kept = {k: e for k, e in table.elements.items() if k != ("open", TAP)}
    table = Machine(table.chains, kept)
    assert not table.forwards(ALLOWED["IPv4"], TAP, OTHER)


def test_ports_of_others_are_not_our_affair():
    table = machine()
    for frame in (*ALLOWED.values(), *REFUSED.values(), *TAGGED.values()):
        assert table.forwards(frame, "eth1", "veth7")
        assert table.passes(Hook.INPUT, Frame(frame, iif="eth1"))


@pytest.mark.parametrize("reach", [True, False])
def test_the_host(reach):
    table = machine(guests_reach_host=reach)
    assert table.passes(Hook.INPUT, Frame(ALLOWED["broadcast"], iif=TAP)) is reach
    assert not table.passes(Hook.INPUT, Frame(REFUSED["LLDP"], iif=TAP))


def test_a_router_advertisement_behind_extension_headers():
    plain = REFUSED["router advertisement"]
    options = bytes((58, 0)) + bytes(6)
    hidden = plain[:20] + b"\x3c" + plain[21:54] + options + plain[54:]
    assert not machine().forwards(hidden, TAP, OTHER)


def test_very_many_prefixes_get_a_chain_of_their_own():
    pairs = [{"ip_address": f"fd{n:02x}::/64"} for n in range(ONE_RULE + 10)]
    filter_ = ruleset.port_filter(attachment(1, allowed_address_pairs=pairs), TAP, opened=True)
    assert set(filter_.rules) == set(ruleset.chain_names(TAP)[:2])
    table = machine(allowed_address_pairs=pairs)
    last = f"fd{ONE_RULE + 9:02x}::7"
    assert table.forwards(f.neighbour_advertisement(ME, last, last), TAP, OTHER)
    assert not table.forwards(f.neighbour_advertisement(ME, last, "fdff::7"), TAP, OTHER)


macs = st.sampled_from([ME, YOU, "02:00:00:00:00:01"])
addresses = st.sampled_from([MY4, YOUR4, "0.0.0.0", "255.255.255.255", "10.9.0.1"])


@settings(max_examples=300)
@given(macs, macs, addresses, st.integers(0, 70), st.integers(0, 70))
def test_no_ipv4_leaves_with_anothers_name(source, target, ip, sport, dport):
    frame = f.udp(source, target, ip, YOUR4, sport=sport, dport=dport)
    own = source == ME and ip == MY4 and dport != 68
    boots = source == ME and ip == "0.0.0.0" and (sport, dport) == (68, 67)
    assert machine().forwards(frame, TAP, OTHER) is (own or boots)


@settings(max_examples=200)
@given(st.binary(min_size=0, max_size=80))
@example(b"\x86\xdd")
def test_no_noise_leaves(noise):
    frame = f.mac_bytes(YOU) + f.mac_bytes("02:00:00:00:00:01") + noise
    assert not machine().forwards(frame, TAP, OTHER)


# --- the document in the notes --------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [0, 1, 50, 200])
@pytest.mark.parametrize("secured", [True, False])
def test_the_document_comes_back(pairs, secured):
    wanted = attachment(
        1, port_security_enabled=secured,
        allowed_address_pairs=[{"ip_address": f"10.{n % 200}.{n}.0/24"} for n in range(pairs)],
    )  # fmt: skip
    filter_ = ruleset.port_filter(wanted, TAP, opened=True)
    chain = filter_.chains()[0]
    assert all(len(rule.note) <= marks.NOTE_BYTES for rule in chain.rules)
    found = marks.document(chain.rules, Role.ACTIVE)
    assert found is not None
    assert found["port"]["id"] == wanted.id
    assert ruleset.same(chain.rules, filter_.rules[TAP])


def test_rules_without_a_document_tell_none():
    rules = ruleset.port_filter(attachment(1), TAP, opened=True).rules[TAP]
    assert marks.document(rules, Role.ACTIVE) is None


def test_a_rule_too_many_is_not_the_same():
    filter_ = ruleset.port_filter(attachment(1), TAP, opened=True)
    rules = filter_.rules[TAP]
    accepts = Rule((ACCEPT,))
    assert not ruleset.same((accepts, *rules), rules)
    assert not ruleset.same(rules[:-1], rules)
    assert not ruleset.same((*rules, accepts), rules)
