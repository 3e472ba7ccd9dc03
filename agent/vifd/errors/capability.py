"""What the guest, by flavor and image, or the host lacks for a kind of port."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, VifError


class CapabilityError(VifError):
    """Base of what the guest, by its flavor and image, lacks for a kind of port."""

    code = "E_CAP_GUEST"
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
    template = "a vhost-user port needs guest memory that is shared with the switch: {problem}"
    remediation = (
        "set hw:mem_page_size to large in the flavor, or back all guests of the host by files "
        "and say so with file_backed_memory"
    )


class MemoryEncrypted(CapabilityError):
    """The switch reads the guest's memory, which the flavor or image wants encrypted."""

    code = "E_CAP_MEM_ENCRYPTION"
    template = "{property} asks for encrypted guest memory, which the switch could not read"
    remediation = "drop the property, or use a port that is not vhost-user"


class VifModelUnsupported(CapabilityError):
    """The image asks for a device model that this kind of port cannot have."""

    code = "E_CAP_VIF_MODEL"
    template = "hw_vif_model {wanted!r} cannot be used here (have {have})"
    remediation = "set hw_vif_model of the image to a model under facts.have, or leave it out"


class MultiqueueUnsupported(CapabilityError):
    """Several queues are asked for, and this host gives a device one."""

    code = "E_CAP_MULTIQUEUE"
    reschedulable = True
    owner: ClassVar[Owner] = "operator"
    template = "{wanted} queues are asked for, this host gives a device at most {have}"
    remediation = "raise max_queues in agent.conf, or do not ask for several queues"
