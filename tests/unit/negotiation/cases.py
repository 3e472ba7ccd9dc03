"""Candidates and attachments for tests of the negotiation."""

from __future__ import annotations

from typing import Any

from unit.docs import document
from vifd import errors
from vifd.model import Attachment, decode
from vifd.negotiation import Candidate
from vifd.plugin import Advert, Health, Probe

READY = Probe(Health.READY)
DOWN = Probe(Health.UNAVAILABLE, ["ovsdb cannot be reached", "no bridge"])
MTU = errors.MtuTooLarge(facts={"wanted": 9000, "have": 1500, "bottleneck": "eth0"})


def attachment(**changes: Any) -> Attachment:
    return decode(document(1, **changes)).attachment


def candidate(name: str = "a", **changes: Any) -> Candidate:
    more = {k: changes.pop(k) for k in ("rank", "findings", "version", "consulted", "enforce")
            if k in changes}  # fmt: skip
    probe = changes.pop("probe", READY)
    needs = changes.pop("needs", ())
    advert = {"vif_types": ("ovs",), "network_types": ("local", "vlan")} | changes
    return Candidate(name, Advert(**advert), probe, tuple(needs), **more)
