"""One daemon per bridge: who has it stands in the external ids of its own interface.

Two daemons with journals of their own would each bring the flows of networks to what their own
ports need, and cut those of the other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from vifd.drivers import Ovsdb
from vifd.errors import BridgeTaken, VifError
from vifd.plugin import Health, Probe, identity
from vifd.plugin.identity import Identity

LOG = logging.getLogger(__name__)

#: The external id that names the daemon.
AGENT = "vifd-agent"


def problem(ovsdb: Ovsdb, bridge: str, own: Identity | None) -> BridgeTaken | None:
    """Why this daemon may not touch a bridge: another one that is at work has it."""
    other = _marked(ovsdb, bridge, own)
    if own is None or other is None or not identity.rivals(other, own):
        return None
    return BridgeTaken(
        facts={"bridge": bridge, "agent": str(other), "pid": other.pid, "state_path": other.state},
        stage="bridge",
    )


def require(ovsdb: Ovsdb, bridge: str, own: Identity | None) -> None:
    """Ask before marks on a bridge are taken for this daemon's.

    :raises BridgeTaken: another daemon is at work on it
    """
    taken = problem(ovsdb, bridge, own)
    if taken is not None:
        raise taken


def elsewhere(ovsdb: Ovsdb, own: Identity | None, here: Collection[str]) -> frozenset[str]:
    """Bridges that are another daemon's, whether it runs now or not.

    :param here: the bridges of this daemon
    """
    names = [name for name in ovsdb.bridges() if name not in here]
    return frozenset(n for n in names if (o := _marked(ovsdb, n, own)) and own and o.id != own.id)


def alone(found: Probe, ovsdb: Ovsdb, bridge: str, own: Identity | None) -> Probe:
    """The health of a plugin on a bridge, which it cannot work on beside another daemon. The one
    thing that is written is who has the bridge, after a restart."""
    if not ovsdb.connected():
        return found
    taken = problem(ovsdb, bridge, own)
    renew(ovsdb, bridge, own)
    if taken is None:
        return found
    reason = f"{taken.message}: {taken.hint}"
    reasons = [reason, *found.reasons]
    return replace(found, health=Health.UNAVAILABLE, reasons=reasons, taken=True)


def claim(ovsdb: Ovsdb, bridge: str, own: Identity | None) -> None:
    """Have the bridge, unless another daemon that is at work has it.

    :raises BridgeTaken: one has
    """
    row = ovsdb.port(bridge)
    if own is None or row is None or row.external_ids.get(AGENT) == own.text():
        return
    taken = problem(ovsdb, bridge, own)
    if taken is not None:
        raise taken
    other = _marked(ovsdb, bridge, own)
    if other is not None and other.id != own.id:
        LOG.warning("bridge %s was that of %s, which does not run any more; it is taken over, and "
                    "ports that only it knows are left as they are", bridge, other)  # fmt: skip
    ovsdb.set_external_ids({bridge: {AGENT: own.text()}})


def renew(ovsdb: Ovsdb, bridge: str, own: Identity | None) -> None:
    """Say that this life of the daemon has the bridge that its last one had. A bridge that it never
    had is left to who plugs first."""
    other = _marked(ovsdb, bridge, own)
    if own is None or other is None or other.id != own.id:
        return
    try:
        claim(ovsdb, bridge, own)
    except VifError as error:
        LOG.debug("bridge %s is not claimed yet: %s", bridge, error)


def _marked(ovsdb: Ovsdb, bridge: str, own: Identity | None) -> Identity | None:
    """Who has the bridge; ``None`` for nobody, or for this daemon."""
    row = ovsdb.port(bridge)
    text = row.external_ids.get(AGENT, "") if row is not None else ""
    return identity.parse(text) if text and (own is None or text != own.text()) else None
