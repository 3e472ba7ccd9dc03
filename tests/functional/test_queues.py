"""A resize from one vCPU to four and back: what was made decides what is told, a device that nobody
has open is made anew, and one that a guest has open is refused with the reason."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.breaking import FROZEN, PORT, TAP, Host, running
from unit.docs import document
from vifd.testing.guests import TapGuest
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@pytest.fixture(params=["ovs", "linuxbridge"])
def host(request: Any, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Host]:
    options = {**FROZEN, "engine": {**FROZEN["engine"], "repair": "true"}}
    with running(ovs, tmp_path / "v", options) as made:
        made.plugin = request.param  # type: ignore[attr-defined]
        yield made
        assert made.vifd.unplug(PORT)[0] == 204
        made.vifd.stop()


def wanted(host: Host, vcpus: int, **port: Any) -> dict[str, Any]:
    found = document(1, plugin=host.plugin)  # type: ignore[attr-defined]
    flavor = {"hw:vif_multiqueue_enabled": "true"}
    instance = {"id": PORT, "vcpus": vcpus, "flavor_extra_specs": flavor}
    return {**found, "instance": instance, "port": {**found["port"], **port}}


def resized(host: Host, vcpus: int, **port: Any) -> None:
    status, answer = host.vifd.plug(wanted(host, vcpus, **port))
    assert status in (200, 201), answer


def seen(host: Host) -> tuple[int, bool, bool]:
    """The queues that compute is told, and the kind of the device by evidence and kernel."""
    port = host.vifd.get(f"/v1/ports/{PORT}")
    (kind,) = [e for e in port["evidence"] if e["fact"] == "device.multi_queue"]
    assert kind["ok"], kind
    assert port["status"] == "ACTIVE"
    queues: int = host.vifd.get(f"/v1/ports/{PORT}/vif")["queues"]
    assert port["vif"]["queues"] == queues
    return queues, kind["have"], host.links.get([TAP])[TAP].multi_queue


def enforced(host: Host) -> list[tuple[int, str]]:
    entries = host.vifd.get(f"/v1/ports/{PORT}")["enforcement"]
    return [(e["requested"], e["level"]) for e in entries if e["feature"] == "multiqueue"]


@contextlib.contextmanager
def guest(host: Host, *, several: bool) -> Iterator[None]:
    with TapGuest(TAP, multi_queue=several):
        until(lambda: host.links.get([TAP])[TAP].carrier, "the guest has its device")
        yield
    until(lambda: not host.links.get([TAP])[TAP].carrier, "the guest is off")


def refused(host: Host, vcpus: int, have: str) -> None:
    before = host.vifd.get(f"/v1/ports/{PORT}")
    index = host.links.get([TAP])[TAP].ifindex
    status, answer = host.vifd.plug(wanted(host, vcpus))
    assert (status, answer["code"]) == (409, "E_STATE_QUEUES"), answer
    assert f"device {TAP} was made for {have}" in answer["message"]
    assert "shut the guest down" in answer["remediation"]
    after = host.vifd.get(f"/v1/ports/{PORT}")
    assert after["document"] == before["document"]
    assert after["status"] == "ACTIVE"
    assert host.links.get([TAP])[TAP].ifindex == index


def carrier(*words: str) -> None:
    """What another program makes of the device."""
    subprocess.run(["ip", "link", "set", TAP, *words], check=True, timeout=60)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
@pytest.mark.parametrize("words", [["carrier", "off"], ["down"]], ids=["carrier off", "down"])
def test_a_guest_keeps_its_device_whatever_its_carrier(
    host: Host, before: int, after: int, words: list[str]
) -> None:
    """Made anew it would be gone from under the guest, and called ACTIVE."""
    resized(host, before)
    with TapGuest(TAP, before > 1):
        until(lambda: host.links.get([TAP])[TAP].carrier, "the guest has its device")
        carrier(*words)
        refused(host, after, "one queue" if before == 1 else "several queues")
    until(lambda: not host.links.get([TAP])[TAP].carrier, "the guest is off")
    resized(host, after)
    assert seen(host) == (after, after > 1, after > 1)


def test_one_to_four_and_back(host: Host) -> None:
    resized(host, 1)
    assert seen(host) == (1, False, False)
    with guest(host, several=False):
        refused(host, 4, "one queue")
        resized(host, 1, name="other changes are taken")
        assert seen(host) == (1, False, False)
    resized(host, 4)
    assert seen(host) == (4, True, True)
    assert enforced(host) == [(4, "dataplane")]
    with guest(host, several=True):
        refused(host, 1, "several queues")
        resized(host, 2)
        assert seen(host) == (2, True, True)
        assert enforced(host) == [(2, "dataplane")]
    resized(host, 1)
    assert seen(host) == (1, False, False)
    with guest(host, several=False):
        assert enforced(host) == []
