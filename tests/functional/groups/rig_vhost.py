"""A host with vhost-user ports in security groups, on a real Open vSwitch with DPDK; their guests
drive the rings themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from contract import vhostuser as make
from functional.groups.rig import RealRig
from support.vhostguest import VhostGuest
from vifd.plugin import Host, VifPlugin
from vifd.testing.guests import Guest
from vifd.testing.sandbox import PrivateOvs


class VhostRig(RealRig):
    """See :class:`RealRig`."""

    def __init__(self, ovs: PrivateOvs, wire: Guest | None, **options: Any) -> None:
        # short: a socket's path has at most 107 bytes
        self._sockets = tempfile.TemporaryDirectory(prefix="vhu-")
        super().__init__(ovs, wire, **options)

    def close(self) -> None:
        super().close()
        self._sockets.cleanup()

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        self._sockets.cleanup()

    def _plugin(self, host: Host, options: dict[str, Any]) -> VifPlugin:
        return make.plugin(host, Path(self._sockets.name), **options)

    def _guest(self, port_id: str) -> Guest:
        names = self.ledger.records[port_id].names
        guest = self.scene.enter_context(VhostGuest(str(names.details["socket"])))
        self.scene.ovs.wait_for_carrier(names.device)
        return guest
