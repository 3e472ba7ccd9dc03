"""Limits that others set: which are meant."""

from __future__ import annotations

import pytest

from unit.docs import document
from vifd.model import Evidence, decode, limited

QUOTA = {"quota:vif_outbound_average": "125", "quota:vif_inbound_peak": 500, "quota:cpu_shares": 3}


def limit(*texts, fact="ovsdb.limits"):
    return Evidence(fact, list(texts), [], not texts, "ovsdb", repairable=False)


def of(**specs):
    instance = {"id": "0d1e0000-0000-4000-8000-00000000000a", "flavor_extra_specs": specs}
    return decode(document(1, instance=instance)).attachment


@pytest.mark.parametrize("fact", limited.FACTS)
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("from the guest at most 1000 kbit/s (ingress_policing_rate)", True),
        ("to the guest at most 4000 kbit/s (QoS linux-htb)", True),
        ("from the guest at most 100 kbit/s", False),
        ("from the guest at most 10000 kbit/s", False),
        ("from the guest at most 1000 packets/s", False),
    ],
)
def test_what_the_flavor_asks_for(fact, text, meant):
    (found,) = limited.judged([limit(text, fact=fact)], of(**QUOTA))
    assert found.ok is meant
    assert limited.told([found]) == ([text] if meant else [])


def test_one_that_is_not_meant_is_a_finding_beside_one_that_is():
    (found,) = limited.judged([limit("at most 1000 kbit/s", "at most 9 kbit/s")], of(**QUOTA))
    assert not found.ok


def test_what_the_guest_is_defined_with():
    asked = limited.asked_in({"outbound average": 125})
    found, _ = limited.judged([limit("at most 1000 kbit/s"), asked], of())
    assert found.ok


@pytest.mark.parametrize("specs", [{}, {"quota:vif_outbound_average": "a lot"}])
def test_without_an_asker_it_is_a_finding(specs):
    (found,) = limited.judged([limit("at most 1000 kbit/s")], of(**specs))
    assert not found.ok


def test_a_limit_of_the_way_out_is_nobodys_quota():
    (found,) = limited.judged([limit("at most 1000 kbit/s", fact="uplink.limits")], of(**QUOTA))
    assert not found.ok
