"""Whether the running switch can be reached on every socket that a plug uses.

A database that answers is not enough: flows go to the management socket of the bridge, and what was
made is proven over the control socket of ovs-vswitchd.
"""

from __future__ import annotations

from collections.abc import Iterator

from vifd.drivers import Bridge, Drivers
from vifd.errors import VifError
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.bridges import speaks

#: Seconds that the switch has for an answer.
PULSE = 1.0
_HELP = (
    "start ovs-vswitchd, let the daemon's user open its sockets, or correct [openvswitch] rundir "
    "in agent.conf"
)


def unreachable(drivers: Drivers, bridge: Bridge | None) -> Iterator[str]:
    """Why a plug would fail, as sentences with what helps.

    :param bridge: ``None`` before the first plug makes it
    """
    if problem := drivers.tracer.ping(PULSE):
        # its flow tables would be waited for in vain, for long
        tables = f"the flow tables of bridge {bridge.name} cannot be reached: " if bridge else ""
        yield (
            f"{tables}the switch (ovs-vswitchd) does not answer on its control socket: {problem}: "
            f"{_HELP}"
        )
        return
    if bridge is None or not speaks(bridge):
        return  # the first plug makes it, or adds the protocol
    try:
        drivers.openflow.dump(bridge.name, cookies.BRIDGE)
    except VifError as error:
        yield f"the flow tables of bridge {bridge.name} cannot be reached: {error.message}: {_HELP}"
