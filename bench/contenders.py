"""Who competes, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contend import Contender
from contend_floor import Floor
from contend_osvif import OsVif
from contend_vifd import Daemon
from vifd.testing.sandbox import PrivateOvs

CONTENDERS: dict[str, Callable[[Path, PrivateOvs], Contender]] = {
    "vifd": Daemon,
    "floor": Floor,
    "os-vif": OsVif,
}
