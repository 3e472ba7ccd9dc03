"""os-vif as a contender."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import floor
import scene
from contend_floor import Plan
from vifd.testing.sandbox import PrivateOvs


class OsVif:
    """os-vif's plugin ``ovs`` in this process, with its privileged part in it as well: no flows and
    nothing read back. Its call returns before the switch has the device: so both are timed."""

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        import os_vif
        from os_vif import objects
        from oslo_config import cfg
        from vif_plug_ovs import privsep

        logging.disable(logging.INFO)
        os_vif.initialize()
        cfg.CONF([], project="os-vif", default_config_files=[])
        cfg.CONF.set_override("ovsdb_connection", ovs.db, group="os_vif_ovs")
        privsep.vif_plug.set_client_mode(False)
        # The plugin reads its options when it is loaded.
        os_vif.initialize(reset=True)
        ovs.vsctl(
            "add-br", scene.BRIDGE, "--", "set", "Bridge", scene.BRIDGE, "datapath_type=netdev"
        )
        self.present: set[int] = set()
        self._ovs = ovs
        self._os_vif = os_vif
        self._objects = objects

    def _vif(self, number: int) -> tuple[Any, Any]:
        objects = self._objects
        network = objects.network.Network(
            id=scene.network_id(number), bridge=scene.BRIDGE, mtu=scene.MTU
        )
        profile = objects.vif.VIFPortProfileOpenVSwitch(
            interface_id=scene.port_id(number), datapath_type="netdev", create_port=True,
            create_tap=True,
        )  # fmt: skip
        vif = objects.vif.VIFOpenVSwitch(
            id=scene.port_id(number), address=scene.mac(number), network=network, plugin="ovs",
            vif_name=scene.device(number), port_profile=profile,
        )  # fmt: skip
        info = objects.instance_info.InstanceInfo(
            uuid=scene.instance_id(number), name=f"instance-{number:08x}"
        )
        return vif, info

    def one(self, number: int) -> list[float]:
        return self._plug([number])

    def batch(self, numbers: Sequence[int]) -> list[float]:
        """One after the other: os-vif knows no batches."""
        return self._plug(numbers)

    def _plug(self, numbers: Sequence[int]) -> list[float]:
        """Seconds until the ports are on the switch, and until the last call returned."""
        vifs = [self._vif(n) for n in numbers]
        database = floor.Database(self._ovs.socket)
        start = time.perf_counter()
        for vif, info in vifs:
            self._os_vif.plug(vif, info)
        returned = time.perf_counter() - start
        database.wait_numbered(scene.device(n) for n in numbers)
        there = time.perf_counter() - start
        database.close()
        self.present.update(numbers)
        return [there, returned]

    def callers(self, numbers: Sequence[int]) -> list[float]:
        raise NotImplementedError("os-vif has no server to call")

    def fill(self, numbers: Sequence[int]) -> None:
        """By hand: the same rows and devices."""
        plan = Plan(numbers, self.present)
        netlink, database = floor.netlink_socket(), floor.Database(self._ovs.socket)
        for device in plan.devices:
            device.make(netlink)
        database.send(plan.transaction)
        database.answer()
        database.wait(plan.ofports)
        netlink.close()
        database.close()
        self.present.update(numbers)

    def clear(self, numbers: Sequence[int]) -> None:
        """By hand."""
        names = [scene.device(n) for n in numbers]
        words = [word for name in names for word in ("--", "del-port", scene.BRIDGE, name)]
        self._ovs.vsctl("--no-wait", *words)
        netlink = floor.netlink_socket()
        floor.remove_devices(netlink, names)
        netlink.close()
        self.present.difference_update(numbers)

    def unplug(self, numbers: Sequence[int]) -> float:
        took = 0.0
        for number in numbers:
            vif, info = self._vif(number)
            start = time.perf_counter()
            self._os_vif.unplug(vif, info)
            took += time.perf_counter() - start
            self.present.discard(number)
        return took

    def processes(self) -> list[int]:
        return [*self._ovs.pids, os.getpid()]

    def close(self) -> None:
        """Nothing runs."""
