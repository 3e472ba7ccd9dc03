"""Cached flows of a real userspace datapath: which is changed, and that all are forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from vifd.drivers.tracer import LocalTracer
from vifd.testing.sandbox import PrivateOvs
from vifd_ovs.bridge.cachedflows import mixes_up

_DATAPATH = "netdev@ovs-netdev"
_FIELDS = (
    "skb_priority(0/0),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),"
    "recirc_id(0),dp_hash(0/0),in_port(1),packet_type(ns=0,id=0),"
    "eth(src=fa:16:3e:00:00:01/00:00:00:00:00:00,dst=fa:16:3e:00:00:02/00:00:00:00:00:00),"
    "eth_type(0x0800),ipv4(src={},dst=10.0.0.1/0.0.0.0,proto=1,tos=0/0,ttl=64/0,frag=no),"
    "icmp(type=3/0,code=3/0)"
)
#: Two that overlap.
_WIDE = "ufid:00000001-0000-4000-8000-000000000001," + _FIELDS.format("10.0.0.2/255.255.255.254")
_NARROW = "ufid:00000002-0000-4000-8000-000000000002," + _FIELDS.format("10.0.0.3")


@pytest.fixture
def tracer(ovs: PrivateOvs) -> Iterator[LocalTracer]:
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    driver = LocalTracer(str(ovs.rundir), timeout=60)
    yield driver
    driver.close()


def cached(ovs: PrivateOvs) -> list[str]:
    found = ovs.appctl("dpctl/dump-flows", "-m", _DATAPATH).splitlines()
    return [line for line in found if "ipv4(src=10.0.0" in line]


def test_it_is_known_of_the_switch_which_cached_flow_it_changes(
    ovs: PrivateOvs, tracer: LocalTracer
) -> None:
    """One that is not there is told to be changed: another one is."""
    # the switch's own looking through them would remove what no packet made
    ovs.appctl("revalidator/pause")
    try:
        ovs.appctl("dpctl/add-flow", _DATAPATH, _WIDE, "1")
        with suppress(RuntimeError):
            ovs.appctl("dpctl/mod-flow", _DATAPATH, _NARROW, "drop")
        (line,) = cached(ovs)
    finally:
        ovs.appctl("revalidator/resume")
    wrong = "actions:drop" in line
    assert mixes_up(tracer.call("version")) or not wrong


def test_all_of_them_are_forgotten(ovs: PrivateOvs, tracer: LocalTracer) -> None:
    ovs.appctl("revalidator/pause")
    try:
        ovs.appctl("dpctl/add-flow", _DATAPATH, _WIDE, "1")
        assert cached(ovs)
    finally:
        ovs.appctl("revalidator/resume")
    tracer.forget()
    assert not cached(ovs)
