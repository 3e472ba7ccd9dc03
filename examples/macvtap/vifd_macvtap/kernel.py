"""The driver: macvtap devices, which vifd's own drivers do not make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from vifd.errors import DeviceError


@dataclass(frozen=True)
class Macvtap:
    """A device as it shall be.

    :param parent: the network card
    """

    name: str
    parent: str
    mac: str
    mtu: int
    alias: str


class Macvtaps:
    """Makes macvtap devices; calls block."""

    def create(self, wanted: Macvtap) -> None:
        """Make a device, down and with its mark.

        :raises DeviceError: the card is gone, or the kernel refuses
        """
        try:
            with IPRoute() as netlink:
                self._create(netlink, wanted)
        except NetlinkError as error:
            facts = {"device": wanted.name, "problem": str(error)}
            raise DeviceError(facts=facts) from error

    def _create(self, netlink: Any, wanted: Macvtap) -> None:
        parent = netlink.link_lookup(ifname=wanted.parent)
        if not parent:
            raise DeviceError(facts={"device": wanted.parent, "problem": "it is gone"})
        netlink.link(
            "add", ifname=wanted.name, kind="macvtap", link=parent[0], macvtap_mode="bridge",
            address=wanted.mac, mtu=wanted.mtu,
        )  # fmt: skip
        (index,) = netlink.link_lookup(ifname=wanted.name)
        netlink.link("set", index=index, ifalias=wanted.alias)
