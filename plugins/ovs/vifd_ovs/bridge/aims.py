"""What a comparison of a bridge's flows is to come to, and what was read back of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vifd.errors import BackendError
from vifd.openflow.meters import Meter
from vifd.openflow.reading import Reading
from vifd_ovs.bridge.entries import Entries, Step
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.target import Difference, difference

_NEVER: Entries = {}


@dataclass(frozen=True)
class Proof:
    """What was read back, and the state of the switch before that."""

    state: tuple[int, int] = (-1, -1)
    reading: Reading = field(default_factory=lambda: Reading({}, ""))

    def stands(self, state: tuple[int, int]) -> bool:
        """Whether nothing of ours has changed since."""
        return self.state == state


@dataclass(frozen=True)
class Aim:
    """What a comparison is to come to.

    :param wanted: the flows that shall be, by cookie
    :param scope: the cookies that are compared
    :param deltas: of rules and networks: the change by which they may differ from what is there
    :param ports: whose meters are wanted
    """

    wanted: Mapping[int, Entries]
    scope: Collection[int]
    deltas: Mapping[int, Step]
    ports: Sequence[SwitchPort]

    def missed(self, installed: Mapping[int, Entries]) -> Difference:
        """What must change; of rules that differ by a known change from those that are there, the
        others are not looked at.

        :param installed: what is there, by cookie
        """
        quick = {c for c, m in self.deltas.items() if m.base is installed.get(c, _NEVER)}
        todo = difference(installed, self.wanted, [c for c in self.scope if c not in quick])
        for cookie in quick:
            todo.add.extend(self.deltas[cookie].added)
            todo.delete.extend(self.deltas[cookie].removed)
        return todo


def groups_of(ports: Iterable[SwitchPort | None]) -> set[str]:
    """The security groups of some ports."""
    return {group for port in ports if port is not None for group in port.groups or ()}


def not_as_sent(bridge: str, difference: Difference) -> BackendError:
    """The switch has other flows than those that it was given."""
    return BackendError(
        facts={
            "backend": f"bridge {bridge}",
            "problem": "the flows read back are not the flows that were sent",
            "wanted": [str(flow) for flow in difference.add],
            "have": [str(flow) for flow in difference.delete],
        }
    )


def not_as_set(
    bridge: str, wanted: Mapping[int, Meter], there: Mapping[int, Meter]
) -> BackendError | None:
    """The switch has other meters than those that it was given; ``None`` where it has them."""
    lacking = {number: meter for number, meter in wanted.items() if there.get(number) != meter}
    if not lacking:
        return None
    return BackendError(
        facts={
            "backend": f"bridge {bridge}",
            "problem": "the meters read back are not those that were set",
            "wanted": [str(meter) for meter in lacking.values()],
            "have": [str(there.get(number)) for number in lacking],
        }
    )
