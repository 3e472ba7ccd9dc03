"""What every OpenFlow driver must do, the real one and the fake: subclass in a test module, and
give the fixtures ``openflow``, ``tracer`` and ``bridge`` (an empty bridge that exists)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vifd.drivers import OpenFlow, Tracer
from vifd.errors import BackendError, BackendUnavailable
from vifd.openflow import action as act
from vifd.openflow import trace
from vifd.openflow.flow import Flow, flow, through
from vifd.openflow.meters import Meter
from vifd.openflow.monitor import Update

MAC = "fa:16:3e:00:00:05"
OURS, MARK = 0x76 << 56, 0xFF << 56
ONE, TWO, FOREIGN = OURS | 1, OURS | 2, 0x99


def port_flows(cookie: int, port: int) -> list[Flow]:
    """A few flows such as a port has."""
    return [
        flow(0, 100, cookie, [act.set_field("reg5", port)], goto=60, in_port=port),
        flow(60, 100, cookie, goto=70, reg5=port, eth_type=0x0806, arp_spa="10.0.0.5"),
        flow(60, 90, cookie, goto=70, reg5=port, eth_type=0x0800, ipv4_src="10.0.0.0/24"),
        flow(60, 10, cookie, reg5=port),
        flow(70, 50, cookie, [act.output(port)], eth_dst=MAC, vlan_vid=port),
    ]


class OpenFlowSuite:
    """Semantics of :class:`vifd.drivers.OpenFlow`."""

    def test_what_was_added_comes_back_equal(self, openflow: OpenFlow, bridge: str) -> None:
        added = port_flows(ONE, 1)
        openflow.apply(bridge, add=added)
        assert set(openflow.dump(bridge, ONE)) == set(added)

    def test_nothing_to_do_is_nothing_done(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge)
        assert openflow.dump(bridge, 0, 0) == []

    def test_a_change_reads_back_what_it_made(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge, add=port_flows(TWO, 2))
        added = port_flows(ONE, 1)
        found = openflow.apply(bridge, add=added, delete=port_flows(TWO, 2)[:1], read=[ONE, TWO])
        assert set(found.flows[ONE]) == set(added)
        assert set(found.flows[TWO]) == set(port_flows(TWO, 2)[1:])
        assert found.fragments == openflow.fragments(bridge)

    def test_who_changes_nothing_reads_nothing(self, openflow: OpenFlow, bridge: str) -> None:
        assert openflow.apply(bridge, read=[ONE]).flows == {}
        assert openflow.apply(bridge, add=port_flows(ONE, 1)).flows == {}

    def test_a_change_that_is_refused_reads_nothing(self, openflow: OpenFlow, bridge: str) -> None:
        backwards = flow(60, 1, TWO, goto=2, in_port=5)
        with pytest.raises(BackendError):
            openflow.apply(bridge, add=[*port_flows(ONE, 1), backwards], read=[ONE])
        assert openflow.read(bridge, [ONE]).flows[ONE] == []

    def test_a_bridge_says_how_many_meters_it_has(self, openflow: OpenFlow, bridge: str) -> None:
        assert openflow.max_meters(bridge) > 0

    def test_meters_are_made_set_and_removed(self, openflow: OpenFlow, bridge: str) -> None:
        slow, packets = Meter(0x76100001, 10, 20), Meter(0x76110001, 1000, 100, packets=True)
        assert openflow.meters(bridge) == {}
        openflow.set_meters(bridge, [slow, packets])
        assert openflow.meters(bridge) == {slow.id: slow, packets.id: packets}
        assert openflow.meters(bridge, [slow.id, 5]) == {slow.id: slow}
        assert openflow.meters(bridge, []) == {}
        fast = slow._replace(rate=1_000_000)
        openflow.set_meters(bridge, [fast], delete=[packets.id, 5])
        assert openflow.meters(bridge) == {fast.id: fast}

    def test_a_flow_names_a_meter_that_is_there(self, openflow: OpenFlow, bridge: str) -> None:
        meter = Meter(0x76100001, 10, 20)
        limited = through(meter.id, flow(0, 7, ONE, [act.output(2)], in_port=3))
        other = flow(0, 8, ONE, [act.output(2)], in_port=4)
        with pytest.raises(BackendError, match="OFPMMFC_INVALID_METER"):
            openflow.apply(bridge, add=[other, limited])
        assert openflow.dump(bridge, ONE) == []
        openflow.set_meters(bridge, [meter])
        openflow.apply(bridge, add=[other, limited])
        openflow.set_meters(bridge, [meter._replace(burst=70)])
        assert set(openflow.dump(bridge, ONE)) == {other, limited}
        openflow.set_meters(bridge, delete=[meter.id])
        assert openflow.dump(bridge, ONE) == [other]

    def test_a_meter_that_cannot_be_is_refused(self, openflow: OpenFlow, bridge: str) -> None:
        with pytest.raises(BackendError, match="OFPMMFC_INVALID_METER"):
            openflow.set_meters(bridge, [Meter(0, 10, 20)])

    def test_a_copy_of_a_packet_comes_back_equal(self, openflow: OpenFlow, bridge: str) -> None:
        copied = act.copied([act.set_field("reg4", 5), act.resubmit(table=60)])
        wanted = flow(0, 7, ONE, [copied, act.output(2)], in_port=3)
        openflow.apply(bridge, add=[wanted])
        assert openflow.dump(bridge, ONE) == [wanted]

    def test_how_fragments_are_shown_can_be_changed(self, openflow: OpenFlow, bridge: str) -> None:
        assert openflow.fragments(bridge) == "normal"
        for mode in ("nx-match", "drop", "normal"):
            openflow.set_fragments(bridge, mode)
            assert openflow.fragments(bridge) == mode

    def test_a_dump_selects_by_cookie_and_mask(self, openflow: OpenFlow, bridge: str) -> None:
        one, two = port_flows(ONE, 1), port_flows(TWO, 2)
        foreign = flow(0, 1, FOREIGN, [act.normal()])
        openflow.apply(bridge, add=[*one, *two, foreign])
        assert set(openflow.dump(bridge, TWO)) == set(two)
        assert set(openflow.dump(bridge, OURS, MARK)) == {*one, *two}
        assert set(openflow.dump(bridge, 0, 0)) == {*one, *two, foreign}
        assert openflow.dump(bridge, OURS) == []

    def test_the_same_match_is_replaced(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge, add=[flow(0, 7, ONE, [act.output(1)], in_port=3)])
        openflow.apply(bridge, add=[flow(0, 7, TWO, [act.output(2)], in_port=3)])
        assert openflow.dump(bridge, 0, 0) == [flow(0, 7, TWO, [act.output(2)], in_port=3)]

    def test_a_delete_is_strict(self, openflow: OpenFlow, bridge: str) -> None:
        kept = [
            flow(0, 8, ONE, in_port=3),
            flow(1, 7, ONE, in_port=3),
            flow(0, 7, ONE, in_port=4),
            flow(0, 7, ONE, in_port=3, eth_type=0x0800),
        ]
        openflow.apply(bridge, add=[*kept, flow(0, 7, ONE, in_port=3)])
        openflow.apply(bridge, delete=[flow(0, 7, ONE, in_port=3)])
        assert set(openflow.dump(bridge, 0, 0)) == set(kept)

    def test_a_delete_spares_another_cookie(self, openflow: OpenFlow, bridge: str) -> None:
        foreign = flow(0, 7, FOREIGN, in_port=3)
        openflow.apply(bridge, add=[foreign])
        openflow.apply(bridge, delete=[flow(0, 7, ONE, in_port=3)])
        assert openflow.dump(bridge, 0, 0) == [foreign]

    def test_what_is_gone_can_be_deleted(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge, delete=port_flows(ONE, 1), delete_cookies=[(ONE, MARK)])
        assert openflow.dump(bridge, 0, 0) == []

    def test_cookies_sweep_under_a_mask(self, openflow: OpenFlow, bridge: str) -> None:
        foreign = flow(0, 1, FOREIGN, [act.normal()])
        openflow.apply(bridge, add=[*port_flows(ONE, 1), *port_flows(TWO, 2), foreign])
        openflow.apply(bridge, delete_cookies=[(OURS, MARK)])
        assert openflow.dump(bridge, 0, 0) == [foreign]

    def test_deletes_come_before_adds(self, openflow: OpenFlow, bridge: str) -> None:
        old, new = port_flows(ONE, 1), port_flows(ONE, 2)
        openflow.apply(bridge, add=old)
        openflow.apply(bridge, add=new, delete=old[:2], delete_cookies=[(OURS, MARK)])
        assert set(openflow.dump(bridge, 0, 0)) == set(new)

    def test_a_refused_flow_changes_nothing(self, openflow: OpenFlow, bridge: str) -> None:
        before = port_flows(ONE, 1)
        openflow.apply(bridge, add=before)
        backwards = flow(60, 1, TWO, goto=2, in_port=5)
        new = port_flows(TWO, 2)
        with pytest.raises(BackendError) as caught:
            openflow.apply(
                bridge,
                add=[*new[:2], backwards, *new[2:]],
                delete=before[:1],
                delete_cookies=[(ONE, MARK)],
            )
        assert not isinstance(caught.value, BackendUnavailable)
        assert caught.value.facts["bridge"] == bridge
        assert caught.value.facts["flow"] == str(backwards)
        assert caught.value.facts["error"] == "OFPBIC_BAD_TABLE_ID"
        assert set(openflow.dump(bridge, 0, 0)) == set(before)
        openflow.apply(bridge, add=new)
        assert set(openflow.dump(bridge, 0, 0)) == {*before, *new}

    def test_zones_that_know_no_connection_can_be_flushed(
        self, openflow: OpenFlow, bridge: str
    ) -> None:
        openflow.apply(bridge, add=port_flows(ONE, 1))
        openflow.flush_zones(bridge, [1, 65279])
        openflow.flush_zones(bridge, [])
        with pytest.raises(BackendUnavailable, match="nosuch"):
            openflow.flush_zones("nosuch", [1])
        assert set(openflow.dump(bridge, ONE)) == set(port_flows(ONE, 1))

    def test_a_flow_too_large_changes_nothing(self, openflow: OpenFlow, bridge: str) -> None:
        largest = flow(0, 1, ONE, [act.output(port) for port in range(1, 4089)], in_port=1)
        openflow.apply(bridge, add=[largest])
        assert openflow.dump(bridge, ONE) == [largest]
        too_large = flow(0, 2, ONE, [act.output(port) for port in range(1, 4097)], in_port=1)
        with pytest.raises(BackendError, match="OFPBFC_MSG_BAD_LEN"):
            openflow.apply(bridge, add=[too_large], delete=[largest])
        assert openflow.dump(bridge, ONE) == [largest]

    def test_a_bridge_that_is_not_there(self, openflow: OpenFlow, bridge: str) -> None:
        with pytest.raises(BackendUnavailable, match="nosuch"):
            openflow.apply("nosuch", add=port_flows(ONE, 1))
        with pytest.raises(BackendUnavailable, match="nosuch"):
            openflow.dump("nosuch", ONE)

    def test_the_generation_stays_while_nothing_is_lost(
        self, openflow: OpenFlow, bridge: str
    ) -> None:
        before = openflow.generation(bridge)
        openflow.apply(bridge, add=port_flows(ONE, 1))
        openflow.dump(bridge, ONE)
        assert openflow.generation(bridge) == before

    def test_our_own_changes_are_no_news(self, openflow: OpenFlow, bridge: str) -> None:
        news: list[tuple[str, Sequence[Update]]] = []
        openflow.watch(lambda *told: news.append(told))
        openflow.apply(bridge, add=port_flows(ONE, 5))
        openflow.apply(bridge, delete=port_flows(ONE, 5))
        assert openflow.dump(bridge, ONE) == []
        assert news == []

    def test_a_forgotten_bridge_can_be_used_again(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge, add=port_flows(ONE, 1))
        openflow.forget(bridge)
        openflow.forget(bridge)
        assert set(openflow.dump(bridge, ONE)) == set(port_flows(ONE, 1))

    def test_a_conjunctive_match_takes_what_meets_every_clause(
        self, openflow: OpenFlow, tracer: Tracer, bridge: str
    ) -> None:
        added = [
            flow(0, 9, ONE, [act.conjunction(7, 0, 2)], eth_type=0x0800, ipv4_src="10.0.0.0/24"),
            flow(0, 9, ONE, [act.conjunction(7, 0, 2)], eth_type=0x0800, ipv4_src="10.0.1.5"),
            flow(0, 9, ONE, [act.conjunction(7, 1, 2)], eth_type=0x0800, ip_proto=17, udp_dst=53),
            flow(0, 9, ONE, [act.set_field("reg4", 5)], goto=1, eth_type=0x0800, conj_id=7),
            flow(0, 3, ONE, [act.set_field("reg4", 6)], goto=1, eth_type=0x0800, ip_proto=17),
            flow(1, 3, ONE, [act.output_register("reg4")]),
        ]
        openflow.apply(bridge, add=added)
        for source, port, out in (("10.0.0.9", 53, 5), ("10.0.1.5", 53, 5), ("10.0.1.6", 53, 6),
                                  ("10.0.0.9", 54, 6)):  # fmt: skip
            packet = f"in_port=1,udp,nw_src={source},udp_dst={port}"
            seen = trace.parse(tracer.trace(bridge, packet))
            assert f"set_field:{out:#x}->reg4" in seen.hops[0].actions, packet

    def test_a_tracked_packet_goes_on_with_what_its_connection_began_with(
        self, openflow: OpenFlow, tracer: Tracer, bridge: str
    ) -> None:
        openflow.apply(
            bridge,
            add=[
                flow(0, 9, ONE, [act.set_field("reg4", 3), act.ct(zone="reg4", table=1)],
                     eth_type=0x0800),
                flow(1, 9, ONE, [act.resubmit(table=5)], goto=2, ct_state="+trk-inv"),
                flow(5, 9, ONE, [act.set_field("reg2", 1)], eth_type=0x0800, ct_state="+trk-inv",
                     ct_nw_proto=17, ct_tp_dst=53, ct_nw_src="10.0.0.0/24"),
                flow(2, 9, ONE, [act.ct(commit=True, zone="reg4")], goto=3, eth_type=0x0800,
                     reg2=1),
            ],
        )  # fmt: skip
        head = "in_port=1,udp,nw_src=10.0.0.9,udp_dst=53,ct_state=trk|new,ct_nw_src=10.0.0.9"
        for port, end in ((53, 3), (54, 2)):
            seen = trace.parse(tracer.trace(bridge, f"{head},ct_nw_proto=17,ct_tp_dst={port}"))
            assert [hop.table for hop in seen.hops] == [0, 1, 5, 2, 3][: len(seen.hops)]
            assert seen.last is not None
            assert (seen.last.table, seen.last.missed) == (end, True)


class TracerSuite:
    """Semantics of :class:`vifd.drivers.Tracer` on the flows of an OpenFlow driver."""

    @pytest.fixture(autouse=True)
    def _scene(self, openflow: OpenFlow, bridge: str) -> None:
        openflow.apply(bridge, add=port_flows(ONE, 1))

    def test_a_packet_goes_through_our_flows(self, tracer: Tracer, bridge: str) -> None:
        packet = f"in_port=1,ip,dl_dst={MAC},nw_src=10.0.0.7"
        seen = trace.parse(tracer.trace(bridge, packet))
        assert [(hop.table, hop.priority, hop.cookie) for hop in seen.hops] == [
            (0, 100, ONE), (60, 90, ONE), (70, None, 0),
        ]  # fmt: skip
        assert seen.hops[1].match == "ip,reg5=0x1,nw_src=10.0.0.0/24"
        assert seen.hops[0].actions == ("set_field:0x1->reg5", "goto_table:60")
        assert seen.hops[0].bridge == bridge
        assert seen.through(ONE, table=60)
        assert not seen.through(ONE, table=70)
        assert seen.dropped

    def test_a_spoofed_packet_ends_in_our_drop(self, tracer: Tracer, bridge: str) -> None:
        seen = trace.parse(tracer.trace(bridge, "in_port=1,arp,arp_spa=10.0.0.6"))
        assert seen.dropped
        assert seen.last is not None
        assert (seen.last.table, seen.last.priority, seen.last.cookie) == (60, 10, ONE)
        assert seen.last.actions == ("drop",)
        assert seen.foreign(OURS, MARK) is None

    def test_a_foreign_flow_is_named(self, openflow: OpenFlow, tracer: Tracer, bridge: str) -> None:
        openflow.apply(bridge, add=[flow(0, 200, FOREIGN, goto=5, eth_type=0x0806)])
        seen = trace.parse(tracer.trace(bridge, "in_port=1,arp,arp_spa=10.0.0.5"))
        thief = seen.foreign(OURS, MARK)
        assert thief is not None
        assert (thief.table, thief.cookie, thief.match) == (0, FOREIGN, "arp")
        assert not seen.through(ONE)

    def test_what_cannot_be_traced(self, tracer: Tracer, bridge: str) -> None:
        with pytest.raises(BackendError, match="nosuch"):
            tracer.trace("nosuch", "in_port=1")
        with pytest.raises(BackendError, match="unknown field nonsense"):
            tracer.trace(bridge, "in_port=1,nonsense=3")

    def test_many_packets_at_once(self, tracer: Tracer, bridge: str) -> None:
        good = [f"in_port=1,ip,dl_dst={MAC},nw_src=10.0.0.{n}" for n in range(1, 100)]
        asked = [*good[:50], "in_port=1,nonsense=3", *good[50:]]
        answers = tracer.traces(bridge, asked)
        assert len(answers) == len(asked)
        refused = answers.pop(50)
        assert isinstance(refused, BackendError)
        assert "unknown field nonsense" in str(refused)
        for text, wanted in zip(answers, good, strict=True):
            assert isinstance(text, str)
            assert wanted.rpartition("=")[2] in text
            assert trace.parse(text).through(ONE, table=60)

    def test_no_packets_at_once(self, tracer: Tracer, bridge: str) -> None:
        assert tracer.traces(bridge, []) == []

    def test_packets_of_no_bridge(self, tracer: Tracer) -> None:
        (refused,) = tracer.traces("nosuch", ["in_port=1"])
        assert isinstance(refused, BackendError)

    def test_cached_flows_settle(self, tracer: Tracer, bridge: str) -> None:
        tracer.settle()
        assert tracer.trace(bridge, "in_port=1")
