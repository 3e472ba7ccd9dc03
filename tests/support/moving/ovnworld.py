"""Two hosts that one OVN wires, and a third chassis that talks to the guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import ovn
from support.moving.world import MovingHost, Third, World
from unit.docs import document, port_id

#: The port of the third place.
CALLER = 9


def logical(number: int) -> tuple[str, str, str]:
    """A logical port: id, MAC address, IP address."""
    known = document(number)
    mac, address = known["port"]["mac_address"], known["fixed_ips"][0]["ip_address"]
    return port_id(number), mac, address


class OvnWorld(World):
    """All of it.

    :param options: of the hosts' vifd, by the number of the host
    """

    def __init__(self, disk: Path, options: Callable[[int], dict[str, Any]]) -> None:
        super().__init__(
            disk, "ovn", lambda number: {"plugins": {"enabled_plugins": "ovn"}, **options(number)}
        )
        self.central = ovn.Central(disk / "c")
        self.callback(self.central.close)
        for host in self.hosts:
            host.prepare = lambda host=host: self._chassis(host)  # type: ignore[misc]

    def up(self) -> None:
        self.central.start()
        self.central.switch("net1", logical(1), logical(CALLER))
        super().up()

    def _chassis(self, host: MovingHost) -> None:
        made = ovn.Chassis(host.ovs, self.central.remote, f"host{host.number}", host.address)
        self.callback(made.close)
        host.vifd.configure(made.options())
        made.start()

    def join(self, third: Third) -> None:
        third.underlay()
        made = ovn.Chassis(third.ovs, self.central.remote, "third", third.address)
        self.callback(made.close)
        made.start()
        port, mac, _ = logical(CALLER)
        third.ovs.vsctl("add-port", "br-int", "peer0", "--", "set", "Interface", "peer0",
                        "type=internal", f"external_ids:iface-id={port}")  # fmt: skip
        third.space.command(["ip", "link", "set", "peer0", "address", mac])

    # --- what Neutron does ---

    def wanted_on_both(self) -> None:
        """The port has a binding on the second host as well, which OVN is to hold closed until the
        guest speaks there."""
        self._options_of("requested-chassis=host1,host2", "activation-strategy=rarp")

    def wanted_there(self) -> None:
        """The second host's binding is the active one, and there is no other."""
        self._options_of("requested-chassis=host2")

    def _options_of(self, *options: str) -> None:
        self.central.nbctl("lsp-set-options", port_id(1), *options)
