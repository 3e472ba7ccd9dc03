"""What the contract suite must know of the plugin: a card, and a fake of the driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vifd.drivers import Drivers
from vifd.errors import DeviceError
from vifd.plugin import Host, VifPlugin
from vifd.testing.hosts import foreign_device
from vifd.testing.links import FakeLinks
from vifd.testing.profile import Profile as Base
from vifd_macvtap.kernel import Macvtap, Macvtaps
from vifd_macvtap.plugin import MacvtapPlugin

CARD = "card0"


class FakeMacvtaps(Macvtaps):
    """Puts the devices among those of the fake host."""

    def __init__(self, links: FakeLinks) -> None:
        self._links = links

    def create(self, wanted: Macvtap) -> None:
        if self._links.peek(wanted.parent) is None:
            raise DeviceError(facts={"device": wanted.parent, "problem": "it is gone"})
        self._links.place(
            wanted.name, kind="macvtap", alias=wanted.alias, mac=wanted.mac, mtu=wanted.mtu,
            up=False,
        )  # fmt: skip


class Profile(Base):
    """A mapped card; a kill is tried around the driver's own call as well."""

    options = {"interface_mappings": f"physnet1:{CARD}"}  # noqa: RUF012 - copied by the base
    effects = ("vifd_macvtap.kernel:Macvtaps.create",)

    _fake: FakeLinks | None = None

    @contextlib.contextmanager
    def prepared(self, drivers: Drivers) -> Iterator[None]:
        self._fake = drivers.links if isinstance(drivers.links, FakeLinks) else None
        with foreign_device(drivers, CARD, "02:00:00:00:00:01", mtu=1500):
            yield

    def plugin(self, host: Host) -> VifPlugin:
        made = super().plugin(host)
        if isinstance(made, MacvtapPlugin) and self._fake is not None:
            made.kernel = FakeMacvtaps(self._fake)
        return made
