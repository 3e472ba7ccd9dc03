"""What the daemon hands to a plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vifd.drivers import Drivers
from vifd.plugin.identity import Identity
from vifd.plugin.ledger import Entry
from vifd.plugin.logged import LogDesk
from vifd.plugin.sets import NoSets, Sets
from vifd.safety.steady import advance


@dataclass(frozen=True)
class Host:
    """What the daemon hands to a plugin.

    :param drivers: links, OVSDB, OpenFlow, traces
    :param ledger: every port of this host that has names, of all plugins: what shares a bridge must
        know its neighbours, also after a restart
    :param careful: after an upgrade that was not approved yet: a verb shall change what belongs to
        its own ports and what they share, and nothing of others that it happens to find differing
    :param advance: to be called by a verb that takes long without asking a driver, after each step
        of its work: a call without a step for ``[plugins] call_timeout`` counts as one that hangs
    :param sets: security groups, address groups and forwarding, as they are now
    :param announced: to be called with a port that is closed because its binding is INACTIVE, and
        whose guest announces itself there; from any thread, returns at once. ``None`` where nobody
        wants to know, and then no frame is looked at
    :param logs: who writes packets down that logs of security groups are about; ``None``: nobody,
        and then none is looked at
    :param identity: of the daemon, for marks on what two daemons must not share; ``None`` in tests
    """

    drivers: Drivers
    ledger: Callable[[], Mapping[str, Entry]]
    hostname: str = ""
    clock: Callable[[], float] = time.time
    careful: Callable[[], bool] = lambda: False
    advance: Callable[[], None] = advance
    identity: Identity | None = None
    announced: Callable[[str], None] | None = None
    logs: LogDesk | None = None
    sets: Sets = field(default_factory=NoSets)
