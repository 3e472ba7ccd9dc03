"""Security groups of vhost-user ports, by frames through the rings of a real Open vSwitch with
DPDK: the table, and what changes do to connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from functional.groups import test_beside as beside
from functional.groups import test_changes as changes
from functional.groups import test_logs as logs
from functional.groups.rig_vhost import VhostRig
from functional.groups.table import GROUP
from functional.groups.test_table import assert_no_difference, furnish
from vifd.testing.attachments import attachment
from vifd.testing.census import Census
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.guests import PacketGuest
from vifd.testing.sandbox import PROMPT

pytestmark = pytest.mark.needs("dpdk")


def an_answer_that_a_forger_asked_for_from_a_low_port_is_none(rig: VhostRig) -> None:
    beside.test_an_answer_that_a_forger_asked_for_is_none(rig, beside.LOW)


def an_answer_that_a_forger_asked_for_from_a_clients_port_is_none(rig: VhostRig) -> None:
    beside.test_an_answer_that_a_forger_asked_for_is_none(rig, beside.HIGH)


@pytest.fixture
def ovs(leaks: Census) -> Iterator[DpdkOvs]:
    switch = DpdkOvs(config=PROMPT)
    with switch:
        yield switch


def test_no_difference_through_the_rings(ovs: DpdkOvs, wire: PacketGuest) -> None:
    with VhostRig(ovs, wire) as rig:
        furnish(rig)
        assert_no_difference(rig, every=2)


@pytest.mark.parametrize(
    "play",
    [
        changes.test_a_member_that_goes_ends_what_only_it_allowed,
        changes.test_two_ports_of_one_host_pass_both_sets_of_rules,
        changes.test_broadcast_and_multicast_are_held_to_the_receivers_rules,
        changes.test_without_state_each_way_has_its_rule,
        changes.test_what_every_guest_needs_passes_with_an_empty_group,
        changes.test_a_set_that_is_missing_closes_its_direction,
        changes.test_a_port_that_is_unplugged_leaves_no_connection,
        changes.test_drift_of_a_rule_is_found_and_mended,
        changes.test_a_restart_changes_nothing_and_connections_live_on,
        an_answer_that_a_forger_asked_for_from_a_low_port_is_none,
        an_answer_that_a_forger_asked_for_from_a_clients_port_is_none,
    ],
    ids=lambda play: play.__name__.removeprefix("test_"),
)
def test_as_on_taps(ovs: DpdkOvs, wire: PacketGuest, play: Callable[[VhostRig], None]) -> None:
    with VhostRig(ovs, wire) as rig:
        play(rig)


def test_logs(ovs: DpdkOvs, wire: PacketGuest) -> None:
    desk = logs.Desk()
    with VhostRig(ovs, wire, logs=desk.desk) as rig:
        rig.say(GROUP, *logs.RULES)
        rig.plug(port=attachment(1, security_groups=[GROUP]), peer=attachment(2))
        logs.test_what_a_log_is_about_is_handed_over_and_nothing_else(rig, desk, "ALL", 4)
        desk.seen.clear()
        logs.test_what_is_no_matter_of_groups_is_in_no_log(rig, desk)
