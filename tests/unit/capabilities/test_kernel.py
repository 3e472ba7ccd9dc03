"""What is read of the kernel: present, absent, unreadable, and nonsense."""

from __future__ import annotations

import errno

import pytest

from support.hosttree import RELEASE, HostTree
from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.modules import Modules, State
from vifd.capabilities.probes.kernel import Kernel
from vifd.capabilities.probes.nft import PacketFilter


@pytest.fixture
def host(tmp_path):
    return HostTree(tmp_path)


class Machine:
    """The answers of a kernel: what it lacks, and what its devices say."""

    def __init__(self, host):
        self.host = host
        self.lacks = {}
        self.asked = []
        self.devices: dict[str, int | Exception] = {"/dev/net/tun": 0x7173, "/dev/kvm": 12}
        for device in self.devices:
            host.file(device.lstrip("/"), "")

    def lacking(self, kind):
        self.asked.append(kind)
        return self.lacks.get(kind)

    def ask(self, path, _request):
        answer = self.devices["/" + path.removeprefix(f"{self.host.root}/")]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def probe(self):
        found = Findings("kernel", 1.0)
        Kernel(self.host.tree, self.lacking, self.ask).probe(found)
        return found.capabilities


@pytest.fixture
def machine(host):
    return Machine(host)


class TestModules:
    def test_loaded(self, host):
        host.load("vhost_net")
        assert Modules(host.tree).state("vhost_net")[0] is State.LOADED

    def test_there_to_be_loaded_built_in_or_not_at_all(self, host):
        host.modules("vhost_net", builtin=("tun",))
        modules = Modules(host.tree)
        assert modules.state("vhost_net")[0] is State.LOADABLE
        assert modules.state("tun")[0] is State.BUILT_IN
        assert modules.state("8021q")[0] is State.ABSENT

    def test_a_module_is_written_with_either_dash(self, host):
        host.modules("nf-conntrack-bridge")
        assert Modules(host.tree).state("nf_conntrack_bridge")[0] is State.LOADABLE

    @pytest.mark.parametrize("packed", [False, True])
    def test_without_lists_the_configuration_tells(self, host, packed):
        host.config(packed=packed, TUN="y", VXLAN="m")
        modules = Modules(host.tree)
        assert modules.state("tun") == (State.BUILT_IN, "CONFIG_TUN=y")
        assert modules.state("vxlan")[0] is State.LOADABLE
        assert modules.state("8021q")[0] is State.ABSENT

    def test_nothing_to_read_is_no_answer(self, host):
        state, where = Modules(host.tree).state("tun")
        assert state.there is None
        assert "no list of modules" in where

    def test_what_is_not_asked_about_is_not_kept(self, host):
        host.modules(*(f"other{n}" for n in range(50)), "tun")
        host.config(OTHER="y")
        modules = Modules(host.tree)
        modules.state("tun")
        assert modules._files == frozenset({"tun"})
        assert modules._config == {}

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda host: host.file("proc/config.gz", b"no archive"),
            lambda host: host.file("proc/config.gz", b"\x1f\x8b\x08\x00trunc"),
            lambda host: host.file(f"boot/config-{RELEASE}", b"\xff\x00nonsense\n=\n"),
            lambda host: host.unreadable(f"lib/modules/{RELEASE}/modules.dep"),
            lambda host: host.unreadable("proc/config.gz"),
        ],
    )
    def test_nonsense_is_as_good_as_nothing(self, host, spoil):
        spoil(host)
        state, _ = Modules(host.tree).state("tun")
        assert state in (State.UNKNOWN, State.ABSENT)

    def test_lists_are_read_anew_for_another_kernel(self, host):
        host.modules("tun")
        modules = Modules(host.tree)
        assert modules.state("tun")[0] is State.LOADABLE
        host.file("proc/sys/kernel/osrelease", "7.0")
        assert modules.state("tun")[0] is State.UNKNOWN


class TestDevices:
    def test_the_kernel_itself_is_asked(self, machine):
        machine.lacks["vlan"] = "the kernel cannot make vlan devices (module 8021q)"
        found = machine.probe()
        assert found[names.BRIDGE].present is True
        assert found[names.VLAN].present is False
        assert "8021q" in found[names.VLAN].missing

    def test_a_question_that_would_load_a_module_is_not_asked(self, machine):
        machine.host.modules("8021q", "bridge", "vxlan")
        found = machine.probe()
        assert found[names.VLAN].present is True
        assert "not loaded" in found[names.VLAN].evidence
        assert found[names.VLAN_FILTERING].present is None
        assert machine.asked == []

    def test_who_may_not_ask_does_not_know(self, machine):
        machine.lacks["bridge"] = "no permission to make devices: the daemon needs CAP_NET_ADMIN"
        assert machine.probe()[names.BRIDGE].present is None

    def test_a_driver_that_fails_costs_its_own_answers_only(self, machine):
        def broken(kind):
            raise OSError(errno.ENOBUFS, "No buffer space available")

        machine.lacking = broken
        found = machine.probe()
        assert found[names.VXLAN].present is None
        assert "No buffer space" in found[names.VXLAN].evidence
        assert found[names.TUN].present is True

    def test_taps_and_their_queues(self, machine):
        found = machine.probe()
        assert (found[names.TUN].present, found[names.TUN_MULTIQUEUE].value) == (True, 256)
        machine.devices["/dev/net/tun"] = 0x7073
        assert machine.probe()[names.TUN_MULTIQUEUE].present is False

    def test_without_tun(self, machine):
        (machine.host.root / "dev/net/tun").unlink()
        found = machine.probe()
        assert (found[names.TUN].present, found[names.TUN_MULTIQUEUE].present) == (False, False)
        assert found[names.TUN].missing == "the module tun: modprobe tun"

    def test_tun_that_may_not_be_opened(self, machine):
        machine.devices["/dev/net/tun"] = PermissionError(errno.EPERM, "Operation not permitted")
        assert machine.probe()[names.TUN].present is None


class TestVirtualMachines:
    def test_kvm(self, machine):
        assert machine.probe()[names.KVM].present is True
        machine.devices["/dev/kvm"] = 11
        assert machine.probe()[names.KVM].present is False
        machine.devices["/dev/kvm"] = OSError(errno.ENODEV, "No such device")
        assert machine.probe()[names.KVM].present is False
        (machine.host.root / "dev/kvm").unlink()
        assert machine.probe()[names.KVM].evidence == "/dev/kvm does not exist"

    def test_kvm_that_this_daemon_may_not_open_is_judged_by_its_driver(self, machine):
        machine.devices["/dev/kvm"] = PermissionError(errno.EPERM, "Operation not permitted")
        assert machine.probe()[names.KVM].present is False
        machine.host.load("kvm_amd")
        assert machine.probe()[names.KVM].present is True

    def test_iommu(self, machine):
        assert machine.probe()[names.IOMMU].present is False
        machine.host.iommu_groups(3)
        assert (machine.probe()[names.IOMMU].present, machine.probe()[names.IOMMU].value) == (
            True, 3,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("kinds", "value"),
        [(["cgroup2"], 2), (["cgroup", "tmpfs"], 1), (["cgroup", "cgroup2"], "hybrid")],
    )
    def test_control_groups(self, machine, kinds, value):
        machine.host.mounts(*kinds)
        found = machine.probe()[names.CGROUP]
        assert (found.present, found.value) == (True, value)

    def test_control_groups_that_are_not_there_or_not_told(self, machine):
        assert machine.probe()[names.CGROUP].present is False
        machine.host.file("proc/self/mounts", b"\xff\xfe\n\n nonsense")
        assert machine.probe()[names.CGROUP].present is False
        machine.host.unreadable("proc/self/mounts")
        assert machine.probe()[names.CGROUP].present is None

    @pytest.mark.parametrize(("text", "present"), [("1", True), ("Y", True), ("N", False)])
    def test_memory_encryption(self, machine, text, present):
        machine.host.file("sys/module/kvm_amd/parameters/sev", text)
        found = machine.probe()
        assert found[names.SEV].present is present
        assert found[names.SEV_ES].present is False
        machine.host.file("sys/module/kvm_intel/parameters/tdx", text)
        assert machine.probe()[names.TDX].present is present

    def test_every_answer_has_evidence_and_what_lacks_says_how_to_get_it(self, machine):
        for capability in machine.probe().values():
            assert capability.evidence
            assert capability.present is not False or capability.missing
            assert (capability.source, capability.at) == ("kernel", 1.0)


class TestPacketFilter:
    def probe(self, host, lacking=lambda family: None):
        found = Findings("nftables", 1.0)
        PacketFilter(Modules(host.tree), lacking).probe(found)
        return found.capabilities

    def test_what_the_kernel_takes(self, host):
        host.load("nf_tables", "nf_conntrack_bridge")
        no = "the kernel refuses chains of family netdev: Operation not supported"
        found = self.probe(host, lambda family: no if family == "netdev" else None)
        assert found[names.NFT_BRIDGE].present is True
        assert found[names.NFT_NETDEV].present is False
        assert found[names.NFT_NETDEV].evidence == no
        assert found[names.NFT_BRIDGE_CT].present is True

    def test_it_is_not_asked_where_that_would_load_it(self, host):
        host.modules("nf_tables")

        def asked(family):
            raise AssertionError(family)

        found = self.probe(host, asked)
        assert found[names.NFT_BRIDGE].present is True
        assert found[names.NFT_BRIDGE_CT].present is False

    def test_who_may_not_ask_does_not_know(self, host):
        def refused(family):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        assert self.probe(host, refused)[names.NFT_INET].present is None
