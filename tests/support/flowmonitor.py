"""Counts the changes of a bridge's flow tables as the switch itself tells them."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

from vifd.testing.sandbox import PrivateOvs, program
from vifd.testing.wait import until

_EVENT = re.compile(rb"event=(ADDED|DELETED|MODIFIED)[^\n]*")
#: A table that vifd does not use: the monitor is proven to listen by a flow of our own there.
_PROBE = "cookie=0xfeed,table=250,priority=1,in_port=65000,actions=drop"


class FlowMonitor:
    """As a context manager: everything between enter and exit is counted in :attr:`events`."""

    def __init__(self, ovs: PrivateOvs, bridge: str) -> None:
        self._ovs, self._bridge = ovs, bridge
        self._output = ovs.rundir / f"flowmonitor-{id(self):x}.out"
        self.lines: list[str] = []

    def __enter__(self) -> FlowMonitor:
        target = f"unix:{self._ovs.rundir / self._bridge}.mgmt"
        argv = [str(program("ovs-ofctl")), "-OOpenFlow14", "monitor", target, "watch:!initial"]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env=self._ovs.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self._probe()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._probe()
        finally:
            self._end()

    @property
    def events(self) -> Counter[str]:
        """How many flows were added, deleted and modified, by the name of the event."""
        return Counter(line.split()[0].removeprefix("event=") for line in self.lines)

    def _probe(self) -> None:
        """A change of our own must be told: then so were all before it."""
        seen = self._probes()

        def told() -> bool:
            self._ovs.ofctl("add-flow", self._bridge, _PROBE)
            return self._probes() > seen

        until(told, "the flow monitor tells of a change")
        self._ovs.ofctl("del-flows", self._bridge, "cookie=0xfeed/-1,table=250")

    def _probes(self) -> int:
        return sum(b"table=250" in event for event in self._events())

    def _events(self) -> list[bytes]:
        return [match.group(0) for match in _EVENT.finditer(self._output.read_bytes())]

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self.lines = [e.decode() for e in self._events() if b"table=250" not in e]
        self._output.unlink()
