"""Rules that nobody else can change while vifd runs, and that stay when it ends."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.drift_scene import Host
from unit.docs import document
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import TABLE, Chain, Change, Set
from vifd.errors import BackendError
from vifd.testing import frames as f
from vifd.testing.guests import assert_only, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter

pytestmark = [pytest.mark.needs("held_tables"), pytest.mark.needs("program:nft")]
MADE = Change(sets=[Set("some")], chains=[Chain("one")])


def nft(*argv: str) -> bool:
    """Whether the tool was allowed to."""
    return subprocess.run(["nft", *argv], capture_output=True, timeout=60).returncode == 0


@pytest.fixture
def held(leaks) -> Iterator[Nft]:
    with contextlib.closing(Nft(hold=True)) as driver:
        driver.take(TABLE)
        driver.delete_table(TABLE)
        driver.apply(TABLE, MADE)
        yield driver
        driver.delete_table(TABLE)


def test_nobody_else_changes_or_flushes_it(held):
    assert nft("flush", "ruleset")
    assert "one" in held.list_chains(TABLE)
    assert not nft("delete", "table", "bridge", TABLE)
    assert not nft("add", "chain", "bridge", TABLE, "theirs")
    held.deafen(TABLE, ["tap-x"])
    assert nft("flush", "ruleset")
    assert held.list_deaf(TABLE) == ["tap-x"]
    held.undeafen(TABLE, ["tap-x"])
    assert held.held(TABLE)


def test_a_second_one_is_told_whose_it_is(held):
    with contextlib.closing(Nft(hold=True)) as other:
        other.take(TABLE)
        assert not other.held(TABLE)
        with pytest.raises(BackendError, match="belongs to another process"):
            other.apply(TABLE, MADE)


def test_it_stays_when_its_owner_ends_and_is_taken_by_the_next(held):
    first = Nft(hold=True)
    first.apply("second", MADE)
    first.close()
    with contextlib.closing(Nft(hold=True)) as later:
        assert "one" in later.list_chains("second")
        assert not later.held("second")
        later.take("second")
        assert later.held("second")
        later.delete_table("second")


def test_a_table_that_was_made_without_an_owner_goes_on_as_it_was(held):
    with contextlib.closing(Nft()) as plain, contextlib.closing(Nft(hold=True)) as later:
        plain.apply("plain", MADE)
        later.take("plain")
        later.apply("plain", Change(chains=[Chain("two")]))
        assert not later.held("plain")
        plain.delete_table("plain")


@pytest.fixture
def host(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    quiet_netfilter()
    documents = [document(n) for n in (1, 2)]
    options = {"nftables": {"hold_tables": "true"}, "linuxbridge": {"serve_local": "true"}}
    host = Host(tmp_path / "v", ovs, documents, plugin="linuxbridge", **options)
    with host.running():
        yield host
    nft("delete", "table", "bridge", TABLE)


def test_a_flush_changes_nothing_while_vifd_runs_and_is_mended_by_the_next(host: Host) -> None:
    with guests(*host.devices) as (one, two):
        until(host.quiet, "the ports are proven")
        mine, other = (d["port"]["mac_address"] for d in host.documents)
        addresses = [d["fixed_ips"][0]["ip_address"] for d in host.documents]
        fine = f.udp(mine, other, *addresses)
        lies = [
            f.udp("02:00:00:00:00:99", other, *addresses),
            f.dhcp_offer(mine, addresses[0], other, "10.0.0.99"),
        ]
        until(lambda: _arrives(one, two, fine), "they reach each other")
        assert nft("flush", "ruleset")
        assert_only(two, forbidden=[(one, lie) for lie in lies], allowed=(one, fine))
        assert host.vifd.get(f"/v1/ports/{host.ids[0]}")["status"] == "ACTIVE"
        host.vifd.kill()
        assert nft("flush", "ruleset"), "nobody holds it now"
        assert_only(two, forbidden=[(one, lies[0])], allowed=(one, fine))
        host.vifd.start()
        host.vifd.ready()
        until(host.quiet, "the ports are proven again")
        assert nft("flush", "ruleset")
        assert_only(two, forbidden=[(one, lie) for lie in lies], allowed=(one, fine))


def _arrives(sender, receiver, frame: bytes) -> bool:
    receiver.drain()
    sender.send(frame)
    return frame in receiver.drain()
