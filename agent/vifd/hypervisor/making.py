"""Which hypervisor this host has, by its options."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from vifd.hypervisor import Control, NoHypervisor

LOG = logging.getLogger(__name__)


def make(options: Any, notes: Any = None) -> Control:
    """The hypervisor of this host; nothing is connected or even imported yet.

    :param options: the group ``[libvirt]``
    :param notes: the journal's notes, see :class:`vifd.hypervisor.libvirt.Notes`
    """
    if options.enabled == "false":
        return NoHypervisor("switched off by [libvirt] enabled")
    if importlib.util.find_spec("libvirt") is None:
        problem = "the Python module libvirt is not installed"
        if options.enabled == "true":
            LOG.warning("[libvirt] enabled is true, but %s (extra 'libvirt' of vifd)", problem)
        return NoHypervisor(problem)
    from vifd.hypervisor.libvirt import LibvirtHypervisor

    return LibvirtHypervisor(options.uri, notes=notes)
