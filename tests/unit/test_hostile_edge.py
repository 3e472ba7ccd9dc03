"""Whatever a plugin raises or answers: who called a verb of it gets an exception that can be told,
or an answer of the kind that the contract says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from oslo_config import cfg

from unit.test_hostile_plugin import NONSENSE, RAISED, Bad
from vifd import errors
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.model.counted import Counted
from vifd.openflow.monitor import Update
from vifd.plugin import (
    Advert,
    Entry,
    Item,
    Observed,
    Probe,
    Recalled,
    Requirement,
    VifPlugin,
)
from vifd.plugin.guarded import guarded
from vifd.plugin.marked import Marked, Wanted
from vifd.plugin.meanings import Meanings
from vifd.testing.attachments import attachment, port_id
from vifd.testing.plugin import FakeBackend

NAMES = Wiring("bad", "fake", "tap", {"n": 1})


def wanted() -> Attachment:
    return attachment(1)


def item() -> Item:
    return Item(wanted(), NAMES, NAMES)


#: A call of each verb.
CALLS: dict[str, Callable[[VifPlugin], Any]] = {
    "probe": lambda p: p.probe(),
    "requires": lambda p: p.requires(wanted()),
    "obstacles": lambda p: p.obstacles(wanted(), NAMES),
    "name": lambda p: p.name(wanted(), {}),
    "vif": lambda p: p.vif(wanted(), NAMES),
    "plug": lambda p: p.plug([item()]),
    "activate": lambda p: p.activate([item()]),
    "deactivate": lambda p: p.deactivate([item()]),
    "check": lambda p: p.check([item()]),
    "unplug": lambda p: p.unplug([item()]),
    "release": lambda p: p.release([item()]),
    "hand_over": lambda p: p.hand_over([item()]),
    "observe": lambda p: p.observe(),
    "inventory": lambda p: p.inventory(),
    "expected": lambda p: p.expected({port_id(1): Entry(wanted(), NAMES, open=True)}),
    "refresh": lambda p: p.refresh([]),
    "announce": lambda p: p.announce([item()]),
    "reconnected": lambda p: p.reconnected("br"),
    "leans_on": lambda p: p.leans_on(NAMES),
    "ports_of_others": lambda p: p.ports_of_others(),
    "pulse": lambda p: p.pulse(1.0),
    "counters": lambda p: p.counters([item()]),
    "unlogged": lambda p: p.unlogged([port_id(1)]),
    "concerned_by": lambda p: p.concerned_by(Update(0, 0, 1, 7)),
    "discard": lambda p: p.discard([Marked(kind="tap", name="tap0")]),
    "restore": lambda p: p.restore([Marked(kind="tap", name="tap0")]),
    "claim": lambda p: p.claim(wanted(), {}),
    "take": lambda p: p.take(wanted(), {}, "tap0"),
    "recall": lambda p: p.recall(wanted(), {}),
    "release_problem": lambda p: p.release_problem(item()),
    "fingerprint": lambda p: p.fingerprint(),
    "meanings": lambda p: p.meanings(),
    "options": lambda p: p.options(),
    "describe": lambda p: p.describe(),
}
TEXTS = (list, str)
#: Verbs that may have no answer.
SILENT = ("ports_of_others", "claim", "take", "recall")
#: What the contract says of an answer: its type, and that of what is in it.
ANSWERS: dict[str, tuple[type | None, ...]] = {
    "probe": (Probe,), "requires": (list, Requirement), "obstacles": (list, errors.VifError),
    "name": (Wiring,), "vif": (Vif,), "observe": (list, Observed), "inventory": (list, Marked),
    "plug": (dict, Wiring, errors.VifError), "activate": (dict, Wiring, errors.VifError),
    "deactivate": (dict, Wiring, errors.VifError), "unplug": (dict, Wiring, errors.VifError),
    "release": (dict, Wiring, errors.VifError), "hand_over": (dict, Wiring, errors.VifError),
    "check": (dict, Report), "refresh": TEXTS, "leans_on": TEXTS, "announce": (None,),
    "reconnected": (None,), "ports_of_others": (dict, str), "pulse": (list, Evidence),
    "counters": (dict, Counted), "unlogged": (dict, int), "concerned_by": (bool,),
    "discard": (dict, errors.VifError), "restore": (dict, errors.VifError),
    "release_problem": (str,), "fingerprint": (str,), "claim": (Wiring,), "take": (Wiring,),
    "recall": (Recalled,), "expected": (dict, Wanted), "meanings": (Meanings,),
    "describe": (Advert,), "options": (list, cfg.Opt),
}  # fmt: skip


def called(verb: str, do: Callable[..., Any]) -> Any:
    """What the edge makes of it: an answer, or an exception; anything else ends the test."""
    plugin = Bad(FakeBackend())
    setattr(plugin, verb, do)
    try:
        return CALLS[verb](guarded(plugin))
    except Exception as error:
        return error


def on_a_thread(verb: str, do: Callable[..., Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(called(verb, do)))
    thread.start()
    thread.join()
    assert found, "a thread of the daemon would have ended"
    return found[0]


def test_every_verb_is_called() -> None:
    verbs = {name for name in vars(VifPlugin) if name[0] != "_"}
    assert set(CALLS) == {name for name in verbs if callable(getattr(VifPlugin, name))}


@pytest.mark.parametrize("verb", CALLS)
def test_whatever_it_raises_can_be_told(verb: str) -> None:
    for raised, make in RAISED.items():

        def do(*_: object, make: Callable[[], BaseException] = make) -> Any:
            raise make()

        error = on_a_thread(verb, do)
        assert isinstance(error, Exception), raised
        assert told(error), raised


@pytest.mark.parametrize("verb", CALLS)
def test_whatever_it_answers_is_what_the_contract_says(verb: str) -> None:
    for name, answer in NONSENSE.items():
        found = on_a_thread(verb, lambda *_, answer=answer: answer())
        if isinstance(found, Exception):
            assert told(found), name
        elif found is not None or verb not in SILENT:
            assert sound(found, *ANSWERS[verb]), (name, found)


def told(error: Exception) -> bool:
    """Whether it can be, in a log line and in an answer, and does not fill them."""
    known = errors.wrap(error, stage="edge")
    return len(msgspec.json.encode(known.to_dict())) + len(str(known).encode()) < 1 << 17


def sound(found: Any, kind: type | None, *inside: type | None) -> bool:
    if kind is None:
        return found is None
    if not isinstance(found, kind):
        return False
    if not inside:
        return True
    each: Any = found.values() if isinstance(found, dict) else found
    return all(isinstance(one, tuple(k for k in inside if k)) for one in each)
