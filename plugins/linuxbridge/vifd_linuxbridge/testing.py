"""What the contract suite must know of the Linux bridge plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vifd.drivers import Drivers
from vifd.drivers.nft.objects import ANSWERED
from vifd.testing.links import FakeLinks
from vifd.testing.profile import Profile as Base
from vifd_linuxbridge import groupbase, grouprules, telling
from vifd_linuxbridge.ruleset import OF_PORTS, TABLE

_BRIDGE_NETFILTER = Path("/proc/sys/net/bridge")


class Profile(Base):
    """Rules count as well; the host's IP filters are told to leave bridged frames alone."""

    bridges = ()

    @contextlib.contextmanager
    def prepared(self, drivers: Drivers) -> Iterator[None]:
        if not isinstance(drivers.links, FakeLinks):
            quiet_netfilter()
        with super().prepared(drivers):
            yield

    def residue(self, drivers: Drivers) -> set[str]:
        return super().residue(drivers) | rules(drivers)


def rules(drivers: Drivers) -> set[str]:
    """The part of the rules that belongs to ports, a line each."""
    if drivers.nft is None:
        return set()
    devices, networks = drivers.nft.list_answers(ANSWERED)
    found = {f"answers for {name}" for name in (*devices, *networks)}
    for chain in drivers.nft.list_chains(TABLE).values():
        if chain.comment or chain.name.startswith((grouprules.PREFIX, "zone-", *telling.BASE)):
            found |= {f"chain {chain.name}", *(f"rule {chain.name} {r}" for r in chain.rules)}
    for name in (*OF_PORTS, groupbase.ZONES):
        found |= {f"{key} in {name}" for key in drivers.nft.list_elements(TABLE, name)}
    names = [n for n in drivers.nft.list_sets(TABLE) if n.startswith(grouprules.SETS)]
    for name, members in drivers.nft.addresses(TABLE, names).items():
        found |= {f"set {name}", *(f"{address} in {name}" for address in members)}
    return found


def quiet_netfilter() -> None:
    """Have the host's IP filters leave bridged frames alone, in this namespace."""
    for path in _BRIDGE_NETFILTER.glob("bridge-nf-call-*"):
        path.write_text("0")
