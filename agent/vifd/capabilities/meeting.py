"""Whether a host meets what an attachment needs, for one candidate.

What nobody could find out is no "no": it is said in the requirement's note. A capability more never
makes a requirement fail that was met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vifd.capabilities import names, refusals
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.needs import Kind, Need, Needs
from vifd.errors import (
    MemoryEncrypted,
    MultiqueueUnsupported,
    NumaMismatch,
    PackedRingUnsupported,
    VifModelUnsupported,
)
from vifd.plugin import Advert, Probe, Requirement

#: VIF types whose device is a tap of the kernel.
TAPS = frozenset(("ovs", "bridge", "tap"))
VHOST_USER = "vhostuser"
VIRTIO = "virtio"


def meet(
    needs: Needs,
    inventory: Inventory,
    advert: Advert,
    probe: Probe | None = None,
    *,
    vif_type: str = "",
) -> list[Requirement]:
    """What the attachment needs of this host and candidate, met or not.

    :param advert: of the plugin that would serve it
    :param vif_type: the one that would be used; the plugin's first if empty
    """
    kind = vif_type or (advert.vif_types[0] if advert.vif_types else "")
    met = [Requirement("consistent", False, error) for error in needs.conflicts]
    for need in needs.needs:
        if need.kind is Kind.MULTIQUEUE:
            met.append(_multiqueue(need, inventory, kind))
        else:
            met.append(_one(need, inventory))
    met += [Requirement("no_effect", True, note=f"no effect: {text}") for text in needs.ignored]
    met += _as_nova_has_it(needs, inventory)
    if kind == VHOST_USER:
        met += _of_vhost_user(needs, inventory, advert, probe)
    met += _numa(needs, probe)
    return met


def _one(need: Need, inventory: Inventory) -> Requirement:
    known = [inventory.get(name) for name in need.anyof]
    name = need.kind.value
    if need.forbidden:
        note = f"{need.source}: the host has it" if any(c.present for c in known) else ""
        return Requirement(name, True, note=note)
    if any(c.present for c in known):
        return Requirement(name, True)
    if _absent(need, inventory, known):
        lacking = known[0]
        if need.advice:
            return Requirement(name, True, note=_said(need, lacking, "the host has none"))
        return Requirement(name, False, refusals.of(need, lacking, inventory))
    return Requirement(name, True, note=_said(need, known[0], "could not be found out"))


def _absent(need: Need, inventory: Inventory, known: Sequence[Capability]) -> bool:
    """Whether the host is known not to have it. What the document insists on is absent as well once
    every source has told and none of them knows of it."""
    if refusals.unheard_of(need) or all(c.present is False for c in known):
        return True
    return need.strict and inventory.whole and not any(c.source for c in known)


def _said(need: Need, lacking: Capability, what: str) -> str:
    why = lacking.missing or lacking.evidence
    wanted = "" if need.wanted is True else f" {need.wanted}"
    return f"{need.source}{wanted}: {what}{f' ({why})' if why else ''}"


def _multiqueue(need: Need, inventory: Inventory, vif_type: str) -> Requirement:
    """Several queues, where the host gives a device more than one; fewer than asked for are what
    the guest gets then, as nova does it."""
    limits = [inventory.get(names.MAX_QUEUES)]
    if vif_type in TAPS:
        limits.append(inventory.get(names.TUN_MULTIQUEUE))
    name = need.kind.value
    known = [(n, limit) for limit in limits if (n := _queues(limit)) is not None]
    if not known:
        return Requirement(name, True, note=_said(need, limits[0], "could not be found out"))
    most, limit = min(known, key=lambda pair: pair[0])
    if most < 2:
        problem = limit.missing or limit.evidence
        facts = {"wanted": need.wanted, "have": most, "limited_by": limit.name, "problem": problem}
        return Requirement(name, False, MultiqueueUnsupported(facts=facts, stage="requirement"))
    note = f"{most} of {need.wanted} queues" if most < need.wanted else ""
    return Requirement(name, True, note=note)


def _as_nova_has_it(needs: Needs, inventory: Inventory) -> Iterator[Requirement]:
    """What nova does not do on a host such as this; said, as a caller may do it all the same."""
    if needs.queues > 1 and inventory.lacks(names.virt_type("kvm")):
        note = "nova gives guests of virt type qemu one queue"
        yield Requirement(Kind.MULTIQUEUE.value, True, note=note)
    large = any(need.kind is Kind.PAGES for need in needs.needs)
    if large and inventory.has(names.FILE_BACKED_MEMORY):
        note = "nova starts no guest with large pages where memory is backed by files"
        yield Requirement(Kind.PAGES.value, True, note=note)


def _queues(limit: Capability) -> int | None:
    """The queues that a capability allows; ``None`` where it sets no limit that is known."""
    if limit.present is False:
        return 1
    return limit.value if isinstance(limit.value, int) else None


def _of_vhost_user(
    needs: Needs, inventory: Inventory, advert: Advert, probe: Probe | None
) -> Iterator[Requirement]:
    """What host and guest need where a switch in user space is the guest's device."""
    yield _one(Need(Kind.VNIC, (names.VHOST_USER,), VHOST_USER, "VIF type vhostuser"), inventory)
    if "model" in needs.parameters:  # else nothing is known of the guest
        yield from _readable(needs, inventory, advert, probe)
    if needs.packed_ring and advert.features and "packed_ring" not in advert.features:
        source = needs.parameters["packed_ring"].source
        facts = {"property": source, "problem": "the switch does not have them"}
        error = PackedRingUnsupported(facts=facts, stage="requirement")
        yield Requirement("packed_ring", False, error)


def _readable(
    needs: Needs, inventory: Inventory, advert: Advert, probe: Probe | None
) -> Iterator[Requirement]:
    """A virtio device, in memory that the switch can read.

    Whether memory that no flavor has shared is shared all the same is the hypervisor's setting; who
    knows it refuses in its own needs, here it is said.
    """
    if needs.model != VIRTIO:
        facts = {"wanted": needs.model, "have": [VIRTIO]}
        error = VifModelUnsupported(facts=facts, stage="requirement")
        yield Requirement("vif_model", False, error)
    if needs.encrypted and "encrypted_memory" not in advert.features:
        key = needs.parameters["encrypted"].source
        encrypted = MemoryEncrypted(facts={"property": key}, stage="requirement")
        yield Requirement("memory_not_encrypted", False, encrypted)
    backed = probe is not None and bool(probe.facts.get("file_backed_memory"))
    shared = needs.shared_memory or backed or inventory.has(names.FILE_BACKED_MEMORY)
    note = "" if shared else "nothing says that the guest's memory is shared with the switch"
    yield Requirement("shared_memory", True, note=note)


def _numa(needs: Needs, probe: Probe | None) -> Iterator[Requirement]:
    """The guest's NUMA nodes and those on which the candidate works, where both are known."""
    guest: tuple[int, ...] = needs.value("host_nodes", ())
    cores = probe.facts.get("pmd_cores") if probe is not None else None
    if not guest or not isinstance(cores, dict) or not cores:
        return
    serving = sorted(int(node) for node in cores)
    if set(guest) & set(serving):
        yield Requirement("numa", True)
        return
    facts = {"wanted": list(guest), "have": serving, "policy": needs.numa_policy}
    error = NumaMismatch(facts=facts, stage="requirement")
    if needs.numa_policy == "required":
        yield Requirement("numa", False, error)
    else:
        yield Requirement("numa", True, note=f"{error.message} (policy {needs.numa_policy})")
