"""Unplug: from the stored names, best effort, repeatable; what is gone already is no error."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.drivers import Bridging, Links, Nft
from vifd.plugin import tap
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.answering import Answering
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.wiring import LinuxWiring


def unplug(
    links: Links, bridging: Bridging, nft: Nft, networks: Networks, batch: Batch,
    grouping: Grouping | None = None, answering: Answering | None = None,
) -> Batch:  # fmt: skip
    """Close, remove the taps, what nobody stands on any more, and the filters at last, with the
    connections that they let begin."""

    def close(works: Sequence[Work]) -> None:
        bridging.release([w.device for w in works])
        nft.apply(TABLE, ruleset.gates([w.filter(opened=False) for w in works]))

    def filters(works: Sequence[Work]) -> None:
        nft.apply(TABLE, ruleset.remove([w.device for w in works]))
        if grouping is not None:
            grouping.unused.forget(nft, works)

    batch.together("filter", close)
    if answering is not None:
        batch.together("answers", answering.silence)
    batch.together("device", lambda works: tap.remove_all(links, works))
    abandon(batch, networks)
    batch.together("filter", filters)
    return batch.left_over()


def leave(
    bridging: Bridging, nft: Nft, networks: Networks, batch: Batch,
    grouping: Grouping | None = None, answering: Answering | None = None,
) -> Batch:  # fmt: skip
    """The same of ports whose taps another plugin serves now: these stay, without a guard of ours,
    and leave a bridge that they should not be on any more."""

    def step(works: Sequence[Work]) -> None:
        bridging.unguard([w.device for w in works])
        nft.apply(TABLE, ruleset.remove([w.device for w in works]))
        if grouping is not None:
            grouping.unused.forget(nft, works)

    def ports(works: Sequence[Work]) -> None:
        there = bridging.get([*{name for w in works for name in (w.device, w.names.bridge)}])
        strayed = [
            w.device for w in works
            if (tap_ := there.get(w.device)) and (bridge := there.get(w.names.bridge))
            and tap_.master == bridge.link.ifindex
        ]  # fmt: skip
        if strayed:
            bridging.release(strayed)

    batch.together("bridge port", ports)
    if answering is not None:
        batch.together("answers", answering.silence)
    batch.together("filter", step)
    abandon(batch, networks)
    return batch.left_over()


def abandon(batch: Batch, networks: Networks) -> None:
    """Remove what nobody stands on any more."""
    for names, works in batch.networks().items():

        def network(_: Sequence[Work], names: LinuxWiring = names) -> None:
            networks.remove_unused(names)

        batch.together("network", network, works)
