"""The rules of security groups as a switch has them, read back where they may have changed."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from vifd.drivers import OpenFlow
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.readback import Readback
from vifd_ovs.bridge.rulesets import Rulesets
from vifd_ovs.bridge.target import Difference, by_cookie, difference


class RuleReading:
    """Of one bridge.

    :param lock: under which the rules are asked
    """

    def __init__(
        self, openflow: OpenFlow, bridge: str, rules: Rulesets, readback: Readback,
        lock: threading.RLock,
    ) -> None:  # fmt: skip
        self._openflow = openflow
        self._bridge = bridge
        self._rules = rules
        self._readback = readback
        self._lock = lock
        #: by cookie: the rules that were read back as they shall be, and when
        self._proven: dict[int, tuple[int, Entries]] = {}

    def unlike(self, groups: Iterable[str], *, anew: bool) -> dict[str, tuple[int, Difference]]:
        """Read the rules of security groups back: how many flows there are of each, and where they
        are not as they shall be.

        :param anew: also those that were read back as they shall be, and not touched since
        """
        with self._lock:
            generation = self._openflow.generation(self._bridge)
            wanted = {self._rules.cookie(g): self._rules.entries(g) for g in groups}
            names = {self._rules.cookie(g): g for g in groups}
        found: dict[str, tuple[int, Difference]] = {}
        for cookie, entries in wanted.items():
            if not anew and self._stands(cookie, generation, entries):
                found[names[cookie]] = (len(entries), Difference([], []))
        stale = [cookie for cookie in wanted if names[cookie] not in found]
        for cookie, flows in self._readback.installed(stale).flows.items():
            have = by_cookie(flows).get(cookie, {})
            todo = difference({cookie: have}, {cookie: wanted[cookie]}, [cookie])
            found[names[cookie]] = (len(flows), todo)
            if todo:
                self._proven.pop(cookie, None)
            else:
                self._proven[cookie] = (generation, wanted[cookie])
        return found

    def _stands(self, cookie: int, generation: int, entries: Entries) -> bool:
        proven = self._proven.get(cookie)
        return proven is not None and proven[0] == generation and proven[1] is entries
