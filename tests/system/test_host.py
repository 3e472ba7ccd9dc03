"""The host's inventory where there is DPDK, and where there is libvirt."""

from __future__ import annotations

from typing import Any

import pytest

from functional.hostfacts import known
from system.test_vhostuser import a_world
from vifd.capabilities import names
from vifd.testing.bootable import Host
from vifd.testing.census import Census
from vifd.testing.daemon import Vifd
from vifd.testing.wait import until


@pytest.mark.needs("dpdk", "tun")
def test_a_switch_with_dpdk(leaks: Census) -> None:
    with a_world() as world:
        until(lambda: names.OVS_DPDK in known(world.vifd), "the switch was seen")
        found = known(world.vifd)
        root = world.ovs.vsctl("get", "Open_vSwitch", ".", "dpdk_version").strip().strip('"')
        assert (found[names.OVS_DPDK]["present"], found[names.OVS_DPDK]["value"]) == (True, root)
        assert found[names.ovs_interface("dpdkvhostuserclient")]["present"] is True
        assert world.vifd.get("/v1/host")["plugins"]["vhostuser"]["state"] != "unavailable"


def told_by_libvirt(vifd: Vifd) -> dict[str, Any] | None:
    """The inventory once libvirt has told of itself and its capabilities."""
    found = known(vifd)
    present = found.get(names.LIBVIRT, {}).get("present")
    qemu = found.get(names.virt_type("qemu"), {}).get("evidence", "")
    return found if present and "libvirt" in qemu else None


@pytest.mark.needs("libvirt")
def test_a_host_with_libvirt(leaks: Census, tmp_path_factory: pytest.TempPathFactory) -> None:
    host = Host(tmp_path_factory.mktemp("h"))
    try:
        host.boot()
        host.ovs.start()
        host.libvirtd.start()
        host.vifd.start()
        host.vifd.ready()
        found = until(lambda: told_by_libvirt(host.vifd), "libvirt was asked")
        assert found is not None
        connection = host.connection()
        number = connection.getLibVersion()
        version = f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
        assert found[names.LIBVIRT]["value"] == version
        capabilities = connection.getCapabilities()
        for kind in ("kvm", "qemu"):
            told = f"<domain type='{kind}'" in capabilities
            assert found[names.virt_type(kind)]["present"] is told
        connection.close()
        host.libvirtd.kill()
        until(lambda: known(host.vifd)[names.LIBVIRT]["present"] is False, "its loss was seen")
    finally:
        host.close()
