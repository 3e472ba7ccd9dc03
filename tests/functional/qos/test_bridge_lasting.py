"""Limits on a bridge of the kernel under the whole daemon: said with the rate, changed while the
port is open, mended at once, and left alone by a restart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.drift_scene import Host
from unit.docs import document
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.expr import DROP, Over
from vifd.drivers.nft.objects import TABLE, Chain, Change, Element, Rule
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge import shaping
from vifd_linuxbridge.testing import quiet_netfilter

pytestmark = pytest.mark.needs("program:nft")


def limited(number: int, rate: int) -> dict[str, Any]:
    """A document with a limit each way and a mark."""
    rules = [{"type": "bandwidth_limit", "max_kbps": rate, "direction": "egress"},
             {"type": "packet_rate_limit", "max_kpps": 3, "direction": "ingress"},
             {"type": "dscp_marking", "dscp_mark": 46}]  # fmt: skip
    return document(number, port__qos_policy={"rules": rules})


DOCUMENTS = [limited(1, 5000), document(2)]


@pytest.fixture
def host(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    quiet_netfilter()
    options = {"linuxbridge": {"serve_local": "true"}}
    host = Host(tmp_path / "v", ovs, DOCUMENTS, plugin="linuxbridge", **options)
    with host.running():
        yield host


def listed(device: str) -> str:
    """The chains of a port as the tool shows them, with the numbers of their rules."""
    table = subprocess.run(["nft", "-a", "list", "table", "bridge", TABLE], check=True,
                           capture_output=True, text=True, timeout=60).stdout  # fmt: skip
    chains = table.split("\tchain ")
    return "".join(c for c in chains if c.startswith((f"{device}-from ", f"{device}-to ")))


def by_another(change: Change) -> None:
    """Another program changes the table."""
    nft = Nft()
    try:
        nft.apply(TABLE, change)
    finally:
        nft.close()


def test_limits_last(host: Host) -> None:
    device, path = host.devices[0], f"/v1/ports/{host.ids[0]}"
    port = host.vifd.get(path)
    enforced = {e["feature"]: (e["level"], e["enforced_by"]) for e in port["enforcement"]}
    names = "qos.bandwidth_limit.egress", "qos.packet_rate_limit.ingress", "qos.dscp_marking.egress"
    assert [enforced[name] for name in names] == [("dataplane", "linuxbridge")] * 3
    facts = {e["fact"]: e["have"] for e in port["evidence"]}
    assert [facts[name] for name in names] == [
        "5000 kbit/s, burst 5000 kbit", "3000 packets/s, burst 2400 packets", [46],
    ]  # fmt: skip
    text = listed(device)
    assert "limit rate over 625" in text
    assert "ip6 dscp set ef" in text
    assert not listed(host.devices[1])

    assert host.vifd.plug(limited(1, 7000))[0] == 200
    assert "limit rate over 875" in listed(device)
    until(host.quiet, "both ports are proven")

    before = listed(device)
    host.vifd.kill()
    host.vifd.start()
    host.vifd.ready()
    until(host.quiet, "the ports are proven again")
    assert listed(device) == before, "a restart changes nothing"

    assert host.vifd.plug(document(1))[0] == 200
    assert listed(device) == ""
    told = {e["fact"] for e in host.vifd.get(path)["evidence"]}
    assert not {fact for fact in told if fact.startswith("qos.") or "shap" in fact}


def sent_chain(device: str, *rules: Rule) -> Change:
    return Change(chains=[Chain(shaping.sent_chain(device), rules)])


EDITS: dict[str, tuple[Callable[[str], Change], str]] = {
    "another rate": (
        lambda d: sent_chain(d, Rule((Over(1_000_000, 0), DROP))), "qos.bandwidth_limit.egress"),
    "none": (lambda d: sent_chain(d), "qos.bandwidth_limit.egress"),
    "not gone by": (
        lambda d: Change(delete=[Element(shaping.FROM, d)]), f"nft.{shaping.FROM}"),
    "empty for all": (
        lambda d: Change(chains=[Chain("shape-to", (), *_place("shape-to"))]), "nft.shaping"),
}  # fmt: skip


def _place(name: str) -> tuple[Any, int]:
    (chain,) = (c for c in shaping.base() if c.name == name)
    return chain.hook, chain.priority


def test_changes_by_others_are_mended_at_once(host: Host) -> None:
    """The daemon has no periodic check here."""
    before = listed(host.devices[0]).count("limit rate over")
    assert before == 2
    for edit, (change, finding) in EDITS.items():
        host.mark()
        by_another(change(host.devices[0]))
        try:
            host.healed(finding)
        except AssertionError as error:
            pytest.fail(f"after {edit}: {error}")
    assert listed(host.devices[0]).count("limit rate over") == before
