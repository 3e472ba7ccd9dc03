"""Offers of the real engine: what they leave alone, what they outlive, and who may hang in them."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.capabilities import names
from vifd.capabilities.inventory import Capability, Inventory
from vifd.engine import Settings
from vifd.engine.decision import Decider, Request
from vifd.engine.pending import Pending
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Document, PortRecord, decode
from vifd.negotiation import Acceptable, Offer, offering, token
from vifd.negotiation.offering import Negotiator, Offering, Terms
from vifd.plugin import UNPROBED, Advert, Health, Probe, Requirement
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, FakeBackend(), Settings(retry_first=0.01))
    made.boot()
    yield made
    made.halt()


def doc(number: int = 1, **changes: Any) -> Document:
    return decode(document(number, **changes))


def ask(machine: Machine, number: int = 1, **changes: Any) -> Offer:
    return machine.agent.offers.submit(doc(number, **changes).attachment, None, "1.0").result(WAIT)


def put(machine: Machine, text: str, number: int = 1, **changes: Any) -> Ticket:
    claims = {port_id(number): token.read(text, "query.token")}
    return machine.agent.plug([doc(number, **changes)], "req-1", claims)[0]


def state(machine: Machine) -> Any:
    records = dict(machine.journal.records())
    return records, machine.agent.events(0), machine.journal.outbox_size(), machine.backend.ports


def test_an_offer_changes_nothing(machine: Machine) -> None:
    machine.plug(document(1))
    before = state(machine)
    calls = list(machine.backend.calls)
    data = (machine.path / "journal.db-wal").stat().st_size
    offer = ask(machine, 2)
    assert offer.choice.plugin == "fake"
    assert (offer.choice.vif_class, offer.choice.plugin_version) == ("VIFGeneric", "1.2")
    assert state(machine) == before
    assert machine.backend.calls == calls, "no verb of the plugin was called"
    assert (machine.path / "journal.db-wal").stat().st_size == data


def test_nothing_can_serve_it(machine: Machine) -> None:
    segment = {"network_type": "vlan", "physical_network": "physnet9", "segmentation_id": 5}
    with pytest.raises(errors.NoCommonVif) as caught:
        ask(machine, network__segment=segment)
    assert caught.value.facts["reason_code"] == "E_SEG_PHYSNET_UNMAPPED"
    assert [c.code for c in caught.value.candidates] == ["E_SEG_PHYSNET_UNMAPPED"]


def test_the_port_of_another_is_no_neighbour_once_it_is_being_removed(machine: Machine) -> None:
    machine.plug(document(1))
    same = {"port__mac_address": document(1)["port"]["mac_address"]}
    with pytest.raises(errors.NoCommonVif) as caught:
        ask(machine, 2, **same)
    assert caught.value.facts["reason_code"] == "E_IP_DUPLICATE"
    assert ask(machine, 1).port == port_id(1), "a port is not its own neighbour"
    machine.backend.gate.clear()
    machine.drop(1)
    until(lambda: machine.record(1).removing)
    until(lambda: _offered(machine, 2, same))
    machine.backend.gate.set()


def _offered(machine: Machine, number: int, changes: dict[str, Any]) -> bool:
    try:
        return bool(ask(machine, number, **changes))
    except errors.NoCommonVif:
        return False


def test_a_token_takes_what_was_offered_and_is_then_spent(machine: Machine) -> None:
    text = ask(machine).token
    record = put(machine, text).done.result(WAIT)
    assert record.selection is not None
    assert record.selection.asked
    machine.backend.health = Probe(Health.READY, facts={"bridge": "br-new"})
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].facts)
    again = put(machine, text)
    assert again.done.result(WAIT).revision == record.revision, "repeating the call is no error"


def test_a_token_is_stale_once_the_host_has_changed(machine: Machine) -> None:
    text = ask(machine).token
    machine.backend.health = Probe(Health.READY, facts={"bridge": "br-new"})
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].facts)
    with pytest.raises(errors.TokenStale) as caught:
        put(machine, text).accepted.result(WAIT)
    assert caught.value.facts["changed"] == [{"fact": "plugin.bridge", "was": None, "is": "br-new"}]
    assert machine.journal.get(port_id(1)) is None
    assert put(machine, ask(machine).token).done.result(WAIT).open


def test_a_capability_that_was_looked_at_makes_it_stale(machine: Machine) -> None:
    virtio = Capability(names.vif_model("virtio"), present=True)
    machine.engine.negotiator.inventory = lambda: Inventory({virtio.name: virtio})
    text = ask(machine).token
    machine.engine.negotiator.inventory = Inventory
    with pytest.raises(errors.TokenStale) as caught:
        put(machine, text).accepted.result(WAIT)
    assert [c["fact"] for c in caught.value.facts["changed"]] == [f"capability.{virtio.name}"]


def test_a_token_outlives_a_restart(machine: Machine) -> None:
    text = ask(machine).token
    machine.halt()
    machine.boot()
    assert put(machine, text).done.result(WAIT).open


def test_a_token_for_another_candidate_than_the_one_that_serves(machine: Machine) -> None:
    machine.plug(document(1))
    claims = token.read(ask(machine).token, "query.token")
    other = {port_id(1): msgspec.structs.replace(claims, vif_type="tap")}
    with pytest.raises(errors.StateConflict) as caught:
        machine.agent.plug([doc()], "req-2", other)[0].accepted.result(WAIT)
    assert caught.value.facts["fields"] == ["token"]


def test_how_it_was_chosen_is_in_the_journal(machine: Machine) -> None:
    machine.plug(document(1))
    machine.halt()
    machine.boot()
    selection = machine.record(1).selection
    assert selection is not None
    assert (selection.vif_class, selection.usable) == ("VIFGeneric", ["fake/fake"])


def test_what_was_said_of_the_choice_stays_with_the_port(machine: Machine) -> None:
    """Who plugs without an offer is told by the port what has no effect."""
    machine.plug(document(1, port__trusted=True))
    machine.halt()
    machine.boot()
    selection = machine.record(1).selection
    assert selection is not None
    assert any(note.startswith("no effect: port trusted") for note in selection.notes)


def test_an_offer_costs_the_same_at_a_thousand_ports(several: Several) -> None:
    """In calls of functions, which no machine and no neighbour changes."""

    def cost(ports: int) -> int:
        docs = {port_id(n): doc(n) for n in range(2, ports + 2)}
        made = negotiator(several)
        made.record = lambda i: PortRecord(doc=docs[i], plugin="fake", vif_type="fake")
        made.changed(docs)
        made.offer(doc(1).attachment, None, "1.0")  # what is done once
        return _calls(lambda: made.offer(doc(1).attachment, None, "1.0"))

    few, many = cost(0), cost(1000)
    assert many < few + 100, "less than one call per ten ports more"


def _calls(work: Callable[[], object]) -> int:
    calls: Counter[str] = Counter()
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _arg: calls.update((event,)))
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls["call"] + calls["c_call"]


# --- plugins that are no good ---------------------------------------------------------------------


class Several(FakePlugin):
    """Serves two VIF types, and does what it is told in ``requires``."""

    def __init__(self) -> None:
        super().__init__(FakeBackend())
        self.block = threading.Event()
        self.block.set()
        self.asked: list[str | None] = []
        self.answer: Any = []

    @classmethod
    def describe(cls) -> Advert:
        return Advert(("ovs", "bridge"), network_types=("local",))

    def requires(self, attachment: Any) -> Any:
        self.asked.append(attachment.vif_type)
        self.block.wait(WAIT)
        return self.answer


@pytest.fixture
def several() -> Iterator[Several]:
    made = Several()
    yield made
    made.block.set()


def negotiator(plugin: Several, **more: Any) -> Negotiator:
    records: dict[str, PortRecord] = {}
    return Negotiator(
        {"several": plugin, "fake": FakePlugin(FakeBackend())},
        {"several": plugin.describe(), "fake": FakePlugin.describe()},
        lambda _name: Probe(Health.READY), records.get, **more,
    )  # fmt: skip


def test_a_vif_type_that_is_not_the_first_is_asked_for_by_name(several: Several) -> None:
    choice = negotiator(several).choose(doc().attachment)
    assert [u.name for u in choice.usable] == ["several/ovs", "several/bridge", "fake/fake"]
    assert several.asked == [None, "bridge"]


def test_who_is_not_asked_for_is_not_asked(several: Several) -> None:
    choice = negotiator(several).choose(doc(plugin="fake").attachment)
    assert choice.plugin == "fake"
    assert several.asked == []


CIRCLE: dict[str, Any] = {}
CIRCLE["problem"] = CIRCLE


@pytest.mark.parametrize(
    "answer",
    [
        None,
        3,
        ["shared_memory"],
        [None],
        [Requirement("x", False, ValueError("no VifError"))],  # type: ignore[arg-type]
        [Requirement("x", False, errors.CapabilityError("told", facts=CIRCLE))],
    ],
    ids=repr,
)
def test_one_that_answers_nonsense_costs_nobody_else(several: Several, answer: Any) -> None:
    several.answer = answer
    offer = negotiator(several).offer(doc().attachment, None, "1.0")
    assert offer.choice.plugin == "fake"
    assert {r.error["code"] for r in offer.refused} == {"E_PLUGIN_UNHEALTHY"}
    assert "its requires failed" in offer.refused[0].error["message"]


def test_a_vendor_s_own_reason_about_the_guest(several: Several) -> None:
    """The base of the family serves a plugin that lacks something new; what it tells is kept."""
    lacking = errors.CapabilityError(facts={"problem": "no firmware 7", "have": {6}})
    several.answer = [Requirement("firmware", False, lacking)]
    offer = negotiator(several).offer(doc().attachment, None, "1.0")
    told = offer.refused[0].error
    assert (told["code"], told["stage"]) == ("E_CAP_GUEST", "requirement")
    assert told["message"] == "the guest cannot use this port: no firmware 7"
    assert not told["reschedulable"]


@pytest.mark.parametrize(
    "answer",
    [None, Probe("fine"), Probe(Health.READY, [3]), Probe(Health.READY, facts=CIRCLE)],  # type: ignore[arg-type,list-item]
)
def test_a_probe_that_answers_nonsense_is_as_good_as_none(machine: Machine, answer: Any) -> None:
    machine.backend.health = answer
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].health is Health.UNAVAILABLE)
    (reason,) = machine.engine.probes["fake"].reasons
    assert reason.startswith("its probe failed")
    machine.backend.health = Probe(Health.READY)
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].health is Health.READY)
    machine.plug(document(1))


def test_one_that_hangs_is_left_out_and_costs_nobody_else(
    several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offering, "PATIENCE", 0.02)
    several.block.clear()
    sink = Offering(negotiator(several))
    stuck = sink.submit(doc(1).attachment, None, "1.0")
    until(lambda: several.asked)
    offers: list[Offer] = []
    while not offers:
        offers.extend(filter(None, [_answer(sink)]))
    offer = offers[0]
    assert offer.choice.plugin == "fake"
    assert "it hangs in requires" in offer.refused[0].error["message"]
    assert not stuck.done()
    several.block.set()
    assert stuck.result(WAIT).choice.plugin == "several"
    until(lambda: (o := _answer(sink)) and o.choice.plugin == "several")
    sink.stop()
    with pytest.raises(errors.Stopping):
        sink.submit(doc(1).attachment, None, "1.0").result(WAIT)


def _answer(sink: Offering) -> Offer | None:
    try:
        return sink.submit(doc(2).attachment, None, "1.0").result(0.5)
    except TimeoutError:
        return None


def test_one_that_raises_is_as_good_as_ill(several: Several) -> None:
    several.requires = lambda attachment: 1 / 0  # type: ignore[method-assign]
    choice = negotiator(several).choose(doc().attachment)
    assert choice.plugin == "fake"
    assert "ZeroDivisionError" in choice.refusals["several"].message


def test_what_nobody_enforces_is_refused_where_the_operator_says_so(several: Several) -> None:
    assert negotiator(several).choose(doc().attachment).plugin == "several"
    strict = negotiator(several, terms=Terms(strict=True)).choose(doc().attachment)
    assert strict.plugin == ""
    assert {e.code for e in strict.refusals.values()} == {"E_FEATURE_UNENFORCED"}


def test_who_serves_a_port_does_not_depend_on_who_was_probed_first(several: Several) -> None:
    made = negotiator(several)
    made.probe = lambda name: UNPROBED if name == "several" else Probe(Health.READY)
    with pytest.raises(errors.PluginUnhealthy, match="not probed yet") as caught:
        made.choose(doc().attachment)
    assert caught.value.retry_after
    assert made.choose(doc(plugin="fake").attachment).plugin == "fake"
    vlan = {"network_type": "vlan", "segmentation_id": 7, "physical_network": "physnet1"}
    assert made.choose(doc(network__segment=vlan).attachment).plugin == "fake", "it cannot anyway"
    made.probe = lambda name: UNPROBED if name == "fake" else Probe(Health.READY)
    assert made.choose(doc().attachment).plugin == "several", "the lesser one is not waited for"


def test_host_info_names_only_who_can_work(several: Several) -> None:
    made = negotiator(several)
    made.probe = lambda name: Probe(Health.READY if name == "fake" else Health.UNAVAILABLE)
    (plugin,) = made.host_info()["versioned_object.data"]["plugin_info"]
    assert plugin["versioned_object.data"]["plugin_name"] == "fake"


# --- a VIF type that a plugin would not take by itself --------------------------------------------


class ResultSink:
    """The plugins as a decision sees them."""

    hostname = "here"

    def sufficient(self, *, perhaps: bool) -> str:
        return ""

    def __init__(self, plugin: Several) -> None:
        self.negotiator = negotiator(plugin)

    def choose(self, doc: Document, claims: token.Claims | None = None) -> Any:
        return self.negotiator.choose(doc.attachment, claims)

    @property
    def adverts(self) -> Any:
        return self.negotiator.adverts

    def objections(self, present: PortRecord, doc: Document) -> list[errors.VifError]:
        return []


def test_the_choice_of_a_second_vif_type_is_told_to_the_plugin(
    several: Several, tmp_path: Path
) -> None:
    """The network side takes only bridges; a plugin takes its first type unless it is told."""
    sink = ResultSink(several)
    journal = Journal.open(tmp_path / "journal.db")
    decider = Decider(sink, journal, Pending(lambda _port: False))
    bridges = [Acceptable(vif_type="bridge")]
    offer = sink.negotiator.offer(doc().attachment, bridges, "1.0")
    claims = token.read(offer.token, "query.token")

    def put(wanted: Document, claims: token.Claims | None = None) -> PortRecord:
        request = Request(Kind.PLUG, Ticket(wanted.id, "req"), doc=wanted, claims=claims)
        decision = decider.decide(request)
        assert decision is not None
        if decision.change is not None:
            journal.commit({wanted.id: decision.change}, durable=True)
        record = journal.get(wanted.id)
        assert record is not None
        return record

    record = put(doc(), claims)
    assert (record.vif_type, record.doc.attachment.vif_type) == ("bridge", "bridge")
    journal.close()
    journal = decider._journal = Journal.open(tmp_path / "journal.db")
    assert journal.get(port_id(1)) is not None
    assert put(doc()).doc.attachment.vif_type == "bridge", "it stays, also when nobody says it"
    assert put(doc(), claims).revision == 1, "the same call again changes nothing"
    journal.close()
