"""What a request for a set means: decided against the journal, before anything is written. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from vifd import errors
from vifd.engine.setrequest import SetRequest
from vifd.model.setpatch import SetPatch, check_size, drops
from vifd.model.setrecord import LOG, SetRecord, SetUpdate, name_of, patched, replaced
from vifd.model.sets import SetKey, SetKind
from vifd.model.text import names_in
from vifd.store.shared import SharedSets

#: Sets, and pieces of all of them, that one host keeps.
MAX_SETS, MAX_PIECES = 20_000, 1_000_000


def decide(request: SetRequest, present: SetRecord | None, sets: SharedSets) -> SetUpdate:
    """What becomes of the set.

    :param present: as it is, with what this group of requests changes before
    :raises errors.VifError: the refusal; nothing changes
    """
    key = request.ticket.key
    _matches(request, present)
    if present is not None and request.owner == present.owner:
        _not_stale(request, present)
    if request.removes:
        return _going(request, present, sets)
    update = _changed(request, present)
    if update.after is not None:
        check_size(update.after.pieces)
    _room(key, update, sets)
    return update


def _changed(request: SetRequest, present: SetRecord | None) -> SetUpdate:
    key, ticket = request.ticket.key, request.ticket
    if request.body is not None:
        return replaced(present, request.body, key, owner=request.owner,
                        owner_revision=request.revision, request_id=ticket.request_id)  # fmt: skip
    patch = request.patch or SetPatch()
    if present is None:
        if key.kind is not SetKind.FORWARDING:
            raise errors.SetNotFound(facts={"set": str(key)}, stage="intake")
        # a network is there by itself: nothing but its endpoints makes its forwarding
        base = SetRecord(key, request.owner)
    else:
        base = present
    put = {name_of(piece): piece for piece in patch.add}
    if patch.enabled is not None:
        put[LOG] = structs.replace(base.settings, enabled=patch.enabled)
    update = patched(
        base, put, drops(base, patch), owner=request.owner, name=patch.name,
        stateful=patch.stateful, owner_revision=request.revision, request_id=ticket.request_id,
    )  # fmt: skip
    return update if present is not None else replace(update, before=None)


def _matches(request: SetRequest, present: SetRecord | None) -> None:
    if request.match is None:
        return
    have = present.revision if present is not None else None
    if have is None or (request.match and have not in request.match):
        wanted = " or ".join(map(str, sorted(request.match))) or "any"
        facts = {"set": str(request.ticket.key), "have": have, "wanted": wanted}
        raise errors.SetChanged(facts=facts, stage="intake")


def _not_stale(request: SetRequest, present: SetRecord) -> None:
    """A late word never undoes a newer one; one without a count is as new as its arrival."""
    have, wanted = present.owner_revision, request.revision
    if have is not None and wanted is not None and wanted < have:
        facts = {"set": str(request.ticket.key), "wanted": wanted, "have": have}
        raise errors.SetStale(facts=facts, stage="intake")


def _going(request: SetRequest, present: SetRecord | None, sets: SharedSets) -> SetUpdate:
    """The set goes, now or once nothing refers to it.

    As the Networking API has it, one that is in use is not deleted; its owner may let it go later.
    """
    key = request.ticket.key
    if present is None:
        raise errors.SetNotFound(facts={"set": str(key)}, stage="intake")
    used = users(key, sets)
    if not used:
        return SetUpdate(present, None)
    if not request.later:
        facts = {"set": str(key), "by": "; ".join(used.values()), **_listed(key, sets)}
        raise errors.SetInUse(facts=facts, stage="intake")
    after = replace(
        present, going=True, owner=request.owner, updated_at=time.time(),
        request_id=request.ticket.request_id,
    )  # fmt: skip
    return SetUpdate(present, after)


def users(key: SetKey, sets: SharedSets) -> dict[str, str]:
    """What refers to a set, as sentences by kind."""
    ports, others = sets.references.ports(key), sets.references.sets(key)
    found = {}
    if ports:
        found["ports"] = f"by ports {names_in(sorted(ports), 4)}"
    if others:
        found["sets"] = f"by rules of {names_in(sorted(map(str, others)), 4)}"
    return found


def _listed(key: SetKey, sets: SharedSets) -> dict[str, list[str]]:
    ports, others = sets.references.ports(key), sets.references.sets(key)
    return {"ports": sorted(ports)[:100], "sets": sorted(map(str, others))[:100]}


def _room(key: SetKey, update: SetUpdate, sets: SharedSets) -> None:
    """:raises errors.SetLimit: this host has as many as it keeps"""
    more = len(update.put) - len(update.drop)
    for what, limit, wanted in (
        ("sets", MAX_SETS, len(sets) + (update.before is None)),
        ("pieces of sets", MAX_PIECES, sets.pieces + more),
    ):
        if wanted > limit and more >= 0:
            facts: Mapping[str, object] = {
                "limit": limit, "what": what, "set": str(key), "wanted": wanted,
            }  # fmt: skip
            raise errors.SetLimit(facts=facts, stage="intake")
