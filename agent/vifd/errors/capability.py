"""What the guest, by flavor and image, or the host lacks for a kind of port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class CapabilityError(VifError):
    """Base of what the guest, by its flavor and image, lacks for a kind of port."""

    code = "E_CAP_GUEST"
    reached = "raised by plugins outside the tree, where no code below it fits"
    klass = "capability"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "the guest cannot use this port: {problem}"
    remediation = "change the named property of the flavor or image"


class SharedMemoryMissing(CapabilityError):
    """The switch reads the guest's memory, and the flavor does not have it shared."""

    code = "E_CAP_SHARED_MEMORY"
    reached = "a vhost-user port whose flavor sets no hw:mem_page_size"
    template = "a vhost-user port needs guest memory that is shared with the switch: {problem}"
    remediation = (
        "set hw:mem_page_size to large in the flavor, or back all guests of the host by files "
        "and say so with file_backed_memory"
    )


class MemoryEncrypted(CapabilityError):
    """The switch reads the guest's memory, which the flavor or image wants encrypted."""

    code = "E_CAP_MEM_ENCRYPTION"
    reached = "a vhost-user port whose flavor sets hw:mem_encryption"
    template = "{property} asks for encrypted guest memory, which the switch could not read"
    remediation = "drop the property, or use a port that is not vhost-user"


class VifModelUnsupported(CapabilityError):
    """The image asks for a device model that this kind of port cannot have."""

    code = "E_CAP_VIF_MODEL"
    reached = "hw_vif_model names a model that this kind of port or QEMU does not have"
    template = "hw_vif_model {wanted!r} cannot be used here (have {have})"
    remediation = "set hw_vif_model of the image to a model under facts.have, or leave it out"


class MultiqueueUnsupported(CapabilityError):
    """Several queues are asked for, and this host gives a device one."""

    code = "E_CAP_MULTIQUEUE"
    reached = "hw:vif_multiqueue_enabled with more vCPUs than queues are given"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "{wanted} queues are asked for, this host gives a device at most {have}"
    remediation = "raise max_queues in agent.conf, or do not ask for several queues"


class PackedRingUnsupported(CapabilityError):
    """Packed virtqueues are asked for, and the host, model or switch has none."""

    code = "E_CAP_PACKED"
    reached = "hw:virtio_packed_ring with a model or QEMU that has none"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "{property} asks for packed virtqueues: {problem}"
    remediation = "drop the property, or use a host whose QEMU and switch have packed virtqueues"


class NumaMismatch(CapabilityError):
    """The port's device or its switch is on another NUMA node than the guest must be on."""

    code = "E_CAP_NUMA"
    reached = "a strict NUMA policy and a switch without a poll thread on the guest's nodes"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "the guest is on NUMA node(s) {wanted}, the port is served on {have}"
    remediation = "relax the NUMA affinity policy, or give the switch a poll thread on that node"


class ViommuUnsupported(CapabilityError):
    """A virtual IOMMU is asked for that the host or the kind of port cannot work with."""

    code = "E_CAP_VIOMMU"
    reached = "hw:viommu_model with a port or machine type that cannot have it"
    reschedulable = True
    template = "virtual IOMMU {wanted!r} cannot be used with this port: {problem}"
    remediation = "drop the property, or choose a model under facts.have"


class MachineTypeUnsupported(CapabilityError):
    """The machine type lacks what the port's device needs, or QEMU lacks the machine type."""

    code = "E_CAP_MACHINE_TYPE"
    reached = "hw_machine_type names a type that lacks what the device needs"
    reschedulable = True
    template = "machine type {wanted!r} cannot be used with this port: {problem}"
    remediation = "set hw_machine_type of the image to a type under facts.have, or leave it out"


class TraitMissing(CapabilityError):
    """A trait that is required of the host is not there."""

    code = "E_CAP_TRAIT"
    reached = "required.traits, or trait:… = required in the flavor, names what the host lacks"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "the host lacks the required trait {wanted}: {problem}"
    remediation = "vifctl host show names what lacks and how to get it"


class FlavorImageConflict(CapabilityError):
    """Flavor and image contradict each other."""

    code = "E_CAP_FLAVOR_IMAGE_CONFLICT"
    reached = "the same property with different values in flavor and image"
    http = 400
    template = (
        "flavor {flavor_property}={flavor_value!r} contradicts image "
        "{image_property}={image_value!r}"
    )
    remediation = "set the property in one of the two, or to the same value in both"
