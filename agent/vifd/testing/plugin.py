"""A plugin without a host: it keeps its ports in memory and misbehaves on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from vifd import errors
from vifd.drivers import Drivers
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.plugin import (
    Advert,
    Entry,
    Health,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    VifPlugin,
)


@dataclass
class Made:
    """What the fake host holds for one port."""

    attachment: Attachment
    number: int
    open: bool = False
    damage: str = ""


@dataclass
class FakeBackend:
    """The fake host: survives the plugin object, as a real host survives the daemon."""

    ports: dict[str, Made] = field(default_factory=dict)
    next_number: int = 1
    #: verb name to what it raises, per port or as a whole (port id ``*``)
    faults: dict[tuple[str, str], Exception] = field(default_factory=dict)
    #: findings to report for a port before it is clean
    dirty: dict[str, int] = field(default_factory=dict)
    #: cleared to make every verb wait
    gate: threading.Event = field(default_factory=threading.Event)
    #: one entry per call of a verb: (verb, port ids)
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    health: Probe = field(default_factory=lambda: Probe(Health.READY))
    #: ports that were announced
    announced: list[str] = field(default_factory=list)
    #: called at the start of each verb
    spy: Callable[[str], None] = lambda verb: None

    def __post_init__(self) -> None:
        self.gate.set()

    def called(self, verb: str) -> list[tuple[str, ...]]:
        """The port ids of every call of a verb."""
        return [ids for name, ids in self.calls if name == verb]


class FakePlugin(VifPlugin):
    """Serves VIF type ``fake`` on a :class:`FakeBackend`."""

    plugin_name = "fake"
    plugin_version = "1.2"

    def __init__(self, backend: FakeBackend, host: Host | None = None) -> None:
        super().__init__(host or Host(Drivers(None, None, None, None), dict), None)  # type: ignore[arg-type]
        self.backend = backend

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=("fake",),
            network_types=("local", "vlan"),
            in_place=frozenset(
                {"role", "port.name", "network.mtu", "fixed_ips", "port.binding_profile"}
            ),
        )

    def probe(self) -> Probe:
        self._enter("probe", ())
        return self.backend.health

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        segment = attachment.network.segment
        mapped = segment.network_type != "vlan" or segment.physical_network == "physnet1"
        facts = {"wanted": segment.physical_network, "have": ["physnet1"]}
        error = errors.PhysnetUnmapped(facts=facts, port=attachment.id)
        return [Requirement("physical network", mapped, error)]

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        self._enter("name", (attachment.id,))
        self._raise("name", attachment.id)
        numbers = {e.wiring.details.get("number") for e in taken.values()}
        number = next(n for n in range(1, 100_000) if n not in numbers)
        return Wiring("fake", "fake", f"tap{attachment.id[:11]}", {"number": number})

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        return Vif("ethernet", wiring.device, attachment.mac, mtu=attachment.network.mtu)

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each("plug", batch, self._plug)

    def _plug(self, item: Item) -> Wiring:
        number = item.names.details["number"]
        made = self.backend.ports.get(item.id)
        if made is None:
            self.backend.ports[item.id] = Made(item.attachment, number, open=item.open)
            item.undo.push("port", lambda: self.backend.ports.pop(item.id, None))
        else:
            made.attachment, made.damage, made.open = item.attachment, "", item.open
        self._raise("plug.late", item.id)
        return Wiring("fake", "fake", item.names.device, {"number": number, "plugged": True})

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        return self._each("activate", batch, lambda item: self._gate(item, opened=True))

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        return self._each("deactivate", batch, lambda item: self._gate(item, opened=False))

    def announce(self, batch: Sequence[Item]) -> None:
        self._raise("announce", "*")
        self.backend.announced += [item.id for item in batch]

    def _gate(self, item: Item, *, opened: bool) -> Wiring:
        made = self.backend.ports.get(item.id)
        if made is None:
            raise errors.DeviceError(facts={"device": item.made.device, "problem": "is gone"})
        made.open = opened
        return item.made

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        self._enter("check", tuple(i.id for i in batch))
        self._raise("check", "*")
        reports = {}
        for item in batch:
            made = self.backend.ports.get(item.id)
            evidence = self._evidence(item)
            passing = made is not None and made.open
            reports[item.id] = Report(evidence, at=self.host.clock(), passing=passing)
        return reports

    def _evidence(self, item: Item) -> list[Evidence]:
        made = self.backend.ports.get(item.id)
        evidence = [Evidence("device.exists", made is not None, wanted=True, ok=made is not None)]
        if made is not None:
            mtu = item.attachment.network.mtu
            evidence += [
                Evidence("open", made.open, wanted=item.open, ok=made.open == item.open),
                Evidence(
                    "mtu", made.attachment.network.mtu, mtu, made.attachment.network.mtu == mtu
                ),
                Evidence("damage", made.damage, wanted="", ok=not made.damage),
            ]
        if self.backend.dirty.get(item.id, 0) > 0:
            self.backend.dirty[item.id] -= 1
            evidence.append(Evidence("settling", have="not yet", wanted="done", ok=False))
        return evidence

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each("unplug", batch, self._unplug)

    def _unplug(self, item: Item) -> Wiring:
        self.backend.ports.pop(item.id, None)
        return item.made

    def observe(self) -> list[Observed]:
        self._enter("observe", ())
        self._raise("observe", "*")
        return [
            Observed(
                port_id,
                Wiring("fake", "fake", f"tap{port_id[:11]}", {"number": made.number}),
                document=msgspec.to_builtins(made.attachment),
            )
            for port_id, made in self.backend.ports.items()
        ]

    # --- misbehaviour ---

    def _enter(self, verb: str, ids: tuple[str, ...]) -> None:
        self.backend.calls.append((verb, ids))
        self.backend.spy(verb)
        self.backend.gate.wait(60)

    def _raise(self, verb: str, port_id: str) -> None:
        fault = self.backend.faults.get((verb, port_id))
        if fault is not None:
            raise fault

    def _each(self, verb: str, batch: Sequence[Item], work: Callable[[Item], Wiring]) -> Outcomes:
        self._enter(verb, tuple(i.id for i in batch))
        self._raise(verb, "*")
        outcomes: Outcomes = {}
        for item in batch:
            try:
                self._raise(verb, item.id)
                outcomes[item.id] = work(item)
            except errors.VifError as error:
                outcomes[item.id] = error
        return outcomes
