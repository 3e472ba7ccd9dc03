"""Who competes, by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from vifd.testing.sandbox import PrivateOvs

#: Module and class; what a run does not need is not imported, nor need it be there.
CONTENDERS = {
    "vifd": ("contend_vifd", "Daemon"),
    "profiled": ("way", "Profiled"),
    "floor": ("contend_floor", "Floor"),
    "os-vif": ("contend_osvif", "OsVif"),
    "nova-vifd": ("contend_nova", "Vifd"),
    "nova-stock": ("contend_nova", "Stock"),
    "nova-prewired": ("contend_nova", "Prewired"),
}


def contender(name: str, directory: Path, ovs: PrivateOvs) -> Any:
    """Start one."""
    module, made = CONTENDERS[name]
    return getattr(import_module(module), made)(directory, ovs)
