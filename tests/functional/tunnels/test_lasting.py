"""What tunnels survive, and what is mended: restarts, and what others do to them."""

from __future__ import annotations

import pytest

from functional.tunnels.hosts import VifdHost, behind, joined
from functional.tunnels.traffic import broadcast, segment, unicast
from support.flowmonitor import FlowMonitor
from vifd.testing.attachments import attachment
from vifd.testing.guests import assert_reaches, equal_to
from vifd.testing.wait import until
from vifd_ovs.bridge.overlay import Kind, port_name

TUNNEL = port_name("br-int", Kind("vxlan", 4))


@pytest.fixture
def pair(leaks):
    with joined(1, 2) as (here, there):
        here.know(behind(2, 2))
        there.know(behind(1, 1))
        (one,) = here.guests(attachment(1, segment=segment(), mtu=1400))
        (two,) = there.guests(attachment(2, segment=segment(), mtu=1400))
        assert_reaches(one, two, unicast(1, 2))
        yield here, there, one, two


def passes(one, two) -> None:
    assert_reaches(one, two, unicast(1, 2))
    assert_reaches(two, one, unicast(2, 1))
    assert_reaches(one, two, broadcast(1))


def came(one, two) -> bool:
    one.send(unicast(1, 2))
    return any(map(equal_to(unicast(1, 2)), two.drain()))


def test_a_restart_of_the_daemon_changes_no_flow(pair):
    here, _, one, two = pair
    with FlowMonitor(here.ovs, "br-int") as monitor:
        here.restart()
        assert not here.findings()
        here.heal()
        assert here.know(behind(2, 2)) == set()
    assert not monitor.events, monitor.lines
    passes(one, two)


def test_a_restart_of_the_switch(pair):
    here, there, one, two = pair
    here.ovs.vswitchd.kill()
    here.ovs.vswitchd.start()
    until(lambda: here.readable("br-int"), "its flow tables can be read")
    here.space.run(here.ledger.plugin.reconnected, "br-int")
    here.meet([there])
    here.ovs.wait_for_carrier("up", one.name)
    here.heal()
    passes(one, two)


@pytest.mark.parametrize(
    "harm",
    [
        ("del-port", "br-int", TUNNEL),
        ("set", "Interface", TUNNEL, "options:remote_ip=172.31.0.9"),
        ("set", "Interface", TUNNEL, "options:local_ip=172.31.0.9"),
        ("set", "Interface", TUNNEL, "options:tos=inherit"),
        ("set", "Interface", TUNNEL, "options:dst_port=4790"),
        ("set", "Interface", TUNNEL, "type=geneve"),
    ],
    ids=["removed", "remote", "local", "more", "udp", "type"],
)
def test_what_others_do_to_the_tunnel_port_is_found_and_mended(pair, harm):
    here, _, one, two = pair
    here.ovs.vsctl(*harm)
    until(lambda: "tunnel.port" in here.findings(), "it is found")
    here.heal()
    assert not here.findings()
    passes(one, two)


def test_flows_that_others_took_away_come_back(pair):
    here, _, one, two = pair
    here.ovs.ofctl("del-flows", "br-int", "table=210")
    assert "flows.network" in here.findings()
    here.heal()
    passes(one, two)


def test_two_daemons_with_the_same_tunnel_on_one_switch(pair):
    """The switch runs one of the two: the other says which, and nothing of the first changes."""
    here, _, one, two = pair
    other = VifdHost.beside(here, integration_bridge="br-two")
    try:
        error = other.refused(attachment(5, segment=segment(number=105), mtu=1400))
        assert TUNNEL in str(error)
        assert "br-int" in str(error)
        # a bridge came: the switch looks the way to the other endpoint up anew, and may drop a
        # packet that comes meanwhile
        until(lambda: came(one, two), "the way is known again")
        passes(one, two)
        assert not here.findings()
    finally:
        other.close()


def test_what_no_network_needs_any_more_is_garbage(pair):
    here, _, _, _ = pair
    there = {o.key for o in here.space.run(here.ledger.plugin.inventory)}
    wanted = here.ledger.plugin.expected(here.ledger.entries())
    assert [str(k) for k in there if k.kind == "tunnel port"] == [f"tunnel port {TUNNEL}"]
    assert there <= wanted.keys()
    here.options["local_ip"] = []
    here.restart()
    entries = here.ledger.entries()
    assert there <= here.ledger.plugin.expected(entries).keys()
    orphans = there - here.ledger.plugin.expected({}).keys()
    assert f"tunnel port {TUNNEL}" in map(str, orphans)
