"""Large pages, nodes and network cards: present, absent, unreadable, and nonsense."""

from __future__ import annotations

import errno

import pytest

from support.hosttree import HostTree
from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.probes.memory import FLAT, NODES, Memory
from vifd.capabilities.probes.nics import Nics

TWO_MIB, ONE_GIB = 2048, 1 << 20


@pytest.fixture
def host(tmp_path):
    return HostTree(tmp_path)


def memory(host):
    found = Findings("memory", 1.0)
    Memory(host.tree).probe(found)
    return Inventory(found.capabilities, 1.0, found.complete)


class TestPages:
    def test_by_node_and_size(self, host):
        host.node(0, "0-3")
        host.node(1, "4-7")
        host.pages(TWO_MIB, 512, 500, node=0)
        host.pages(TWO_MIB, 0, 0, node=1)
        host.pages(ONE_GIB, 0, 0, node=0)
        found = memory(host)
        assert found.get(names.NUMA).value == {"0": "0-3", "1": "4-7"}
        assert found.get("CUSTOM_HUGEPAGES_2MB").value == {
            "0": {"total": 512, "free": 500}, "1": {"total": 0, "free": 0},
        }  # fmt: skip
        assert found.has("CUSTOM_HUGEPAGES_2MB")
        assert found.has(names.HUGEPAGES)
        assert found.lacks("CUSTOM_HUGEPAGES_1GB")
        assert "nr_hugepages" in found.get("CUSTOM_HUGEPAGES_1GB").missing

    def test_a_size_that_the_processor_does_not_have_is_absent_not_unknown(self, host):
        host.pages(TWO_MIB, 1, 1)
        assert memory(host).lacks(names.hugepages(64))

    def test_all_in_use_is_not_the_same_as_none(self, host):
        host.node(0, "0")
        host.pages(TWO_MIB, 8, 0)
        found = memory(host).get("CUSTOM_HUGEPAGES_2MB")
        assert found.present is True
        assert "8 pages of 2048 KiB, 0 free" in found.evidence

    def test_a_kernel_without_nodes(self, host):
        host.pages(TWO_MIB, 4, 2, node=None)
        found = memory(host)
        assert found.lacks(names.NUMA)
        assert found.get("CUSTOM_HUGEPAGES_2MB").value == {"0": {"total": 4, "free": 2}}

    def test_a_kernel_without_large_pages(self, host):
        assert memory(host).lacks(names.HUGEPAGES)

    @pytest.mark.parametrize("spoil", ["garbage", "unreadable"])
    def test_counts_that_are_none(self, host, spoil):
        host.pages(TWO_MIB, 4, 2, node=None)
        path = f"{FLAT}/hugepages-2048kB/free_hugepages"
        if spoil == "garbage":
            host.file(path, "many")
        else:
            host.unreadable(path)
        found = memory(host)
        assert found.get(names.HUGEPAGES).present is None
        assert "free_hugepages" in found.get(names.HUGEPAGES).evidence
        assert found.get("CUSTOM_HUGEPAGES_2MB").present is None, "not known is not absent"

    def test_other_entries_are_passed_over(self, host):
        host.node(0, "0")
        host.file(f"{NODES}/online", "0")
        host.file(f"{NODES}/node0/hugepages/hugepages-oddkB/nr_hugepages", "7")
        assert memory(host).lacks(names.HUGEPAGES)


def nics(host, eswitch=lambda pci: ""):
    found = Findings("interfaces", 1.0)
    Nics(host.tree, eswitch).probe(found)
    return found.capabilities


class TestCards:
    def test_virtual_functions_with_their_drivers_and_node(self, host):
        host.card(
            "eth0", "0000:3b:00.0", node=1, queues=4, vfs_total=8, vfs=2, vf_driver="vfio-pci"
        )
        found = nics(host)
        assert found[names.SRIOV].value == {
            "eth0": {
                "driver": "ixgbe", "pci": "0000:3b:00.0", "numa_node": 1, "queues": 4,
                "vfs_total": 8, "vfs": 2, "vf_drivers": {"vfio-pci": 2}, "eswitch": "unknown",
            }
        }  # fmt: skip
        assert found[names.NIC_MULTIQUEUE].value == {"eth0": 4}
        assert found[names.VIF_MODELS["sriov"]].present is True

    @pytest.mark.parametrize(("driver", "present"), [("ice", True), ("newcomer", None)])
    def test_trust_goes_by_the_driver(self, host, driver, present):
        assert nics(host)[names.VF_TRUST].present is False
        host.card("eth0", "0000:3b:00.0", vfs_total=8, driver=driver)
        assert nics(host)[names.VF_TRUST].present is present

    def test_functions_that_could_be_made_and_are_not(self, host):
        host.card("eth0", "0000:3b:00.0", vfs_total=8)
        found = nics(host)
        assert found[names.SRIOV].present is True
        assert found[names.VIF_MODELS["sriov"]].present is False
        assert "sriov_numvfs" in found[names.VIF_MODELS["sriov"]].missing

    def test_functions_without_a_driver(self, host):
        host.card("eth0", "0000:3b:00.0", vfs_total=8, vfs=1)
        assert nics(host)[names.SRIOV].value["eth0"]["vf_drivers"] == {"none": 1}

    def test_an_embedded_switch_that_devlink_tells_of(self, host):
        host.card("eth0", "0000:3b:00.0", vfs_total=8)
        host.card("eth1", "0000:3b:01.0", vfs_total=8)
        modes = {"0000:3b:00.0": "switchdev", "0000:3b:01.0": "legacy"}
        found = nics(host, modes.__getitem__)
        assert list(found[names.SWITCHDEV].value) == ["eth0"]
        assert found[names.SRIOV].value["eth1"]["eswitch"] == "legacy"

    def test_an_embedded_switch_by_its_identity_where_devlink_does_not_answer(self, host):
        def refused(pci):
            raise OSError(errno.EPERM, "Operation not permitted")

        host.card("eth0", "0000:3b:00.0", vfs_total=8, switch_id="e41d2d030f1c")
        assert nics(host, refused)[names.SWITCHDEV].present is True

    def test_what_software_made_is_no_card(self, host):
        for name in ("lo", "br0", "tap1"):
            host.software(name)
        found = nics(host)
        assert found[names.SRIOV].present is False
        assert "0 interfaces of cards" in found[names.SRIOV].evidence

    def test_a_card_on_another_bus_has_no_address(self, host):
        host.card("eth0", "virtio1", vfs_total=1)
        assert nics(host)[names.SRIOV].value["eth0"]["pci"] == ""

    def test_one_that_tells_nonsense_hides_no_other(self, host):
        host.card("eth0", "0000:3b:00.0", vfs_total=8)
        host.card("eth1", "0000:3b:01.0", vfs_total=8)
        host.file("sys/class/net/eth1/device/sriov_totalvfs", "lots")
        found = nics(host)
        assert list(found[names.SRIOV].value) == ["eth0"]
        assert "eth1" in found[names.SRIOV].evidence
        assert found[names.SWITCHDEV].present is None, "the other one might have it"

    def test_no_sysfs(self, host):
        assert nics(host)[names.SRIOV].present is False
        host.unreadable("sys/class/net/eth0/device/sriov_totalvfs")
        assert nics(host)[names.SRIOV].present is None
