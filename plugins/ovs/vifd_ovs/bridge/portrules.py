"""What the rules of ports came to when their flows were made, and which of them are tried next."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.policy.logged import Logged
from vifd_ovs.bridge.admission import Policy
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.ruleproofs import Probe
from vifd_ovs.bridge.rulesets import Rulesets


class PortRules:
    """Of the ports of one bridge, by id. Its switch holds its lock whenever it calls.

    :ivar policies: what the groups of a port came to
    :ivar logged: what was logged of it
    :ivar turns: which of its rules are tried at the next look
    """

    def __init__(self, rules: Rulesets) -> None:
        self.policies: dict[str, Policy | None] = {}
        self.logged: dict[str, Logged] = {}
        self.turns: dict[str, int] = {}
        self._rules = rules

    def note(self, ports: Iterable[SwitchPort]) -> None:
        """The flows of these ports were made of the rules as they are now."""
        for port in ports:
            if port.groups is not None:
                self.policies[port.id] = self._rules.policy(port)
                self.logged[port.id] = self._rules.logged(port)

    def forget(self, port_ids: Iterable[str]) -> None:
        """These ports are gone."""
        for port_id in port_ids:
            self.turns.pop(port_id, None)
            self.logged.pop(port_id, None)
            self.policies.pop(port_id, None)

    def judged_anew(self, ports: Iterable[SwitchPort]) -> list[SwitchPort]:
        """Those whose groups come to something else now."""
        return [p for p in ports if self._rules.policy(p) != self.policies.get(p.id)]

    def logged_anew(self, ports: Iterable[SwitchPort]) -> list[SwitchPort]:
        """Those of which something else is logged now; of a port that nothing was made for since
        the start it is not known."""
        return [p for p in ports if self._rules.logged(p) != self.logged.get(p.id)]

    def probes(self, port: SwitchPort) -> list[Probe]:
        """Packets that tell whether the port's rules have their effect."""
        return self._rules.probes(port, self.turns.get(port.id, 0))

    def proven(self, port_ids: Iterable[str]) -> None:
        """The rules that were tried have their effect: others have their turn."""
        for port_id in port_ids:
            self.turns[port_id] = self.turns.get(port_id, 0) + 1
