"""Classic plugins have a helper process of root do what needs privileges, one per plugin.

The daemon has the privileges already (CAP_NET_ADMIN), so their calls are made right here: no sudo,
no second process, and no way around the lane's deadline.
"""

from __future__ import annotations

import sys
import threading

_lock = threading.Lock()
_seen = 0


def take() -> None:
    """Switch every privilege context that was loaded to calls in this process.

    Cheap to repeat: it looks again only once more modules were loaded.
    """
    from oslo_privsep.priv_context import PrivContext

    global _seen
    with _lock:
        modules = list(sys.modules.values())
        if len(modules) == _seen:
            return
        for module in modules:
            for value in list(getattr(module, "__dict__", {}).values()):
                if isinstance(value, PrivContext):
                    value.set_client_mode(False)
        _seen = len(modules)
