"""A plugin as the daemon calls it.

Every call goes through here: what it raises is an :class:`Exception` that can be told, so that no
thread of the daemon ends by it, and what it answers has the types of the contract.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from msgspec.structs import replace

from vifd.errors import InternalError, VifError
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.model.counted import Counted
from vifd.openflow.monitor import Update
from vifd.plugin import judging, soundcounts
from vifd.plugin.advert import Advert
from vifd.plugin.base import VifPlugin
from vifd.plugin.health import Probe
from vifd.plugin.item import Item, Observed, Outcomes, Recalled, Requirement
from vifd.plugin.ledger import Entry
from vifd.plugin.marked import Desired, Key, Marked
from vifd.plugin.meanings import Meanings
from vifd.plugin.sets import SetChange
from vifd.plugin.severing import Severing
from vifd.safety.steady import advance

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@contextmanager
def edge(plugin: str, verb: str) -> Iterator[None]:
    """A call into foreign code: what it raises ends this call, and nothing else.

    An interrupt of the main thread is the operator's, and passes.
    """
    advance()
    try:
        yield
        advance()
    except BaseException as error:
        known = _known(plugin, verb, error)
        if known is error:
            raise
        raise known from error


def _known(plugin: str, verb: str, error: BaseException) -> Exception:
    """What foreign code raised, as an error that can be told.

    :raises KeyboardInterrupt: it is the operator's
    """
    main = threading.current_thread() is threading.main_thread()
    if isinstance(error, KeyboardInterrupt) and main:
        raise error
    if not isinstance(error, Exception):
        LOG.error(
            "plugin %s: %s raised %s, which would have ended a thread of the daemon. Next: its "
            "ports are tried again; tell its author", plugin, verb, type(error).__name__,
        )  # fmt: skip
    return judging.sound_error(error)


class Guarded(VifPlugin):
    """Another plugin, with every call judged.

    :ivar inner: the plugin itself
    """

    def __init__(self, inner: VifPlugin) -> None:
        super().__init__(inner.host, inner.conf)
        self.inner = inner
        own: dict[str, Any] = vars(self)
        for name in ("plugin_name", "contract_version", "plugin_version"):
            own[name] = str(getattr(inner, name, ""))[:64]
        rank: object = inner.preference
        own["preference"] = rank if isinstance(rank, int) else 100
        own["listens"] = inner.listens is True
        self._severing: Severing | None = None

    def meanings(self) -> Meanings:  # type: ignore[override]
        return self._call("meanings", self.inner.meanings, judging.sound_meanings)

    def options(self) -> Any:  # type: ignore[override]
        return self._call("options", self.inner.options, judging.sound_options)

    def describe(self) -> Advert:  # type: ignore[override]
        return self._call("describe", self.inner.describe, judging.sound_advert)

    def fingerprint(self) -> str:
        return self._call("fingerprint", self.inner.fingerprint, _text)

    def probe(self) -> Probe:
        return self._call("probe", self.inner.probe, judging.sound_probe)

    def requires(self, attachment: Attachment) -> list[Requirement]:
        def ask() -> list[Requirement]:
            return judging.sound_list(
                self.inner.requires(attachment), judging.sound_requirement, "Requirement",
                judging.MAX_REQUIREMENTS,
            )  # fmt: skip

        return self._call("requires", ask, list)

    def obstacles(self, attachment: Attachment, wiring: Wiring) -> list[VifError]:
        work = self.inner.obstacles
        return self._each("obstacles", lambda: work(attachment, wiring), judging.sound_refusal)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        work = self.inner.name
        return self._call("name", lambda: work(attachment, taken), judging.sound_names)

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        work = self.inner.vif
        return self._call(
            "vif", lambda: work(attachment, wiring), lambda v: judging.sound_struct(v, Vif)
        )

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("plug", self.inner.plug, batch)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("activate", self.inner.activate, batch)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("deactivate", self.inner.deactivate, batch)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("unplug", self.inner.unplug, batch)

    def release(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("release", self.inner.release, batch)

    def hand_over(self, batch: Sequence[Item]) -> Outcomes:
        return self._outcomes("hand_over", self.inner.hand_over, batch)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        ids = [item.id for item in batch]
        with edge(self.plugin_name, "check"), _kept(batch):
            answer = judging.sound_mapping(self.inner.check(batch), "mapping of reports")
            given = {port_id: answer.get(port_id) for port_id in ids}
        read = {i: self._report(i, one) for i, one in given.items() if one is not None}
        return {i: self._judged(report) for i, report in read.items() if report is not None}

    def _judged(self, report: Report) -> Report:
        """The report with what cuts the port off, by what its plugin's facts mean."""
        if self._severing is None:
            try:
                self._severing = self.meanings().severing
            except Exception as error:  # noqa: BLE001 - it is another's object
                LOG.warning("plugin %s: its meanings: %s. Next: tell its author; its facts count "
                            "as any plugin's", self.plugin_name, error)  # fmt: skip
                self._severing = Severing()
        try:
            severed = self._severing.first(report)
        except Exception as error:  # noqa: BLE001 - its judges are another's
            LOG.warning("plugin %s: what cuts a port off: %s", self.plugin_name, error)
            severed = ""
        return report if report.severed == severed else replace(report, severed=severed)

    def _report(self, port_id: str, one: object) -> Report | None:
        """The report of one port; nonsense is as good as none."""
        try:
            return judging.sound_report(one)
        except BaseException as error:  # noqa: BLE001 - it is another's object
            problem = _known(self.plugin_name, "check", error)
            LOG.warning("plugin %s: no report of port %s: %s", self.plugin_name, port_id, problem)
            return None

    def observe(self) -> list[Observed]:
        return self._each("observe", self.inner.observe, judging.sound_observed)

    def inventory(self) -> list[Marked]:
        return self._each("inventory", self.inner.inventory, judging.sound_marked)

    def refresh(self, changes: Sequence[SetChange]) -> list[str]:
        return self._each("refresh", lambda: self.inner.refresh(changes), _text)

    def announce(self, batch: Sequence[Item]) -> None:
        with _kept(batch):
            self._call("announce", lambda: self.inner.announce(batch), lambda _: None)

    def reconnected(self, bridge: str) -> None:
        self._call("reconnected", lambda: self.inner.reconnected(bridge), lambda _: None)

    def leans_on(self, wiring: Wiring) -> list[str]:
        return self._each("leans_on", lambda: self.inner.leans_on(wiring), _text)

    def ports_of_others(self) -> Mapping[str, str] | None:
        def judge(answer: object) -> Mapping[str, str] | None:
            if answer is None:
                return None
            found = judging.sound_mapping(answer, "mapping of ports to devices")
            return {_text(port_id): _text(device) for port_id, device in found.items()}

        return self._call("ports_of_others", self.inner.ports_of_others, judge)

    def pulse(self, timeout: float) -> list[Evidence]:
        def judge(answer: object) -> list[Evidence]:
            return judging.sound_report(Report(answer)).evidence  # type: ignore[arg-type]

        return self._call("pulse", lambda: self.inner.pulse(timeout), judge)

    def counters(self, batch: Sequence[Item]) -> dict[str, Counted]:
        asked = [item.id for item in batch]
        return self._call("counters", lambda: self.inner.counters(batch),
                          lambda answer: soundcounts.sound(answer, asked))  # fmt: skip

    def unlogged(self, ports: Collection[str]) -> Mapping[str, int]:
        return self._call("unlogged", lambda: self.inner.unlogged(ports),
                          lambda answer: soundcounts.sound_numbers(answer, ports))  # fmt: skip

    def concerned_by(self, update: Update) -> bool:
        return self._call("concerned_by", lambda: self.inner.concerned_by(update), bool)

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        work = self.inner.expected
        return self._call("expected", lambda: work(entries), judging.sound_desired)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        work = self.inner.discard
        return self._call("discard", lambda: work(objects), judging.sound_failures)

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        work = self.inner.restore
        return self._call("restore", lambda: work(objects), judging.sound_failures)

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        def judge(answer: object) -> Wiring | None:
            return None if answer is None else judging.sound_names(answer)

        return self._call("claim", lambda: self.inner.claim(attachment, taken), judge)

    def take(
        self, attachment: Attachment, taken: Mapping[str, Entry], device: str
    ) -> Wiring | None:
        def judge(answer: object) -> Wiring | None:
            return None if answer is None else judging.sound_names(answer)

        return self._call("take", lambda: self.inner.take(attachment, taken, device), judge)

    def recall(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Recalled | None:
        return self._call(
            "recall", lambda: self.inner.recall(attachment, taken), judging.sound_recalled
        )

    def release_problem(self, item: Item) -> str:
        with _kept([item]):
            return self._call("release_problem", lambda: self.inner.release_problem(item), _text)

    # --- inside ---

    def _call(self, verb: str, work: Callable[[], object], judge: Callable[[Any], T]) -> T:
        with edge(self.plugin_name, verb):
            return judge(work())

    def _each(self, verb: str, work: Callable[[], object], judge: Callable[[object], T]) -> list[T]:
        def ask() -> list[T]:
            return judging.sound_list(work(), judge, verb)

        return self._call(verb, ask, list)

    def _outcomes(
        self, verb: str, work: Callable[[Sequence[Item]], Outcomes], batch: Sequence[Item]
    ) -> Outcomes:
        """The outcome of each port; one that is nonsense costs only that port."""
        ids = [item.id for item in batch]
        with edge(self.plugin_name, verb), _kept(batch):
            answer = judging.sound_mapping(work(batch), "mapping of outcomes")
            given = {port_id: answer.get(port_id) for port_id in ids}
        return {i: self._outcome(verb, one) for i, one in given.items() if one is not None}

    def _outcome(self, verb: str, one: object) -> Wiring | VifError:
        try:
            return judging.sound_outcome(one)
        except BaseException as error:  # noqa: BLE001 - it is another's object
            problem = _known(self.plugin_name, verb, error)
            text = f"plugin {self.plugin_name} answered {verb} with nonsense: {problem}"
            return InternalError(text, stage=verb)


@contextmanager
def _kept(batch: Sequence[Item]) -> Iterator[None]:
    """What the items of a batch are about stays, whatever the plugin makes of them."""
    kept = [(item, item.attachment, item.names, item.undo) for item in batch]
    try:
        yield
    finally:
        for item, attachment, names, undo in kept:
            item.attachment, item.names, item.undo = attachment, names, undo
            made: object = item.wiring
            item.wiring = made if isinstance(made, Wiring) else None


def _text(answer: object) -> str:
    if not isinstance(answer, str):
        raise judging.wrong(answer, "text")
    return answer


def guarded(plugin: VifPlugin) -> Guarded:
    """The plugin with every call judged."""
    return plugin if isinstance(plugin, Guarded) else Guarded(plugin)


def does(plugin: VifPlugin, verb: str) -> bool:
    """Whether a plugin has an optional verb of its own, guarded or not."""
    inner = plugin.inner if isinstance(plugin, Guarded) else plugin
    own = getattr(inner, verb)
    return getattr(own, "__func__", own) is not getattr(VifPlugin, verb)
