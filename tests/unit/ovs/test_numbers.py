"""Names and numbers: which are chosen, and which are refused."""

from __future__ import annotations

import pytest

from vifd.errors import BackendError, DuplicateAddress, NameClash, NoLocalVlan
from vifd.model import Wiring
from vifd.plugin import Entry, NamingView
from vifd.testing.attachments import attachment, mac, port_id, vlan
from vifd_ovs.bridge import numbers
from vifd_ovs.bridge.wiring import OvsWiring


def entry(number, *, network=1, bridge="br-int", ofport=5000, tag=1, segment=None, **port):
    wanted = attachment(number, network=network, segment=segment, **port)
    found = wanted.network.segment
    names = OvsWiring(
        bridge=bridge,
        ofport=ofport,
        tag=tag,
        generation=1,
        network_id=wanted.network.id,
        network_type=found.network_type,
        physical_network=found.physical_network,
        segmentation_id=found.segmentation_id,
    )
    device = f"tap{wanted.id[:11]}"
    return Entry(wanted, Wiring("ovs", "ovs", device, names.details()), open=True)


def survey(number, *entries, **fields):
    ledger = {e.attachment.id: e for e in entries}
    return numbers.survey(attachment(number, **fields), "br-int", ledger)


class TestDevice:
    def test_is_what_nova_expects(self):
        assert numbers.device("tap", attachment(1), survey(1)) == f"tap{port_id(1)[:11]}"

    def test_same_beginning_of_the_id_is_refused(self):
        other = attachment(2)
        twin = f"{other.id[:11]}{other.id[11:-1]}0"
        taken = survey(1, entry(2))
        with pytest.raises(NameClash, match=other.id):
            numbers.device("tap", attachment(1, id=twin), taken)

    def test_fits_the_kernel(self):
        assert len(numbers.device("tap", attachment(1), survey(1))) <= 14


class TestOfport:
    def test_is_stable_and_within_the_range(self):
        one = numbers.ofport(port_id(1), 4096, 65000, set())
        assert one == numbers.ofport(port_id(1), 4096, 65000, set())
        assert 4096 <= one <= 65000

    def test_skips_what_is_taken(self):
        taken: set[int] = set()
        for number in range(50):
            taken.add(numbers.ofport(port_id(number), 10, 59, taken))
        assert taken == set(range(10, 60))

    def test_a_full_range_is_refused(self):
        with pytest.raises(BackendError, match="no free port number in 10 to 12"):
            numbers.ofport(port_id(1), 10, 12, {10, 11, 12})

    def test_survey_counts_the_bridge_only(self):
        held = survey(1, entry(2, ofport=5000), entry(3, ofport=6000, bridge="br-other"))
        assert held.ofports == {5000}


class TestLocalVlan:
    def test_smallest_free(self):
        held = survey(1, entry(2, network=2, tag=1), entry(3, network=3, tag=2))
        assert numbers.local_vlan(attachment(1), "br-int", held) == 3

    def test_the_same_for_the_same_network(self):
        held = survey(1, entry(2, tag=7))
        assert numbers.local_vlan(attachment(1), "br-int", held) == 7

    def test_another_for_another_segment_of_the_network(self):
        held = survey(1, entry(2, tag=1, segment=vlan(101)), segment=vlan(102))
        assert numbers.local_vlan(attachment(1, segment=vlan(102)), "br-int", held) == 2

    def test_tags_of_foreign_ports_are_left_alone(self):
        held = survey(1)
        held.foreign_tags = {1, 2}
        assert numbers.local_vlan(attachment(1), "br-int", held) == 3

    def test_none_left(self):
        held = survey(1)
        held.foreign_tags = set(range(1, 4095))
        with pytest.raises(NoLocalVlan, match="br-int"):
            numbers.local_vlan(attachment(1), "br-int", held)

    def test_tags_of_another_bridge_do_not_count(self):
        held = survey(1, entry(2, tag=7, bridge="br-other"))
        assert numbers.local_vlan(attachment(1), "br-int", held) == 1


class TestDuplicateMac:
    def test_on_the_same_network_is_refused(self):
        with pytest.raises(DuplicateAddress) as caught:
            survey(1, entry(2, mac_address=mac(1).upper()))
        assert caught.value.facts == {"kind": "MAC", "address": mac(1), "other": port_id(2)}

    def test_on_another_network_is_fine(self):
        survey(1, entry(2, network=2, mac_address=mac(1)))

    def test_of_the_port_itself_is_fine(self):
        survey(1, entry(1))


def test_a_wiring_of_another_kind_holds_its_device_only():
    other = Entry(attachment(2), Wiring("x", "x", "eth9", {"something": 1}), open=False)
    held = survey(1, other)
    assert held.devices == {"eth9": port_id(2)}
    assert not held.ofports
    assert not held.tags


def test_generations_are_never_zero_and_differ():
    drawn = {numbers.generation() for _ in range(200)}
    assert all(1 <= g <= 0xFFFF for g in drawn)
    assert len(drawn) > 100


class TestNamingView:
    """What was gathered for one port of a batch serves the next one."""

    def choose(self, ledger, number, network=1):
        wanted = attachment(number, network=network)
        held = numbers.survey(wanted, "br-int", ledger)
        port = numbers.ofport(wanted.id, 10, 200, held.ofports)
        return entry(number, network=network, ofport=port,
                     tag=numbers.local_vlan(wanted, "br-int", held))  # fmt: skip

    @pytest.mark.parametrize("bridges", [1, 2])
    def test_the_names_are_those_of_a_plain_ledger(self, bridges):
        plain: dict[str, Entry] = {}
        growing = NamingView({})
        for number in range(1, 60):
            for ledger in (plain, growing):
                named = self.choose(ledger, number, network=number % 7)
                ledger[named.attachment.id] = named
            if bridges == 2:
                numbers.survey(attachment(number + 100), "br-other", growing)
        assert plain == growing
        assert len({e.wiring.details["tag"] for e in plain.values()}) == 7

    def test_what_was_gathered_is_kept(self):
        ledger = NamingView({})
        for number in range(1, 20):
            ledger[port_id(number)] = self.choose(ledger, number)
        first = numbers.survey(attachment(50), "br-int", ledger)
        assert first is numbers.survey(attachment(51), "br-int", ledger)
        assert first.devices.keys() == {f"tap{port_id(n)[:11]}" for n in range(1, 20)}

    def test_an_entry_that_is_replaced_or_gone_counts_no_more(self):
        ledger = NamingView({port_id(2): entry(2, ofport=5000), port_id(3): entry(3, ofport=5001)})
        assert numbers.survey(attachment(1), "br-int", ledger).ofports == {5000, 5001}
        ledger[port_id(2)] = entry(2, ofport=6000)
        assert numbers.survey(attachment(1), "br-int", ledger).ofports == {6000, 5001}
        del ledger[port_id(3)]
        assert numbers.survey(attachment(1), "br-int", ledger).ofports == {6000}

    def test_the_port_itself_does_not_count(self):
        ledger = NamingView({port_id(1): entry(1, ofport=5000), port_id(2): entry(2, ofport=5001)})
        assert numbers.survey(attachment(1), "br-int", ledger).ofports == {5001}

    def test_a_twin_within_the_batch_is_refused(self):
        ledger = NamingView({})
        numbers.survey(attachment(2), "br-int", ledger)
        ledger[port_id(2)] = entry(2)
        with pytest.raises(DuplicateAddress):
            numbers.survey(attachment(3, mac_address=mac(2)), "br-int", ledger)


def test_numbers_of_orphans_are_not_given_to_new_ports():
    """A port that bears our mark and is in no journal has its number all the same."""
    from contract import ovs
    from support.orphans import OFPORTS, Orphans
    from vifd.plugin import Host
    from vifd.testing.attachments import attachment
    from vifd.testing.machines import FakeMachine

    machine = FakeMachine()
    plugin = ovs.plugin(Host(machine.drivers, dict), ofport_range=f"{OFPORTS + 1}-{OFPORTS + 3}")
    plugin._bridges.ensure("br-int")
    Orphans(machine.drivers).make([1, 3])
    names = plugin.name(attachment(7), {})
    assert names.details["ofport"] == OFPORTS + 2
