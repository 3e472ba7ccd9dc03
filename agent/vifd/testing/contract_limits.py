"""The part of the plugin contract about QoS: what the advert names is read back with its rate,
changes in place, and goes with the policy. A plugin that names nothing of it passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from vifd.model import Attachment, QosPolicy, QosRule
from vifd.testing.contract_subject import Subject
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger

#: By feature, a rule and another value of it.
RULES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{f"qos.bandwidth_limit.{way}": ({"max_kbps": 5_000}, {"max_kbps": 7_000})
       for way in ("egress", "ingress")},
    **{f"qos.packet_rate_limit.{way}": ({"max_kpps": 2}, {"max_kpps": 3})
       for way in ("egress", "ingress")},
    "qos.dscp_marking.egress": ({"dscp_mark": 46}, {"dscp_mark": 0}),
}  # fmt: skip


def held(wanted: Attachment, *features: str, other: bool = False) -> Attachment:
    """The port with a rule of each of these features.

    :param other: with the other value of each
    """
    rules = []
    for feature in features:
        _, kind, direction = feature.split(".")
        rules.append(QosRule(kind, direction, **RULES[feature][other]))
    port = msgspec.structs.replace(wanted.port, qos_policy=QosPolicy(rules=rules))
    return msgspec.structs.replace(wanted, port=port)


class LimitContract(Subject):
    """The law for rules of a QoS policy."""

    @pytest.fixture
    def limits(self, ledger: Ledger) -> tuple[str, ...]:
        """What the plugin enforces on this host."""
        lacking = ledger.plugin.probe().unenforced
        found = type(ledger.plugin).describe().features & RULES.keys() - lacking.keys()
        return tuple(sorted(found))

    def _told(self, ledger: Ledger, wanted: Attachment) -> dict[str, Any]:
        (report,) = ledger.check(wanted.id).values()
        assert report.clean, report.findings
        return {e.fact: e.have for e in report.evidence if e.fact.startswith("qos.")}

    def test_limits_are_read_back_and_changed_in_place(
        self, ledger: Ledger, limits: tuple[str, ...]
    ) -> None:
        wanted = held(self.attachment(1))
        assert not ledger.plug(held(wanted, *limits))
        first, made = self._told(ledger, wanted), ledger.records[wanted.id].wiring
        assert first.keys() == set(limits)
        assert not ledger.plug(held(wanted, *limits, other=True))
        second = self._told(ledger, wanted)
        assert second.keys() == set(limits)
        assert all(first[name] != second[name] for name in limits)
        assert ledger.records[wanted.id].wiring == made

    def test_limits_come_and_go_one_by_one(
        self, ledger: Ledger, limits: tuple[str, ...], count: Callable[[], set[str]]
    ) -> None:
        wanted = held(self.attachment(1))
        assert not ledger.plug(wanted)
        before = count()
        for name in limits:
            assert not ledger.plug(held(wanted, name))
            assert self._told(ledger, wanted).keys() == {name}
        assert not ledger.plug(wanted)
        assert self._told(ledger, wanted) == {}
        assert count() == before

    def test_limits_of_a_restarted_daemon_are_left_alone(
        self, ledger: Ledger, limits: tuple[str, ...], injector: Injector,
        count: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        wanted = held(self.attachment(1), *limits)
        assert not ledger.plug(wanted)
        before = count()
        again = ledger.restart()
        injector.arm()
        assert self._told(again, wanted).keys() == set(limits)
        assert not injector.writes
        assert not again.plug(wanted)
        assert count() == before

    def test_limits_go_with_their_port(
        self, ledger: Ledger, limits: tuple[str, ...], count: Callable[[], set[str]]
    ) -> None:
        kept, going = held(self.attachment(1), *limits), held(self.attachment(2), *limits)
        assert not ledger.plug(kept, going)
        assert not ledger.unplug(going.id)
        assert not ledger.findings(kept.id)
        assert not ledger.unplug()
        assert count() == set()
