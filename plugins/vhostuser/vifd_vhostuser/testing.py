"""What the contract suite must know of the vhost-user plugin."""

from __future__ import annotations

import tempfile

from vifd.drivers import Drivers
from vifd.plugin import VifPlugin
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.ovsdb import FakeOvsdb
from vifd.testing.profile import Profile as Base
from vifd.testing.tracer import FakeTracer


class Profile(Base):
    """On fakes the switch gets DPDK; a real one must have it. All guests have shared memory."""

    def __init__(self, cls: type[VifPlugin]) -> None:
        super().__init__(cls)
        self._directory = tempfile.TemporaryDirectory(prefix="vhu-")
        self.options = {"socket_dir": self._directory.name, "file_backed_memory": True}

    def close(self) -> None:
        """Remove the directory of the sockets."""
        self._directory.cleanup()

    def prepare(self, drivers: Drivers) -> None:
        if isinstance(drivers.ovsdb, FakeOvsdb) and isinstance(drivers.tracer, FakeTracer):
            FakeDpdk(drivers.ovsdb, drivers.tracer)
