"""Which hypervisor a host has."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from vifd import errors
from vifd.hypervisor import GuestInterface, NoHypervisor
from vifd.hypervisor.libvirt import LibvirtHypervisor
from vifd.hypervisor.making import make


def options(enabled):
    return SimpleNamespace(enabled=enabled, uri="qemu:///system")


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("enabled", ["auto", "true", "false"])
def test_by_option_and_by_what_is_installed(monkeypatch, caplog, enabled, installed):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object() if installed else None)
    made = make(options(enabled))
    wanted = enabled != "false" and installed
    assert isinstance(made, LibvirtHypervisor if wanted else NoHypervisor)
    assert not made.connected()
    assert made.facts()["problem"]
    assert bool(caplog.records) is (enabled == "true" and not installed)


def test_no_hypervisor_answers_everything():
    none = NoHypervisor("nobody")
    none.start()
    none.subscribe(lambda _device: None)
    none.refresh("g").result(0)
    assert not none.guests()
    assert not none.interfaces()
    with pytest.raises(errors.HypervisorError, match="nobody"):
        none.start_guest("g")
    with pytest.raises(errors.HypervisorError, match="nobody"):
        none.reattach(GuestInterface("tap1", "g"), 1.0)
    none.close()
