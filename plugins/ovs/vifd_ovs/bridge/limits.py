"""Limits of a rate that others set in the switch's database: at the port, and on its way out. Pure.

They are told and stay, see :mod:`vifd.model.limited`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vifd.drivers import PortRow, Qos
from vifd.model import Evidence
from vifd.model.limited import at_most
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges

#: A kind of QoS that does nothing.
_NOTHING = ("", "linux-noop")
#: The switch carries out no limit on these; what is set there is idle.
_UNLIMITED = ("patch",)
#: External ids of a QoS row by which others say that it is theirs: libvirt names its guest.
_OWNERS = {"vm-id": "guest"}


def port_evidence(row: PortRow | None, *, theirs: bool = False) -> list[Evidence]:
    """The limits of a port, as the guest has them.

    :param theirs: device and row are another program's, and so are their limits
    """
    texts = list(_limits(row, "from the guest", "to the guest")) if row is not None else []
    ok = not texts or theirs
    return [Evidence("ovsdb.limits", texts, [], ok, "ovsdb", repairable=False)]


def way_evidence(work: Work, bridges: Bridges) -> list[Evidence]:
    """Those of the interfaces by which the physical network leaves the host, and idle ones of the
    patch ports."""
    rows = [row for name in bridges.way_out(work.names) if (row := bridges.ovsdb.port(name))]
    if not rows:
        return []
    texts = [f"{row.name}: {text}" for row in rows if row.type not in _UNLIMITED
             for text in _limits(row, "from outside", "to outside")]  # fmt: skip
    idle = [f"{row.name}: {text} (idle: the switch limits no patch port)"
            for row in rows if row.type in _UNLIMITED
            for text in _limits(row, "from the other bridge", "to the other bridge")]  # fmt: skip
    facts = [Evidence("uplink.limits", texts, [], not texts, "ovsdb", repairable=False)]
    return facts + ([Evidence("uplink.idle_limits", idle, source="ovsdb")] if idle else [])


def _limits(row: PortRow, coming: str, going: str) -> Iterator[str]:
    policing = row.policing
    if policing.rate:
        burst = f", bursts of {policing.burst} kbit" if policing.burst else ""
        yield f"{coming} {at_most(policing.rate)}{burst} (ingress_policing_rate)"
    if policing.packets:
        packets = policing.packets * 1000
        yield f"{coming} at most {packets} packets/s (ingress_policing_kpkts_rate)"
    if row.qos is not None and row.qos.type not in _NOTHING:
        yield from (f"{going} {text}" for text in _shaped(row.qos))


def _shaped(qos: Qos) -> Iterator[str]:
    owner = [f", of {kind} {qos.external_ids[k]}" for k, kind in _OWNERS.items()
             if k in qos.external_ids]  # fmt: skip
    by = f"QoS {qos.type}{''.join(owner)}"
    rate = _rate(qos.other_config)
    yield f"{rate or 'at most what its link is said to carry'} ({by})"
    for number, queue in qos.queues.items():
        if own := _rate(queue.other_config):
            yield f"{own} in queue {number} ({by})"


def _rate(config: Mapping[str, str]) -> str:
    """By ``max-rate``, bit/s, or what a policer calls it, ``cir``, bytes/s."""
    for key, factor in (("max-rate", 1e-3), ("cir", 8e-3)):
        if (value := config.get(key, "")).isdecimal():
            return at_most(int(value) * factor)
    return ""
