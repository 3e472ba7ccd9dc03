"""Unplug: from the stored names, best effort, repeatable; what is gone already is no error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vifd.drivers import Bridging, Links, Nft
from vifd.errors import BackendError, UnplugPartial, VifError
from vifd_linuxbridge import marks, ruleset
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.wiring import LinuxWiring


def remove_device(links: Links, device: str, port_id: str) -> None:
    """Remove a device if it bears the port's mark."""
    link = links.get([device]).get(device)
    if link is not None and link.alias == marks.port_alias(port_id):
        links.delete([device])


def unplug(links: Links, bridging: Bridging, nft: Nft, networks: Networks, batch: Batch) -> Batch:
    """Close, remove the taps, what nobody stands on any more, and the filters at last."""

    def close(works: Sequence[Work]) -> None:
        bridging.release([w.device for w in works])
        nft.apply(TABLE, ruleset.gates([w.filter(opened=False) for w in works]))

    def filters(works: Sequence[Work]) -> None:
        nft.apply(TABLE, ruleset.remove([w.device for w in works]))

    batch.together("filter", close)
    batch.together("device", lambda works: _devices(links, works))
    for names, works in batch.networks().items():

        def network(_: Sequence[Work], names: LinuxWiring = names) -> None:
            networks.remove_unused(names)

        batch.together("network", network, works)
    batch.together("filter", filters)
    batch.failed = {port_id: _partial(error) for port_id, error in batch.failed.items()}
    return batch


def remark(links: Links, works: Iterable[Work]) -> None:
    """Put the mark back on devices that were plugged, where another program changed the alias."""
    known = {w.device: (w.names.ifindex, marks.port_alias(w.id)) for w in works}
    plugged = {name: (index, alias) for name, (index, alias) in known.items() if index}
    if plugged:
        links.remark(plugged)


def _devices(links: Links, works: Sequence[Work]) -> None:
    remark(links, works)
    ids = {work.device: work.id for work in works}
    present = links.get(list(ids))
    ours = [n for n, link in present.items() if link.alias == marks.port_alias(ids[n])]
    if ours:
        links.delete(ours)


def _partial(error: VifError) -> VifError:
    if isinstance(error, BackendError):
        return error
    partial = UnplugPartial(facts={"problem": error.message}, stage=error.stage, port=error.port)
    partial.__cause__ = error
    return partial
