"""vifd itself in a world of its own, spoken to over its socket."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

import scene
from contend import Batches, cpu, race
from vifd.testing.daemon import UnixConnection, Vifd
from vifd.testing.sandbox import PrivateOvs


class Client:
    """A caller of the API that keeps its connection."""

    def __init__(self, path: Path) -> None:
        self._connection = UnixConnection(path, timeout=120.0)

    def call(self, method: str, path: str, body: object) -> Any:
        """One call; anything but success raises."""
        text = json.dumps(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, path, text, headers)
        except ConnectionError:
            # the daemon closes what was idle for long, while the others had their turns
            self._connection.close()
            self._connection.request(method, path, text, headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        if answer.status not in (200, 201, 204):
            raise RuntimeError(f"{method} {path}: {answer.status} {raw[:2000]!r}")
        return raw

    def plug(self, number: int) -> float:
        """PUT a document and wait until the port is active."""
        path = f"/v1/ports/{scene.port_id(number)}?wait=active&timeout=60"
        document = scene.document(number)
        start = time.perf_counter()
        raw = self.call("PUT", path, document)
        took = time.perf_counter() - start
        if json.loads(raw)["status"] != "ACTIVE":
            raise RuntimeError(f"port {number} is not active")
        return took

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Daemon(Batches):
    """vifd itself, spoken to over its socket."""

    def __init__(self, directory: Path, ovs: PrivateOvs) -> None:
        self.present: set[int] = set()
        self._ovs = ovs
        self._vifd = Vifd(directory, ovs, {"plugins": {"enabled_plugins": "ovs"}})
        self.started = self._start()
        self._clients = [Client(self._vifd.socket) for _ in range(scene.CALLERS)]

    def _start(self) -> float:
        start = time.perf_counter()
        try:
            self._vifd.start()
            self._vifd.ready()
        except Exception as error:
            raise RuntimeError(f"{error}\n{self._vifd.log[-3000:]}") from error
        return time.perf_counter() - start

    def restart(self) -> float:
        """Stop and start the daemon; the seconds until all its ports are proven again."""
        self._hang_up()
        self._vifd.stop()
        took = self._start()
        self._clients = [Client(self._vifd.socket) for _ in range(scene.CALLERS)]
        return took

    def one(self, number: int) -> float:
        took = self._clients[0].plug(number)
        self.present.add(number)
        return took

    def batch(self, numbers: Sequence[int]) -> float:
        body = {"ports": [scene.document(n) for n in numbers]}
        start = time.perf_counter()
        self._clients[0].call("POST", "/v1/ports:plug?wait=active&timeout=100", body)
        took = time.perf_counter() - start
        self.present.update(numbers)
        return took

    def callers(self, numbers: Sequence[int]) -> list[float]:
        took = race(numbers, lambda i, mine: [self._clients[i].plug(n) for n in mine])
        self.present.update(numbers)
        return took

    def unplug(self, numbers: Sequence[int]) -> float:
        body = {"ids": [scene.port_id(n) for n in numbers]}
        start = time.perf_counter()
        self._clients[0].call("POST", "/v1/ports:unplug?wait=gone&timeout=100", body)
        took = time.perf_counter() - start
        self.present.difference_update(numbers)
        return took

    def processes(self) -> list[int]:
        return [*self._ovs.pids, self.pid]

    @property
    def pid(self) -> int:
        """The daemon's process."""
        pid = self._vifd.process.pid
        if pid is None:
            raise RuntimeError(f"vifd is gone:\n{self._vifd.log[-2000:]}")
        return pid

    def memory(self) -> dict[str, float]:
        """MiB of the daemon: resident, and its proportional share."""
        full = psutil.Process(self.pid).memory_full_info()
        return {"rss": full.rss / 2**20, "pss": full.pss / 2**20}

    def cpu(self) -> float:
        """Seconds of CPU that the daemon used so far."""
        return cpu([self.pid])

    def steps(self) -> list[str]:
        """What the daemon says of its plugs in its log."""
        return [line for line in self._vifd.log.splitlines() if " plugged " in line]

    def _hang_up(self) -> None:
        for client in self._clients:
            client.close()

    def close(self) -> None:
        self._hang_up()
        self._vifd.close()
