"""Ports that OVN itself holds closed until their guest speaks: the destination of a live migration.

OVN can have a port on several chassis at once (``requested-chassis=A,B``). With
``activation-strategy=rarp`` it lets nothing through on all but the first of them until the guest
sends a RARP there, which it does the moment it runs; ovn-controller must have wired the port by
then. So a binding that is not active names its logical port where, and only where, OVN's database
says that OVN holds it: without a strategy OVN would send the frames of the running guest to
both, and without this chassis in the list it would take the port away from the host it runs on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vifd.model import Role
from vifd_ovn import southbound
from vifd_ovn.batch import Work
from vifd_ovn.jsonrpc import Tls
from vifd_ovn.southbound import PortBinding
from vifd_ovs.bridge.chassis import Chassis

_STRATEGY = "rarp"


def held(binding: PortBinding | None, names: Collection[str]) -> bool:
    """Whether OVN holds the port closed on the chassis that has these names. Pure."""
    if binding is None or _STRATEGY not in _words(binding.strategy):
        return False
    return any(name in names for name in _words(binding.requested)[1:])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def held_of(works: Iterable[Work], chassis: Chassis | None, timeout: float, tls: Tls) -> set[str]:
    """The ids of the ports that OVN holds closed. Ports whose binding is active are not asked
    about; a database that does not answer is asked once."""
    found: set[str] = set()
    for work in works:
        if chassis is None or work.item.open or work.item.attachment.role is Role.ACTIVE:
            continue
        answer = southbound.read(chassis.remote, work.id, timeout, tls)
        if answer.problem:
            break
        if held(answer.binding, chassis.names):
            found.add(work.id)
    return found
