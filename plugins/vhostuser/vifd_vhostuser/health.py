"""Whether a vhost-user port works: a conclusion from several facts, because none alone tells. Pure.

The switch's own ``error`` and ``status`` stay empty and "connected" when there are no buffers for
the port; a guest with private memory even has its link up. Before a guest is there nothing of this
is an error: the port waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from vifd.drivers import PortRow
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd_vhostuser.dpdk import Polling
from vifd_vhostuser.memory import GuestMemory, State

WAITING = "waiting for guest"


@dataclass(frozen=True)
class Guest:
    """The guest's side of a port.

    :param present: a process holds the guest's end of the socket
    :param pid: that process, where it could be found
    """

    present: bool = False
    pid: int | None = None
    memory: GuestMemory | None = None


def connected(row: PortRow | None) -> bool:
    """Whether the switch says that a guest is connected."""
    return row is not None and row.status.get("status") == "connected"


def evidence(
    name: str, row: PortRow | None, polling: Polling, guest: Guest, mtu: int
) -> list[Evidence]:
    """The facts of a port, those that explain others first.

    :param mtu: of the network
    """
    if row is None:
        return []
    joined = connected(row)
    polled = polling.queues.get(name, 0)
    facts = [_guest(guest, joined, told=not polling.problem), *_memory(guest)]
    if polling.problem:
        facts.append(fact("vhost.pmd_rxq", polling.problem, "readable", "pmd-rxq-show"))
    elif joined and not polled and not row.mtu:
        facts.append(_no_buffers())
    else:
        have = polled or "no polling thread"
        facts.append(Evidence("vhost.pmd_rxq", have, "polled", polled > 0, "pmd-rxq-show"))
    if not joined:
        seen = {"vhost.link_state": row.link_state, "vhost.mtu": row.mtu}
        return facts + [Evidence(name, have, source="ovsdb") for name, have in seen.items()]
    return [
        *facts,
        fact("vhost.link_state", row.link_state, "up", "ovsdb"),
        fact("vhost.mtu", row.mtu, mtu, "ovsdb"),
    ]


def _guest(guest: Guest, joined: bool, *, told: bool) -> Evidence:
    """:param told: the switch answers; else what the database has of it may be old"""
    if not guest.present and not joined:
        return Evidence("guest", have=WAITING, source="proc")
    state = "connected" if joined else "its device is not driven yet"
    if joined and not told:
        state = "connected, as the switch said last"
    process = f", process {guest.pid}" if guest.pid is not None else ""
    return Evidence("guest", have=f"{state}{process}", source="proc")


def _memory(guest: Guest) -> list[Evidence]:
    if not guest.present:
        return []
    if guest.memory is None:
        return [Evidence("guest.memory", have="unknown: its process was not found", source="proc")]
    state = guest.memory.state
    ok = state in (State.SHARED, State.UNKNOWN)
    return [
        Evidence(
            "guest.memory", str(guest.memory), State.SHARED.value, ok, "proc", repairable=False
        )
    ]


def _no_buffers() -> Evidence:
    return Evidence(
        "vhost.buffers",
        have="the switch has no DPDK memory for the port's packet buffers (connected, no error, "
        "but MTU 0 and not polled)",
        wanted="a memory pool",
        ok=False,
        source="ovsdb",
        repairable=False,
    )
