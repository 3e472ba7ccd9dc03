"""A host with an Open vSwitch that is built with DPDK, and vhost-user ports whose guests drive the
rings themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from contract import vhostuser as make
from functional.scene import Scene
from support.vhostguest import VhostGuest
from vifd.plugin import Host, VifPlugin
from vifd.testing.guests import Guest
from vifd.testing.sandbox import PrivateOvs


class VhostScene(Scene):
    """See :class:`Scene`."""

    def __init__(self, ovs: PrivateOvs, **options: Any) -> None:
        # short: a socket's path has at most 107 bytes
        self._sockets = tempfile.TemporaryDirectory(prefix="vhu-")
        super().__init__(ovs, **options)

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        self._sockets.cleanup()

    def _plugin(self, host: Host, options: dict[str, Any]) -> VifPlugin:
        return make.plugin(host, Path(self._sockets.name), **options)

    def guest(  # type: ignore[override]
        self, port_id: str, *, multi_queue: bool = False
    ) -> Guest:
        """Switch the guest on, and wait until the switch has seen its carrier."""
        assert not multi_queue
        names = self.ledger.records[port_id].names
        guest = self.enter_context(VhostGuest(str(names.details["socket"])))
        self.ovs.wait_for_carrier(names.device)
        return guest
