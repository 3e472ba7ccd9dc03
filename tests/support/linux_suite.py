"""What every implementation of the bridging and nftables drivers must do, real or fake.

Subclass in a test module and supply the fixtures that are named in each class.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.links_suite import Alternative, a_tap
from vifd.drivers import (
    BridgePort,
    BridgeSpec,
    Bridging,
    FdbEntry,
    HybridSpec,
    Links,
    Nft,
    VxlanSpec,
)
from vifd.drivers.nft.expr import (
    ACCEPT,
    DROP,
    Base,
    Bound,
    Code,
    Compare,
    Connection,
    Counter,
    Key,
    Load,
    Log,
    Lookup,
    Mask,
    Meta,
    Note,
    Over,
    Payload,
    Store,
    Tracked,
    Untracked,
    Verdict,
    mac,
    prefix,
)
from vifd.drivers.nft.objects import Chain, Change, Element, Hook, Rule, Set
from vifd.errors import BackendError, DeviceError, NameClash, VifError
from vifd.testing.wait import until

TABLE = "vifd-test"
SETS = (Set("taps"), Set("to", vmap=True))
RULES = (
    Rule((Payload(Base.LINK, 6, 6), Compare(mac("02:00:00:00:00:01"), equal=False), DROP)),
    Rule((*prefix(Payload(Base.NETWORK, 12, 4), "10.0.0.0/24"), ACCEPT), note=b"\0note"),
    Rule((*prefix(Payload(Base.NETWORK, 8, 16), "fd00::/64", equal=False), Counter(), DROP)),
    Rule((Meta(Key.L4PROTO), Compare(b"\x3a"), Payload(Base.TRANSPORT, 0, 1), ACCEPT)),
    Rule((Meta(Key.OIFNAME), Lookup("taps"), Verdict(Code.RETURN))),
)
PORT = Chain("port", RULES, comment="vifd:some port")
BASE = Chain("first", (Rule((Meta(Key.IIFNAME), Lookup("to", vmap=True))),), Hook.PREROUTING, -9)
JUDGE = Element("to", "tap1", Verdict(Code.GOTO, "port"))
INSTALL = Change(sets=SETS, chains=(BASE, PORT), add=(JUDGE, Element("taps", "tap1")))


#: Limits of both kinds, and marks in both kinds of headers.
RATES = (
    Rule((Over(1_250_000, 0), Counter(), DROP)),
    Rule((Over(12_500_000_000, 0xFFFF_FFFF), DROP)),
    Rule((Over(3000, 2400, packets=True), DROP)),
    Rule((Payload(Base.NETWORK, 0, 2), Mask(b"\xff\x03", b"\0\xb8"),
          Store(Base.NETWORK, 0, 2, checksum=10))),
    Rule((Payload(Base.NETWORK, 0, 2), Mask(b"\xf0\x3f"), Store(Base.NETWORK, 0, 2))),
)  # fmt: skip


class NftContract:
    """Fixture: ``nft``, without a table :data:`TABLE`."""

    def test_what_was_applied_is_read_back(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        assert nft.chains(TABLE, ["port", "first", "nosuch"]) == {"port": PORT, "first": BASE}
        assert nft.list_chains(TABLE) == {"port": PORT, "first": BASE}
        assert nft.elements(TABLE, [JUDGE, Element("taps", "tap2")]) == [JUDGE, None]
        assert nft.list_elements(TABLE, "to") == {"tap1": JUDGE.verdict}

    def test_limits_and_marks_are_read_back(self, nft: Nft) -> None:
        chain = Chain("rates", RATES)
        nft.apply(TABLE, Change(chains=[chain]))
        assert nft.chains(TABLE, ["rates"]) == {"rates": chain}

    def test_the_counts_of_chains_are_no_part_of_them(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        assert nft.counted(TABLE, ["port", "first", "nosuch"]) == {"port": (0, 0), "first": (0, 0)}
        assert nft.counted("vifd-no-table", ["port"]) == {}

    def test_a_table_that_is_not_there_is_empty(self, nft: Nft) -> None:
        assert nft.chains(TABLE, ["port"]) == {}
        assert nft.list_chains(TABLE) == {}
        assert nft.elements(TABLE, [JUDGE]) == [None]
        assert nft.list_elements(TABLE, "to") == {}

    def test_the_same_again_changes_nothing(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        nft.apply(TABLE, INSTALL)
        assert nft.chains(TABLE, ["port"]) == {"port": PORT}

    def test_rules_are_replaced(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        after = Chain("port", (Rule((DROP,)),), comment=PORT.comment)
        nft.apply(TABLE, Change(chains=[after]))
        assert nft.chains(TABLE, ["port"]) == {"port": after}

    def test_removing_may_be_repeated(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        gone = Change(delete=[JUDGE, Element("taps", "tap1")], delete_chains=["port", "nosuch"])
        nft.apply(TABLE, gone)
        nft.apply(TABLE, gone)
        assert nft.list_chains(TABLE) == {"first": BASE}
        assert nft.list_elements(TABLE, "to") == {}

    def test_removing_from_a_table_that_is_not_there(self, nft: Nft) -> None:
        nft.apply(TABLE, Change(delete=[JUDGE], delete_chains=["port"]))
        nft.delete_table(TABLE)

    def test_a_change_is_all_or_nothing(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        bad = Chain("bad", (Rule((Verdict(Code.JUMP, "nosuch"),)),))
        change = Change(chains=[bad, Chain("port")], add=[Element("taps", "tap7")])
        with pytest.raises(BackendError):
            nft.apply(TABLE, change)
        assert nft.chains(TABLE, ["port", "bad"]) == {"port": PORT}
        assert nft.elements(TABLE, [Element("taps", "tap7")]) == [None]

    def test_a_chain_in_use_stays(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        with pytest.raises(BackendError):
            nft.apply(TABLE, Change(delete_chains=["port"]))
        assert nft.chains(TABLE, ["port"]) == {"port": PORT}

    def test_an_element_of_a_missing_set_is_refused(self, nft: Nft) -> None:
        nft.apply(TABLE, INSTALL)
        with pytest.raises(BackendError):
            nft.apply(TABLE, Change(add=[Element("nosuch", "tap1")]))

    def test_a_rehearsal_changes_nothing(self, nft: Nft) -> None:
        nft.rehearse(TABLE, INSTALL)
        assert nft.list_chains(TABLE) == {}
        with pytest.raises(BackendError):
            nft.rehearse(TABLE, Change(chains=[Chain("x", (Rule((Lookup("nosuch"), DROP)),))]))

    def test_nothing_to_do_is_nothing(self, nft: Nft) -> None:
        nft.apply(TABLE, Change())
        assert nft.chains(TABLE, []) == {}
        assert nft.elements(TABLE, []) == []

    def test_many_ports_in_one_change(self, nft: Nft) -> None:
        numbers = range(500)
        chains = [Chain(f"port{n}", RULES, comment=f"vifd:{n}") for n in numbers]
        add = [Element("to", f"tap{n}", Verdict(Code.GOTO, f"port{n}")) for n in numbers]
        nft.apply(TABLE, Change(sets=SETS, chains=[BASE, *chains], add=add))
        assert len(nft.list_chains(TABLE)) == 501
        assert nft.chains(TABLE, ["port499"]) == {"port499": chains[499]}
        assert len(nft.list_elements(TABLE, "to")) == 500
        nft.apply(TABLE, Change(delete=add, delete_chains=[c.name for c in chains]))
        assert list(nft.list_chains(TABLE)) == ["first"]

    def test_sets_of_addresses(self, nft: Nft) -> None:
        four, six = Set("four", version=4), Set("six", version=6)
        members = [Element("four", f"10.0.{n >> 8}.{n & 255}", address=True) for n in range(900)]
        more = [Element("six", f"fd00::{n:x}", address=True) for n in range(1, 5)]
        rule = Rule((Payload(Base.NETWORK, 12, 4), Mask(b"\xff\xff\xff\0"), Lookup("four"), DROP))
        chain = Chain("port", (rule, Rule((Payload(Base.NETWORK, 8, 16), Lookup("six"), ACCEPT))))
        nft.apply(TABLE, Change(sets=[four, six], chains=[chain], add=[*members, *more]))
        assert nft.chains(TABLE, ["port"]) == {"port": chain}
        assert nft.addresses(TABLE, ["four", "six", "no"]) == {
            "four": {e.name for e in members}, "six": {e.name for e in more},
        }  # fmt: skip
        one = Element("four", "192.0.2.1", address=True)
        nft.apply(TABLE, Change(add=[one], delete=[*members[1:], one][:-1]))
        assert nft.addresses(TABLE, ["four"]) == {"four": {"10.0.0.0", "192.0.2.1"}}
        assert sorted(nft.list_sets(TABLE)) == ["four", "six"]
        with pytest.raises(BackendError):
            nft.apply(TABLE, Change(delete_sets=["four"]))
        nft.apply(TABLE, Change(delete_chains=["port"], delete_sets=["four", "six", "no"]))
        assert nft.list_sets(TABLE) == []
        assert nft.addresses(TABLE, ["four"]) == {}

    def test_ranges(self, nft: Nft) -> None:
        port = Payload(Base.TRANSPORT, 2, 2)
        within = (port, Bound(b"\0\x50", least=True), Bound(b"\0\x60", least=False), ACCEPT)
        chain = Chain("port", (Rule(within), Rule((Load(b"\1\2\3\4"), DROP))))
        nft.apply(TABLE, Change(chains=[chain]))
        assert nft.chains(TABLE, ["port"]) == {"port": chain}

    def test_what_hands_over_is_read_back(self, nft: Nft) -> None:
        over = Rule((Over(100, 25, packets=True), Counter(), Verdict(Code.RETURN)))
        chain = Chain("port", (over, Rule((Log(30313, "vifd DROP 0f3c", 178),))))
        nft.apply(TABLE, Change(chains=[chain]))
        assert nft.chains(TABLE, ["port"]) == {"port": chain}

    def test_who_would_hear_hears(self, nft: Nft) -> None:
        assert nft.deafened() is None
        nft.overhear(lambda _: None)
        nft.overhear(lambda _: None)
        assert nft.deafened() is None


class TrackingContract:
    """Fixture: ``nft``, of a kernel that follows connections across its bridges."""

    def test_what_is_said_of_connections_is_read_back(self, nft: Nft) -> None:
        assert nft.untracked() is None
        began = tuple(Rule((Connection(key), Compare(bytes(size)), ACCEPT)) for key, size in (
            (Tracked.DIRECTION, 1), (Tracked.STATUS, 4), (Tracked.MARK, 4),
            (Tracked.PROTOCOL, 1), (Tracked.PORT, 2),
            (Tracked.SOURCE4, 4), (Tracked.TARGET4, 4), (Tracked.SOURCE6, 16),
            (Tracked.TARGET6, 16),
        ))  # fmt: skip
        ports = Rule((Connection(Tracked.PORT), Bound(b"\0\x50", least=True), DROP))
        notes = (Rule((Load(b"\1\2\3\4"), Note(Tracked.MARK))), Rule((Untracked(),)),
                 Rule((Load(b"\1\2"), Note(Tracked.ZONE))))  # fmt: skip
        bridge = Rule((Meta(Key.BRIDGE), Lookup("to", vmap=True)))
        vlan = Rule((Meta(Key.VLAN), Compare(b"\7\0"), DROP))
        chain = Chain("first", (*began, ports, *notes, bridge, vlan), Hook.PREROUTING, -250)
        nft.apply(TABLE, Change(sets=SETS, chains=[chain]))
        assert nft.chains(TABLE, ["first"]) == {"first": chain}

    def test_forgetting_where_nothing_is_known(self, nft: Nft) -> None:
        assert nft.forget(7, ["10.0.0.1", "fd00::1"], [5]) == 0


NAME = "br-suite"
SPEC = BridgeSpec(NAME, "vifd:net:suite", 1450, "02:00:00:00:00:77")
Make = Callable[[str], object]


class BridgingContract:
    """Fixtures: ``bridging`` and ``links`` of one host, ``foreign(name)``, which makes a device
    that is not ours, and ``altname(device, name)``, which has it answer to another name as well."""

    def test_a_bridge_is_what_was_asked_for(self, bridging: Bridging) -> None:
        made = bridging.make(SPEC)
        link = made.link
        assert (link.kind, link.alias, link.mtu, link.mac) == (
            "bridge", SPEC.alias, 1450, SPEC.mac,
        )  # fmt: skip
        assert (link.up, link.ipv6, made.stp, made.quiet) == (True, False, False, True)
        assert bridging.get([NAME, "nosuch"])[NAME].link.ifindex == link.ifindex

    def test_making_it_again_changes_what_differs(self, bridging: Bridging, links: Links) -> None:
        first = bridging.make(SPEC)
        links.set(NAME, up=False)
        again = bridging.make(BridgeSpec(NAME, SPEC.alias, 1400, SPEC.mac))
        assert (again.link.ifindex, again.link.mtu, again.link.up) == (
            first.link.ifindex,
            1400,
            True,
        )

    def test_a_foreign_device_is_refused_and_left_alone(
        self, bridging: Bridging, foreign: Make
    ) -> None:
        foreign(NAME)
        before = bridging.get([NAME])
        with pytest.raises(NameClash):
            bridging.make(SPEC)
        assert bridging.get([NAME]) == before

    def test_another_name_of_a_device_is_no_device(
        self, bridging: Bridging, links: Links, foreign: Make, altname: Alternative
    ) -> None:
        """Not to be read, made, plugged, guarded, forwarded to or spoken by."""
        foreign("other0")
        altname("other0", NAME)
        altname("other0", "alt1")
        before = bridging.get(["other0"])
        assert bridging.get([NAME]) == {} == bridging.guards(["alt1"])
        assert bridging.hindrances(["alt1"]) == {}
        assert [bridging.real_name(n) for n in (NAME, "other0", "nosuch")] == ["other0"] * 2 + [""]
        with pytest.raises(NameClash, match=f"{NAME} cannot be had: it is another name .* other0"):
            bridging.make(SPEC)
        elsewhere = BridgeSpec("brq2", SPEC.alias, 1450, SPEC.mac)
        bridging.make(elsewhere)
        assert list(bridging.enslave([BridgePort("alt1", "brq2")])) == ["alt1"]
        assert list(bridging.guard({"alt1": ((0x06, 0, 0, 0),)})) == ["alt1"]
        with pytest.raises(DeviceError):
            bridging.change_fdb(add=[FdbEntry("alt1", "02:00:00:00:00:09")])
        with pytest.raises(VifError):
            bridging.say("alt1", [bytes(60)])
        with pytest.raises(NameClash, match="alt1 cannot be had"):
            bridging.make_hybrid(HybridSpec("brq3", "alt1", "other1", 1450))
        assert bridging.get(["other0"]) == before, (bridging.get(["other0"]), before)
        links.delete(["brq2"])

    def test_an_alias_that_is_no_mark_is_refused(self, bridging: Bridging) -> None:
        with pytest.raises(DeviceError):
            bridging.make(BridgeSpec(NAME, "somebody's", 1450, SPEC.mac))
        assert bridging.get([NAME]) == {}

    def test_ports(self, bridging: Bridging, links: Links) -> None:
        index = bridging.make(SPEC).link.ifindex
        links.create_taps([a_tap(1), a_tap(2)])
        ports = [BridgePort("tap1", NAME, flood=False, learning=False), BridgePort("tap2", NAME)]
        assert bridging.enslave(ports) == {}
        one, two = (bridging.get([name])[name] for name in ("tap1", "tap2"))
        assert (one.master, one.flood, one.learning) == (index, False, False)
        assert (two.master, two.flood, two.learning) == (index, True, True)
        assert all((port.isolated, port.broadcasts) == (False, True) for port in (one, two))
        assert {d.link.name for d in bridging.members(NAME)} == {"tap1", "tap2"}
        bridging.release(["tap1", "tap1", "nosuch"])
        assert [d.link.name for d in bridging.members(NAME)] == ["tap2"]
        assert bridging.get(["tap1"])["tap1"].master is None
        assert bridging.members("nosuch") == []

    def test_one_port_that_fails_leaves_the_others(self, bridging: Bridging, links: Links) -> None:
        bridging.make(SPEC)
        links.create_taps([a_tap(1)])
        wanted = [BridgePort("nosuch", NAME), BridgePort("tap1", NAME)]
        failed = bridging.enslave([*wanted, BridgePort("tap1", "nobridge")][:2])
        assert list(failed) == ["nosuch"]
        assert bridging.get(["tap1"])["tap1"].master is not None
        assert isinstance(bridging.enslave([BridgePort("tap1", "nobridge")])["tap1"], DeviceError)

    def test_a_port_moves_to_another_bridge(self, bridging: Bridging, links: Links) -> None:
        bridging.make(SPEC)
        other = bridging.make(BridgeSpec("br-other", SPEC.alias, 1450, SPEC.mac))
        links.create_taps([a_tap(1)])
        bridging.enslave([BridgePort("tap1", NAME)])
        assert bridging.enslave([BridgePort("tap1", "br-other")]) == {}
        assert bridging.get(["tap1"])["tap1"].master == other.link.ifindex

    def test_the_forwarding_table(self, bridging: Bridging, links: Links) -> None:
        bridging.make(SPEC)
        links.create_taps([a_tap(1), a_tap(2)])
        bridging.enslave([BridgePort("tap1", NAME), BridgePort("tap2", NAME)])
        address = "02:00:00:00:01:01"
        one, two = FdbEntry("tap1", address), FdbEntry("tap2", address)
        assert bridging.fdb([one]) == [None]
        for _ in range(2):
            bridging.change_fdb(add=[one])
        assert bridging.fdb([one]) == [one]
        stays = FdbEntry("tap1", address, fixed=True)
        bridging.change_fdb(add=[stays])
        assert bridging.fdb([one]) in ([stays], [FdbEntry("tap1", address, fixed=None)])
        bridging.change_fdb(add=[two])
        assert bridging.fdb([one, two]) == [two, two]
        for _ in range(2):
            bridging.change_fdb(delete=[two])
        assert bridging.fdb([one]) == [None]
        bridging.change_fdb(delete=[FdbEntry("nosuch", address)])
        with pytest.raises(DeviceError):
            bridging.change_fdb(add=[FdbEntry("nosuch", address)])

    def test_a_vxlan_device(self, bridging: Bridging) -> None:
        spec = VxlanSpec("vx-suite", SPEC.alias, 1450, 77, "127.0.0.1", remotes=("127.0.0.2",))
        made = bridging.make(spec)
        assert (made.number, made.local, made.port) == (77, "127.0.0.1", 4789)
        assert bridging.make(spec).link.ifindex == made.link.ifindex
        moved = VxlanSpec("vx-suite", SPEC.alias, 1450, 78, "127.0.0.1")
        assert bridging.make(moved).number == 78

    def test_a_vni_of_another_device_is_refused_by_its_name(self, bridging: Bridging) -> None:
        rival = bridging.make(VxlanSpec("vx-rival", "vifd:net:rival", 1450, 77, "127.0.0.1"))
        with pytest.raises(NameClash) as caught:
            bridging.make(VxlanSpec("vxlan-77", SPEC.alias, 1450, 77, "127.0.0.1"))
        error = caught.value
        assert "VNI 77" in error.message
        assert "vx-rival" in error.message
        assert error.facts["ours"]
        assert "ip link delete vx-rival" in error.hint
        assert "vxlan-77" not in bridging.get(["vxlan-77"])
        assert bridging.get(["vx-rival"])["vx-rival"].link.ifindex == rival.link.ifindex
        other = VxlanSpec("vxlan-77", SPEC.alias, 1450, 77, "127.0.0.1", port=4790)
        assert bridging.make(other).number == 77

    def test_what_is_made_can_be_deleted(self, bridging: Bridging, links: Links) -> None:
        bridging.make(SPEC)
        links.delete([NAME])
        until(lambda: not bridging.get([NAME]), "it is gone")

    def test_a_hybrid_of_another_program(self, bridging: Bridging, links: Links) -> None:
        spec = HybridSpec("qbrtest", "qvbtest", "qvotest", 1400)
        names = (spec.bridge, spec.inner, spec.outer)
        for _ in range(2):
            bridging.make_hybrid(spec)
            there = bridging.get(names)
            assert there.keys() == {*names}
            assert there[spec.inner].master == there[spec.bridge].link.ifindex
            assert there[spec.outer].parent == there[spec.inner].link.ifindex
            assert {d.link.mtu for d in (there[spec.inner], there[spec.outer])} == {1400}
            assert {d.link.alias for d in there.values()} == {""}
        links.create_taps([a_tap(name="tap-in-it")])
        assert bridging.enslave([BridgePort("tap-in-it", spec.bridge)]) == {}
        with pytest.raises(NameClash):
            bridging.remove_hybrid(spec)
        assert bridging.get(names).keys() == {*names}
        links.delete(["tap-in-it"])
        for _ in range(2):
            bridging.remove_hybrid(spec)
            assert bridging.get(names) == {}

    def test_a_hybrid_whose_name_is_taken(self, bridging: Bridging, links: Links) -> None:
        spec = HybridSpec("qbrtest", "qvbtest", "qvotest", 1400)
        links.create_taps([a_tap(name=spec.bridge)])
        for call in (bridging.make_hybrid, bridging.remove_hybrid):
            with pytest.raises(NameClash):
                call(spec)
        assert bridging.get([spec.bridge]).keys() == {spec.bridge}
        links.delete([spec.bridge])

    def test_a_guard_is_taken_away(self, bridging: Bridging, links: Links) -> None:
        if bridging.lacking("guard") is not None:
            pytest.skip("this kernel guards no devices")
        links.create_taps([a_tap(name="tap-guarded")])
        program = ((0x06, 0, 0, 2),)
        assert bridging.guard({"tap-guarded": program}) == {}
        assert bridging.guards(["tap-guarded"]) == {"tap-guarded": program}
        for _ in range(2):
            bridging.unguard(["tap-guarded", "tap-nosuch"])
            assert bridging.guards(["tap-guarded"]) == {"tap-guarded": None}
        assert bridging.guard({"tap-guarded": program}) == {}
        links.delete(["tap-guarded"])

    def test_what_the_kernel_can_make(self, bridging: Bridging) -> None:
        assert bridging.lacking("bridge") is None
        assert bridging.lacking("nosuch")
