"""What the switch says of DPDK on its control socket.

``netdev-dpdk/get-mempool-info`` is asked without a port only: with one that has no buffers yet,
Open vSwitch 3.1 crashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vifd.drivers import Tracer
from vifd.errors import VifError

_THREAD = re.compile(r"^pmd thread numa_id (\d+) core_id (\d+):", re.MULTILINE)
_QUEUE = re.compile(r"^\s+port: (\S+)\s+queue-id:\s*(\d+)", re.MULTILINE)
_POOL = re.compile(r"^mempool <(ovs[^>]*)>", re.MULTILINE)
_NO_DATAPATH = "specify an existing datapath"
_FREE = re.compile(r"^\s*Greatest_free_size:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Polling:
    """The polling threads and what they poll.

    :param cores: the threads' cores by NUMA node
    :param queues: number of receive queues that are polled, by port
    :param problem: why it could not be read
    """

    cores: dict[int, list[int]] = field(default_factory=dict)
    queues: dict[str, int] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Buffers:
    """The memory for packets.

    :param pools: names of the pools there are
    :param free: the largest piece of DPDK's memory that is free, in bytes; ``None`` if the switch
        does not say
    """

    pools: tuple[str, ...] = ()
    free: int | None = None


def polling(tracer: Tracer) -> Polling:
    """Read the polling threads."""
    try:
        text = tracer.call("dpif-netdev/pmd-rxq-show")
    except VifError as error:
        # before the first bridge there is none
        return Polling(problem="" if _NO_DATAPATH in error.message else error.message)
    return read_polling(text)


def read_polling(text: str) -> Polling:
    """The polling threads in an answer of the switch. Pure."""
    cores: dict[int, list[int]] = {}
    for node, core in _THREAD.findall(text):
        cores.setdefault(int(node), []).append(int(core))
    queues: dict[str, int] = {}
    for port, _ in _QUEUE.findall(text):
        queues[port] = queues.get(port, 0) + 1
    return Polling(cores, queues)


def buffers(tracer: Tracer) -> Buffers:
    """Read the memory for packets; a switch that does not know a command leaves its part open."""
    pools: tuple[str, ...] = ()
    free: int | None = None
    try:
        pools = tuple(sorted(_POOL.findall(tracer.call("netdev-dpdk/get-mempool-info"))))
        sizes = [int(size) for size in _FREE.findall(tracer.call("dpdk/get-malloc-stats"))]
        free = max(sizes, default=None)
    except VifError:
        pass
    return Buffers(pools, free)
