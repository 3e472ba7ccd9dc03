"""Taps that come from another back end of this daemon, and taps that leave for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Drivers, Links
from vifd.errors import BackendUnfit
from vifd.model import Attachment
from vifd.plugin import Entry, Item, tap
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.naming import Naming
from vifd_ovs.bridge.removal import unplug
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.wiring import OvsWiring


def names(
    links: Links, naming: Naming, attachment: Attachment, taken: Mapping[str, Entry], device: str
) -> OvsWiring:
    """By which names and numbers a tap that stands is taken over.

    :raises BackendUnfit: it cannot be without cutting its traffic
    """
    link = links.get([device]).get(device)
    problem = tap.problem(link, attachment)
    if problem or link is None:
        facts = {"have": device or "nothing", "wanted": "ovs", "problem": problem}
        raise BackendUnfit(facts=facts, port=attachment.id)
    _, chosen = naming.choose(attachment, taken, multi_queue=link.multi_queue)
    return replace(chosen, ifindex=link.ifindex, adopted=True)


def leave(drivers: Drivers, switches: dict[str, Switch], items: Sequence[Item]) -> Batch:
    """What ``unplug`` removes but for the devices, which are in use elsewhere: there, the host is
    to hear them."""

    def rest(works: Sequence[Work]) -> None:
        Hearing(drivers).forget(work.device for work in works)

    # after a restart the ledger does not tell any more what was made for them
    forgotten: dict[str, list[str]] = {}
    for work in Batch.of(items):
        if switches[work.names.bridge].get(work.id) is None:
            forgotten.setdefault(work.names.bridge, []).append(work.id)
    done = unplug(drivers, switches, items, rest)
    for bridge, ids in forgotten.items():
        works = [work for work in done if work.id in ids]
        if drivers.ovsdb.bridge(bridge) is not None:
            done.together("flows", partial(_sweep, switches[bridge]), works)
    return done


def _sweep(switch: Switch, works: Sequence[Work]) -> None:
    """Remove the flows of ports by their cookies, and those of networks that no other port has."""
    names = [work.names for work in works]
    ports = {cookies.port(one.generation, one.ofport) for one in names}
    switch.sweep(ports | {cookies.network(one.tag) for one in names})
