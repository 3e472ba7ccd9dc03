"""The names of capabilities: traits of os-traits where its catalogue has one, else ``CUSTOM_*``.

What a value means stands beside the name. A name that is made from a word of the host (a physical
network, a machine type) goes through :func:`custom`, which is the catalogue's own normalisation, so
that two words that differ in case or punctuation alone share a name.
"""

from __future__ import annotations

import re

#: What Placement takes as the name of a trait.
TRAIT = re.compile(r"[A-Z0-9_]{1,255}")
_ODD = re.compile(r"[^0-9A-Za-z]+")


def custom(*words: str) -> str:
    """A ``CUSTOM_*`` trait of these words, as os-traits normalises it."""
    return "CUSTOM_" + _ODD.sub("_", "_".join(words)).upper()


# --- kernel ---------------------------------------------------------------------------------------

KERNEL = custom("kernel")  #: value: the release
BRIDGE = custom("kernel_bridge")
VLAN = custom("kernel_vlan")  #: devices of 802.1Q
VLAN_FILTERING = custom("kernel_vlan_filtering")  #: bridges that are VLAN-aware
VXLAN = custom("kernel_vxlan")
TUN = custom("kernel_tun")  #: tap devices can be made
TUN_MULTIQUEUE = custom("kernel_tun_multiqueue")  #: value: the most queues of one tap
MACVTAP = custom("kernel_macvtap")
NFT_BRIDGE = custom("nft_bridge")  #: what filters on bridges need is taken by the kernel
NFT_BRIDGE_CT = custom("nft_bridge_ct")  #: connections can be tracked there
NFT_INET = custom("nft_inet")
NFT_NETDEV = custom("nft_netdev")
CGROUP = custom("cgroup")  #: value: 1 or 2; ``hybrid`` where both are mounted
VHOST_NET = custom("vhost_net")
VHOST_VSOCK = custom("vhost_vsock")
VHOST_VDPA = custom("vhost_vdpa")
VFIO = custom("vfio_pci")
IOMMU = custom("iommu")  #: value: the number of its groups
KVM = custom("kvm")  #: the host's part is there; whether guests run shows on the first one
NUMA = custom("numa")  #: value: by node number the CPUs, e.g. ``{"0": "0-7"}``
HUGEPAGES = custom("hugepages")  #: large pages of any size are set aside
ARCH = {
    "x86_64": "HW_ARCH_X86_64",
    "aarch64": "HW_ARCH_AARCH64",
    "ppc64le": "HW_ARCH_PPC64LE",
    "s390x": "HW_ARCH_S390X",
}
SEV = "HW_CPU_X86_AMD_SEV"
SEV_ES = "HW_CPU_X86_AMD_SEV_ES"
SEV_SNP = "HW_CPU_X86_AMD_SEV_SNP"
TDX = "HW_CPU_X86_INTEL_TDX"


def hugepages(kib: int) -> str:
    """Large pages of a size, e.g. ``CUSTOM_HUGEPAGES_2MB``.

    Value: by node number what there is, ``{"0": {"total": 512, "free": 500}}``. Present where at
    least one page is set aside.
    """
    for unit, size in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kib >= size and kib % size == 0:
            return custom("hugepages", f"{kib // size}{unit}")
    return custom("hugepages", f"{kib}KB")


# --- Open vSwitch ---------------------------------------------------------------------------------

OVS = custom("ovs")  #: its database answers; value: its version
OVS_DPDK = custom("ovs_dpdk")  #: DPDK is initialised; value: its version
OVS_METERS = custom("ovs_meters")  #: value: how many
OVS_CONNTRACK = custom("ovs_conntrack")


def ovs_datapath(kind: str) -> str:
    """A datapath type that the switch has: ``system`` or ``netdev``."""
    return custom("ovs_datapath", kind)


def ovs_interface(kind: str) -> str:
    """An interface type that the switch has, e.g. ``dpdkvhostuserclient``."""
    return custom("ovs_iface", kind)


# --- networks -------------------------------------------------------------------------------------


def physnet(name: str) -> str:
    """A physical network that is mapped here; the name that neutron gives it.

    Value: by plugin ``{"device", "up", "mtu"}``. Present where one plugin's way out is not down.
    """
    return custom("physnet", name)


def tunnel(kind: str) -> str:
    """A tunnel type with an endpoint here, e.g. ``vxlan``.

    Value: by plugin ``{"device", "up", "mtu", "local_ip"}``.
    """
    return custom("tunnel", kind)


def vnic_type(kind: str) -> str:
    """A vnic type that a usable plugin serves; the name that neutron gives it. Value: which."""
    return custom("vnic_type", kind)


# --- QEMU and libvirt -----------------------------------------------------------------------------

QEMU = custom("qemu")  #: value: its version
LIBVIRT = custom("libvirt")  #: value: its version
MAX_QUEUES = custom("max_queues")  #: value: queue pairs that one interface of a guest may have
VIRTIO_PACKED = "COMPUTE_NET_VIRTIO_PACKED"
VHOST_USER = custom("qemu_vhost_user")  #: QEMU connects interfaces by vhost-user
VDPA = custom("qemu_vdpa")  #: QEMU connects interfaces by vDPA
MEMFD = custom("qemu_memfd")  #: QEMU can back guests by memory that it shares
FILE_BACKED_MEMORY = "COMPUTE_MEM_BACKING_FILE"  #: the hypervisor backs every guest by files
ATTACH_INTERFACE = "COMPUTE_NET_ATTACH_INTERFACE"
REMOTE_MANAGED = "COMPUTE_REMOTE_MANAGED_PORTS"

#: By the words of ``hw_vif_model``.
VIF_MODELS = {
    "virtio": "COMPUTE_NET_VIF_MODEL_VIRTIO",
    "e1000": "COMPUTE_NET_VIF_MODEL_E1000",
    "e1000e": "COMPUTE_NET_VIF_MODEL_E1000E",
    "igb": "COMPUTE_NET_VIF_MODEL_IGB",
    "rtl8139": "COMPUTE_NET_VIF_MODEL_RTL8139",
    "ne2k_pci": "COMPUTE_NET_VIF_MODEL_NE2K_PCI",
    "pcnet": "COMPUTE_NET_VIF_MODEL_PCNET",
    "vmxnet3": "COMPUTE_NET_VIF_MODEL_VMXNET3",
    "spapr-vlan": "COMPUTE_NET_VIF_MODEL_SPAPR_VLAN",
    "lan9118": "COMPUTE_NET_VIF_MODEL_LAN9118",
    "netfront": "COMPUTE_NET_VIF_MODEL_NETFRONT",
    "vmxnet": "COMPUTE_NET_VIF_MODEL_VMXNET",
    "sriov": "COMPUTE_NET_VIF_MODEL_SRIOV",
}

#: By the words of ``hw:viommu_model``; ``auto`` is any of them.
VIOMMU_MODELS = {
    "intel": "COMPUTE_VIOMMU_MODEL_INTEL",
    "smmuv3": "COMPUTE_VIOMMU_MODEL_SMMUV3",
    "virtio": "COMPUTE_VIOMMU_MODEL_VIRTIO",
    "auto": "COMPUTE_VIOMMU_MODEL_AUTO",
}


def vif_model(word: str) -> str:
    """A device model, by the word of ``hw_vif_model``."""
    return VIF_MODELS.get(word.lower()) or custom("vif_model", word)


def viommu_model(word: str) -> str:
    """A virtual IOMMU, by the word of ``hw:viommu_model``."""
    return VIOMMU_MODELS.get(word.lower()) or custom("viommu_model", word)


def virt_type(word: str) -> str:
    """How guests are run: ``kvm`` or ``qemu`` (without hardware support)."""
    return custom("virt_type", word)


def machine_type(word: str) -> str:
    """A machine type by any of its names: ``q35`` as well as ``pc-q35-7.2``."""
    return custom("machine_type", word)


# --- network interfaces ---------------------------------------------------------------------------
# Value of each: the interfaces that have it, ``{"eth1": {...}}``.

SRIOV = "HW_NIC_SRIOV"
SWITCHDEV = "HW_NIC_OFFLOAD_SWITCHDEV"
NIC_MULTIQUEUE = "HW_NIC_MULTIQUEUE"
VF_TRUST = "HW_NIC_SRIOV_TRUSTED"

# --- prefixes -------------------------------------------------------------------------------------
# Of these the inventory knows all where it knows any: a name below one that is not there is absent.

PHYSNET_PREFIX = "CUSTOM_PHYSNET_"
TUNNEL_PREFIX = "CUSTOM_TUNNEL_"
VNIC_TYPE_PREFIX = "CUSTOM_VNIC_TYPE_"
HUGEPAGES_PREFIX = "CUSTOM_HUGEPAGES_"
OVS_DATAPATH_PREFIX = "CUSTOM_OVS_DATAPATH_"
OVS_INTERFACE_PREFIX = "CUSTOM_OVS_IFACE_"
VIF_MODEL_PREFIX = "COMPUTE_NET_VIF_MODEL_"
CUSTOM_VIF_MODEL_PREFIX = "CUSTOM_VIF_MODEL_"
VIOMMU_MODEL_PREFIX = "COMPUTE_VIOMMU_MODEL_"
VIRT_TYPE_PREFIX = "CUSTOM_VIRT_TYPE_"
MACHINE_TYPE_PREFIX = "CUSTOM_MACHINE_TYPE_"
