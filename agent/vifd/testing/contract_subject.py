"""What the plugin contract's tests are about: a plugin, a host, a journal, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from vifd.drivers import Drivers
from vifd.model import Attachment
from vifd.plugin import Host, NoSets, Sets, VifPlugin
from vifd.testing.attachments import attachment
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger
from vifd.testing.machines import residue


class Subject:
    """Subclass it, override :meth:`drivers` and :meth:`factory`, and what else differs."""

    #: Bridges whose ports and flows are counted.
    bridges: tuple[str, ...] = ("br-int",)
    #: The shared sets that its ports refer to.
    sets: Sets = NoSets()

    @pytest.fixture
    def drivers(self) -> Drivers:
        """The drivers of a host that the test may do with as it likes."""
        raise NotImplementedError

    def factory(self, host: Host) -> VifPlugin:
        """Make the plugin."""
        raise NotImplementedError

    def attachment(self, number: int) -> Attachment:
        """A document that the plugin serves; any number of them are on one network."""
        return attachment(number)

    def altered(self, wanted: Attachment) -> Attachment:
        """The same port with a difference that the plugin applies in place."""
        network = msgspec.structs.replace(wanted.network, mtu=wanted.network.mtu - 50)
        return msgspec.structs.replace(wanted, network=network)

    def residue(self, drivers: Drivers) -> set[str]:
        """Everything on the host that bears the mark of a port."""
        return residue(drivers, self.bridges)

    @pytest.fixture
    def injector(self, drivers: Drivers) -> Injector:
        """The drivers, with a place for faults."""
        return Injector(drivers)

    @pytest.fixture
    def ledger(self, injector: Injector) -> Iterator[Ledger]:
        """A journal with the plugin, on a host that once had a port: what a plugin makes for all
        ports is there. In the end every port is removed again."""
        ledger = Ledger(injector.drivers, self.factory, sets=self.sets)
        ledger.plugin.probe()
        assert not ledger.plug(self.attachment(99))
        assert not ledger.unplug()
        yield ledger
        injector.arm()
        if ledger.records:
            assert not ledger.restart().unplug()
        assert self.residue(injector.drivers) == set()

    @pytest.fixture
    def count(self, drivers: Drivers, ledger: Ledger) -> Callable[[], set[str]]:
        """Counts what is on the host; nothing is at the start of a test."""
        assert self.residue(drivers) == set()
        return lambda: self.residue(drivers)
