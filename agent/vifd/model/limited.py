"""Limits of a port's rate that vifd did not set: meant by whom the document or the guest's
definition says, or by nobody that is known. Pure.

A limit of others is never taken away. libvirt's ``<bandwidth>``, and with it the flavor's
``quota:vif_*``, sets one on purpose, and nothing on the host tells it from one that was left over:
removed, a tenant would have more than he pays for, and libvirt would not set it again. So it is
told, with what removes it; where it is asked for it is a fact, else a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from vifd.model.attachment import Attachment
from vifd.model.evidence import Evidence

#: Facts that list the limits of the port's own device and switch port, one text for each.
FACTS = ("ovsdb.limits", "device.limits")
#: The fact of what the guest's definition asks for.
ASKED = "guest.bandwidth"
#: What flavors and libvirt count in, kilobytes per second, in kbit/s.
_KILOBYTE = 8
_SPEC = re.compile(r"quota:vif_(?:in|out)bound_(?:average|peak)")
_RATE = re.compile(r"at most (\d+) kbit/s")


def at_most(kbits: float) -> str:
    """A rate as a text of these facts begins with it.

    :param kbits: kbit/s
    """
    return f"at most {round(kbits)} kbit/s"


def asked_by(attachment: Attachment) -> dict[str, int]:
    """The rates that the flavor asks for, kbit/s by extra spec."""
    specs = attachment.instance.flavor_extra_specs if attachment.instance else {}
    return {
        key: int(str(value)) * _KILOBYTE for key, value in specs.items()
        if _SPEC.fullmatch(key) and str(value).isdecimal()
    }  # fmt: skip


def asked_in(kilobytes: Mapping[str, int]) -> Evidence:
    """The fact of a guest whose definition limits an interface.

    :param kilobytes: kB/s by ``inbound average`` and its like
    """
    rates = {what: value * _KILOBYTE for what, value in kilobytes.items()}
    return Evidence(ASKED, have=rates, source="libvirt")


def judged(evidence: Sequence[Evidence], attachment: Attachment) -> list[Evidence]:
    """The facts of a port with the limits that are asked for as wanted."""
    rates: list[Any] = list(asked_by(attachment).values())
    for fact in evidence:
        if fact.fact == ASKED:
            rates += fact.have.values()
    if not rates:
        return list(evidence)
    meant = {at_most(rate) for rate in rates}
    return [
        replace(e, ok=True) if e.fact in FACTS and not e.ok and _all_meant(e.have, meant) else e
        for e in evidence
    ]  # fmt: skip


def _all_meant(texts: Iterable[Any], meant: set[str]) -> bool:
    found = [_RATE.search(str(text)) for text in texts]
    return all(rate is not None and rate[0] in meant for rate in found)


def told(evidence: Iterable[Evidence]) -> list[str]:
    """The limits that are as they were asked for."""
    return [str(text) for e in evidence if e.fact in FACTS and e.ok for text in e.have or ()]
