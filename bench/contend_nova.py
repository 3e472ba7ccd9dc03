"""nova's own code for VIFs as a contender: through vifd-nova and vifd, and through stock os-vif
with its privileged daemon."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil

from support import nova
from support.nova import Compute
from unit.docs import document, port_id
from vifd.drivers.ovsdb import Ovsdb
from vifd.testing import daemon
from vifd.testing.sandbox import PrivateOvs


class Nova:
    """A process of nova beside a switch; all its ports are on one network. Times are in seconds.

    :ivar more: what its VIFs have besides
    """

    more: ClassVar[dict[str, Any]] = {}

    def __init__(self, conf: Path) -> None:
        self.compute = Compute(conf)
        self.present: set[int] = set()

    def bind(self, number: int) -> None:
        """What the network service does before nova plugs."""

    def forget(self, number: int) -> None:
        """What it does when the port is deleted."""

    def plug(self, number: int) -> list[float]:
        """Bind and plug a port: when the switch had it, and when nova's plug returned."""
        self.bind(number)
        start = time.perf_counter()
        took = self.again(number)
        self.arrived(number)
        return [max(took, time.perf_counter() - start), took]

    def arrived(self, number: int) -> None:
        """Wait until the switch has a port that was plugged."""

    def again(self, number: int) -> float:
        """Plug a port once more; when nova's plug returned."""
        self.present.add(number)
        return self._timed("plug", number)

    def unplug(self, number: int) -> float:
        """Unplug a port, and delete it."""
        took = self._timed("unplug", number)
        self.present.discard(number)
        self.forget(number)
        return took

    def fill(self, numbers: Sequence[int]) -> None:
        """Have ports present."""
        for number in numbers:
            self.plug(number)

    def clear(self, numbers: Sequence[int]) -> None:
        """Have ports gone."""
        for number in numbers:
            self.unplug(number)

    def _timed(self, what: str, number: int) -> float:
        answer = self.compute.ask(what, number, **self.more)
        if "error" in answer:
            raise RuntimeError(answer["text"])
        return float(answer["seconds"])

    def memory(self) -> float:
        """MiB of nova's process, and of the privileged one that it started and that left it."""
        own = str(self.compute.log.with_suffix(".conf"))
        every = [psutil.Process(self.compute.pid)]
        every += [p for p in psutil.process_iter() if _is_helper(p, own)]
        return float(sum(p.memory_full_info().pss for p in every)) / 2**20

    def processes(self) -> list[int]:
        """What works for it, the switch included."""
        return [self.compute.pid]

    def close(self) -> None:
        """End it."""
        self.compute.close()


def _is_helper(process: psutil.Process, conf: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return any("privsep-helper" in word for word in words) and conf in words


def _make_bridge(ovs: PrivateOvs) -> None:
    """Who sets a host up makes its bridge, and nobody's first plug."""
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")


class Vifd(Nova):
    """Through vifd."""

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        self._ovs = ovs
        _make_bridge(ovs)
        self.daemon = daemon.Vifd(directory / "v", ovs)
        self.daemon.start()
        self.daemon.ready()
        super().__init__(nova.config(directory, self.daemon.socket))

    def bind(self, number: int) -> None:
        body = {k: v for k, v in document(number).items() if k != "instance"}
        self.daemon.call("PUT", f"/v1/ports/{port_id(number)}/network", body)

    def forget(self, number: int) -> None:
        self.daemon.call("DELETE", f"/v1/ports/{port_id(number)}/network?wait=gone&timeout=60")

    def processes(self) -> list[int]:
        pid = self.daemon.process.pid
        return [*self._ovs.pids, *super().processes(), *([pid] if pid else [])]

    def close(self) -> None:
        super().close()
        self.daemon.close()


class Prewired(Vifd):
    """Through vifd, which has made the port ready and closed when the network service bound it to
    the host, as it does with ``prewire``: before nova has fetched the image, in a cloud."""

    def bind(self, number: int) -> None:
        body = {k: v for k, v in document(number).items() if k != "instance"}
        path = f"/v1/ports/{port_id(number)}/network?prewire=closed&wait=active&timeout=60"
        self.daemon.call("PUT", path, body)


class Stock(Nova):
    """Through os-vif's own plugin: no flow, and nothing is proven."""

    more: ClassVar[dict[str, Any]] = nova.STOCK

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        self._ovs = ovs
        _make_bridge(ovs)
        super().__init__(nova.stock(directory, ovs))
        self._ovsdb = Ovsdb(ovs.db)

    def arrived(self, number: int) -> None:
        name = f"tap{port_id(number)[:11]}"
        while (row := self._ovsdb.port(name)) is None or (row.ofport or 0) <= 0:
            time.sleep(0.0005)

    def processes(self) -> list[int]:
        return [*self._ovs.pids, *super().processes()]

    def close(self) -> None:
        super().close()
        self._ovsdb.close()
