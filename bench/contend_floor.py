"""The floor as a contender: what :mod:`floor` can do, packed before the clock starts."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import floor
import scene
from contend import Batches, race
from vifd.openflow.message import EXACT
from vifd.testing.sandbox import PrivateOvs
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.bridges import PROTOCOLS


class Plan:
    """Some ports, packed: everything but the work."""

    def __init__(self, numbers: Sequence[int], present: Collection[int]) -> None:
        everyone = {*present, *numbers}
        networks = scene.networks(numbers)
        shared = {n: scene.network_flows(n, everyone) for n in networks}
        own = {n: scene.port_flows(n) for n in numbers}
        self.bundle = floor.bundle(
            [f for flows in (*own.values(), *shared.values()) for f in flows]
        )
        self.devices = [
            floor.Device(scene.device(n), scene.mac(n), scene.MTU, marks.alias(scene.port_id(n)))
            for n in numbers
        ]
        self.ofports = {scene.device(n): scene.wiring(n).ofport for n in numbers}
        self.transaction = floor.add_ports(
            scene.BRIDGE,
            [(scene.device(n), scene.wiring(n).ofport, scene.wiring(n).tag, scene.external_ids(n))
             for n in numbers],
        )  # fmt: skip
        cookies_ = [scene.cookie(n) for n in numbers]
        cookies_ += [cookies.network(n + 1) for n in networks] + [cookies.BRIDGE]
        self.reads = floor.reads([(cookie, EXACT) for cookie in cookies_])
        self.flows = sum(map(len, [*own.values(), *shared.values(), scene.bridge_flows()]))


class Session:
    """The sockets of one caller."""

    def __init__(self, ovs: PrivateOvs) -> None:
        self.netlink = floor.netlink_socket()
        self.database = floor.Database(ovs.socket)
        self.flows = floor.FlowSocket(ovs.rundir / f"{scene.BRIDGE}.mgmt")
        #: rows of the ports, by number
        self.rows: dict[int, str] = {}

    def plug(self, plan: Plan, numbers: Sequence[int]) -> None:
        """Flows first, then devices, one transaction, and everything read back."""
        self.flows.send(plan.bundle)
        self.flows.until(floor.DONE)
        for device in plan.devices:
            device.make(self.netlink)
        self.database.send(plan.transaction)
        results = self.database.answer()
        self.database.wait(plan.ofports)
        self.flows.send(plan.reads)
        if floor.count(self.flows.until(floor.READ)) != plan.flows:
            raise floor.Broken("flows are missing")
        for device in plan.devices:
            device.prove(self.netlink)
        for index, number in enumerate(numbers):
            self.rows[number] = results[2 * index + 1]["uuid"][1]

    def close(self) -> None:
        """Close all."""
        self.netlink.close()
        self.database.close()
        self.flows.close()


class Floor(Batches):
    """No daemon: the effects alone.

    :param chunk: how many ports go into one batch
    """

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        self.present: set[int] = set()
        self.chunk = 1000
        self._ovs = ovs
        self._rows: dict[int, str] = {}
        ids = f"external_ids:{marks.BRIDGE}=integration"
        ovs.vsctl(
            "add-br", scene.BRIDGE, "--", "set", "Bridge", scene.BRIDGE, "datapath_type=netdev",
            "fail_mode=secure", f"protocols={','.join(PROTOCOLS)}", ids,
        )  # fmt: skip
        session = Session(ovs)
        session.flows.send(floor.bundle(scene.bridge_flows()))
        session.flows.until(floor.DONE)
        session.close()

    def one(self, number: int) -> float:
        return self._plug([[number]])

    def batch(self, numbers: Sequence[int]) -> float:
        chunks = range(0, len(numbers), self.chunk)
        return self._plug([numbers[i : i + self.chunk] for i in chunks])

    def _plug(self, chunks: Sequence[Sequence[int]]) -> float:
        present = set(self.present)
        plans = []
        for chunk in chunks:
            plans.append(Plan(chunk, present))
            present.update(chunk)
        session = Session(self._ovs)
        start = time.perf_counter()
        for plan, chunk in zip(plans, chunks, strict=True):
            session.plug(plan, chunk)
        took = time.perf_counter() - start
        self._done(session, present)
        return took

    def _done(self, session: Session, present: Collection[int]) -> None:
        self.present = set(present)
        self._rows |= session.rows
        session.close()

    def callers(self, numbers: Sequence[int]) -> list[float]:
        present = set(self.present)
        plans = {}
        for number in numbers:
            plans[number] = Plan([number], present)
            present.add(number)
        sessions = [Session(self._ovs) for _ in range(scene.CALLERS)]

        def work(index: int, mine: list[int]) -> list[float]:
            took = []
            for number in mine:
                start = time.perf_counter()
                sessions[index].plug(plans[number], [number])
                took.append(time.perf_counter() - start)
            return took

        took = race(numbers, work)
        for session in sessions:
            self._done(session, present)
        return took

    def unplug(self, numbers: Sequence[int]) -> float:
        left = self.present - set(numbers)
        networks = scene.networks(numbers)
        new = [f for n in networks for f in scene.network_flows(n, left)]
        old = [f for n in networks for f in scene.network_flows(n, self.present)]
        kept = {f.key for f in new}
        delete = [f for n in numbers for f in scene.port_flows(n)]
        bundle = floor.bundle(new, [*delete, *(f for f in old if f.key not in kept)])
        transaction = floor.remove_ports(scene.BRIDGE, [self._rows.pop(n) for n in numbers])
        session = Session(self._ovs)
        start = time.perf_counter()
        session.database.send(transaction)
        session.database.answer()
        # answered once the switch has let go of the ports: their guards must stay until then
        session.flows.send(bundle)
        session.flows.until(floor.DONE)
        floor.remove_devices(session.netlink, [scene.device(n) for n in numbers])
        took = time.perf_counter() - start
        self._done(session, left)
        return took

    def processes(self) -> list[int]:
        return [*self._ovs.pids, os.getpid()]

    def close(self) -> None:
        """Nothing runs."""
