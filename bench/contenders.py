"""Who competes, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import contend_nova
from contend import Contender
from contend_floor import Floor
from contend_osvif import OsVif
from contend_vifd import Daemon
from vifd.testing.sandbox import PrivateOvs

CONTENDERS: dict[str, Callable[[Path, PrivateOvs], Contender | contend_nova.Nova]] = {
    "vifd": Daemon,
    "floor": Floor,
    "os-vif": OsVif,
    "nova-vifd": contend_nova.Vifd,
    "nova-stock": contend_nova.Stock,
    "nova-prewired": contend_nova.Prewired,
}
