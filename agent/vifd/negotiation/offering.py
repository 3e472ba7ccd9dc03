"""Asks the plugins and the host's inventory on behalf of a port; no effect on either.

The decisions are those of :mod:`vifd.negotiation`; here is what they are fed with. A plugin's
``requires`` is pure by contract and is not trusted to be: one that hangs in it is left out until it
returns, and offers are made on threads of their own, so that the API never waits for a plugin.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec

from vifd import errors
from vifd.capabilities import binding, enforcement
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.meeting import meet
from vifd.capabilities.needs import Needs
from vifd.capabilities.neighbours import Neighbours
from vifd.capabilities.requirements import needs_of
from vifd.model import Attachment, PortRecord
from vifd.negotiation import Acceptable, Candidate, Choice, Offer, choose, offer, token, undecided
from vifd.negotiation.secondlook import SecondLook, mendable
from vifd.plugin import Advert, Health, Probe, Requirement, VifPlugin
from vifd.plugin.guarded import guarded
from vifd.plugin.vifs.hostinfo import host_info

LOG = logging.getLogger(__name__)

#: Seconds after which a call of ``requires`` is taken to hang.
PATIENCE = 2.0
#: Offers that are made at the same time, besides those that hang.
THREADS = 4


@dataclass(frozen=True)
class Terms:
    """What the operator decides.

    :param strict: a feature that is asked for and would not be enforced is a refusal
    :param ttl: seconds for which a token holds
    """

    strict: bool = False
    ttl: float = 300.0


class _Asked(NamedTuple):
    """What all candidates of one request share."""

    attachment: Attachment
    needs: Needs
    inventory: Inventory
    consulted: Mapping[str, Any]


@dataclass
class Negotiator:
    """Knows the plugins, their health, the host and the ports on it.

    :param plugins: by name, in the order of this host's preference
    :param probe: the present health of a plugin
    :param record: what the journal holds of a port
    :param inventory: the host's capabilities, from memory
    """

    plugins: Mapping[str, VifPlugin]
    adverts: Mapping[str, Advert]
    probe: Callable[[str], Probe]
    record: Callable[[str], PortRecord | None]
    inventory: Callable[[], Inventory] = Inventory
    terms: Terms = field(default_factory=Terms)

    def __post_init__(self) -> None:
        self.plugins = {name: guarded(plugin) for name, plugin in self.plugins.items()}
        self._neighbours = Neighbours()
        self._known: dict[str, Attachment] = {}
        self._lock = threading.Lock()
        #: by thread, the plugin it is inside of and since when
        self._inside: dict[int, tuple[str, float]] = {}

    def changed(self, port_ids: Iterable[str]) -> None:
        """Take note of ports that are new, other, or gone; one that is being removed is gone."""
        with self._lock:
            for port_id in port_ids:
                # read under the lock: two threads that tell of one port may come in any order
                record = self.record(port_id)
                if record is None or record.removing:
                    self._known.pop(port_id, None)
                    self._neighbours.drop(port_id)
                elif self._known.get(port_id) is not record.doc.attachment:
                    self._known[port_id] = record.doc.attachment
                    self._neighbours.put(record.doc.attachment)

    def choose(self, attachment: Attachment, claims: token.Claims | None = None) -> Choice:
        """Who serves the attachment.

        :param claims: of a token, which names the candidate
        :raises errors.TokenStale: the host is not what it was when the token was made
        :raises errors.PluginUnhealthy: a preferred plugin is not probed yet
        """
        choice = self._choice(attachment, None)
        if claims is None:
            return choice
        return token.redeem(claims, attachment, choice, time.time())

    def objections(self, present: PortRecord, wanted: Attachment) -> list[errors.VifError]:
        """What would stand in the way of a served port with another document, and does not now.

        What is wrong already (its uplink is down, say) is no reason to refuse another change.
        """
        before = {_identity(e) for e in self._problems(present, present.doc.attachment)}
        after = self._problems(present, wanted)
        return [error for error in after if _identity(error) not in before]

    def _problems(self, served: PortRecord, attachment: Attachment) -> list[errors.VifError]:
        """Everything against the plugin that serves a port, if its document were this."""
        if served.plugin not in self.plugins:
            return []
        asked = _Asked(attachment, needs_of(attachment), self.inventory(), {})
        found = self._candidate(served.plugin, served.vif_type, 0, asked)
        unmet = [r.error for r in found.requirements if not r.met and r.error is not None]
        return [*found.findings, *unmet, *self._obstacles(served, attachment)]

    def _obstacles(self, served: PortRecord, attachment: Attachment) -> list[errors.VifError]:
        """What of a port that was made stands in the way; a plugin that cannot tell now decides
        when it comes to it."""
        if served.wiring is None or self._hangs(served.plugin):
            return []
        me = threading.get_ident()
        self._inside[me] = (served.plugin, time.monotonic())
        try:
            return list(self.plugins[served.plugin].obstacles(attachment, served.wiring))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.warning("plugin %s cannot say what stands in the way of a change: %s. port=%s",
                        served.plugin, error, served.id)  # fmt: skip
            return []
        finally:
            del self._inside[me]

    def offer(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Offer:
        """What the host can give an attachment.

        :raises errors.NoCommonVif: nothing
        :raises errors.PluginUnhealthy: a preferred plugin is not probed yet
        """
        choice = self._choice(attachment, acceptable)
        return offer(
            attachment, choice, contract=contract, now=time.time(), ttl=self.terms.ttl,
            requires=needs_of(attachment).traits,
        )  # fmt: skip

    def _choice(self, attachment: Attachment, acceptable: Sequence[Acceptable] | None) -> Choice:
        choice = choose(attachment, self.candidates(attachment), acceptable)
        if waiting := undecided(choice):
            raise waiting
        return choice

    def host_info(self) -> dict[str, Any]:
        """The plugins that can work on this host now, as os-vif serialises its ``HostInfo``."""
        able = [n for n in self.plugins if self.probe(n).health is not Health.UNAVAILABLE]
        adverts = {name: self.adverts[name] for name in able}
        return host_info({n: [a.kind(t) for t in a.vif_types] for n, a in adverts.items()})

    def candidates(self, attachment: Attachment) -> Iterator[Candidate]:
        """Every plugin, with what is known of it for this attachment."""
        inventory, needs = self.inventory(), needs_of(attachment)
        asked = _Asked(attachment, needs, inventory, _consulted(needs, inventory))
        for rank, name in enumerate(self.plugins):
            advert, version = self.adverts[name], self.plugins[name].plugin_version
            if attachment.plugin != name and (attachment.plugin is not None or advert.on_request):
                # not asked for, so it need not be asked either
                yield Candidate(name, advert, self.probe(name), rank=rank, version=version)
            else:
                for vif_type in _types(attachment, advert):
                    yield self._candidate(name, vif_type, rank, asked)

    def _candidate(self, name: str, vif_type: str, rank: int, asked: _Asked) -> Candidate:
        attachment, advert = asked.attachment, self.adverts[name]
        wish = attachment
        if vif_type != advert.vif_types[0]:
            # what is not a plugin's first must be asked for, so that it can tell which is meant
            wish = msgspec.structs.replace(attachment, vif_type=vif_type)
        own, probe = self._requirements(name, wish, self.probe(name))
        theirs = meet(asked.needs, asked.inventory, advert, probe, vif_type=vif_type)
        with self._lock:
            findings = binding.check(
                attachment, advert, probe, asked.inventory, self._neighbours, plugin=name,
                vif_type=vif_type, strict=self.terms.strict,
            )  # fmt: skip
        return Candidate(
            name, advert, probe, (*theirs, *own), vif_type, rank, self.plugins[name].plugin_version,
            tuple(findings), partial(_enforcement, attachment, advert, name, vif_type),
            asked.consulted,
        )  # fmt: skip

    def _requirements(
        self, name: str, attachment: Attachment, probe: Probe
    ) -> tuple[tuple[Requirement, ...], Probe]:
        """What the plugin says it needs; one that raises or hangs is as good as ill."""
        if self._inside and self._hangs(name):
            return (), Probe(Health.UNAVAILABLE, ["it hangs in requires"], probe.facts)
        me = threading.get_ident()
        self._inside[me] = (name, time.monotonic())
        try:
            return tuple(self.plugins[name].requires(attachment)), probe
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            reason = f"its requires failed: {type(error).__name__}: {error}"
            return (), Probe(Health.UNAVAILABLE, [reason], probe.facts)
        finally:
            del self._inside[me]

    def _hangs(self, name: str) -> bool:
        since = time.monotonic() - PATIENCE
        return any(n == name and at < since for n, at in list(self._inside.values()))


def _identity(error: errors.VifError) -> str:
    return f"{error.code} {error.facts!r}"


def _types(attachment: Attachment, advert: Advert) -> Sequence[str]:
    """The VIF types that are asked of a plugin; where it has not what is wanted, its first."""
    if attachment.vif_type is None:
        return advert.vif_types
    return (
        attachment.vif_type if attachment.vif_type in advert.vif_types else advert.vif_types[0],
    )


def _consulted(needs: Needs, inventory: Inventory) -> dict[str, Any]:
    """The capabilities that the needs look at, with what is known of each."""
    names = {name for need in needs.needs for name in need.anyof}
    found = (inventory.get(name) for name in sorted(names))
    return {c.name: [c.present, c.value] for c in found}


def _enforcement(
    attachment: Attachment, advert: Advert, plugin: str, vif_type: str
) -> list[dict[str, Any]]:
    report = enforcement.report(attachment, advert, plugin=plugin, vif_type=vif_type)
    return [msgspec.to_builtins(entry, enc_hook=str) for entry in report]


class Offering:
    """Makes offers on native threads. Where all hang, more are started.

    :param settled: returns once the plugins have told what this host can do
    """

    def __init__(self, negotiator: Negotiator, settled: Callable[[], None] = lambda: None) -> None:
        self._settled = settled
        self.negotiator = negotiator
        #: has the host read anew before there is no offer; ``None`` where nobody does
        self.look: SecondLook | None = None
        self._queue: SimpleQueue[tuple[Future[Offer], Callable[[], Offer]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        #: by thread, since when it is at work; ``None`` while it waits
        self._threads: dict[threading.Thread, float | None] = {}
        self._stopped = False

    def host_info(self) -> dict[str, Any]:
        """See :meth:`Negotiator.host_info`."""
        return self.negotiator.host_info()

    def advert(self, plugin: str) -> Advert | None:
        """What a plugin can do in principle; ``None`` where there is none of that name."""
        return self.negotiator.adverts.get(plugin)

    def submit(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Future[Offer]:
        """Have an offer made; never blocks."""
        future: Future[Offer] = Future()
        work = partial(self._offer, attachment, acceptable, contract)
        with self._lock:
            if self._stopped:
                future.set_exception(errors.Stopping(port=attachment.id))
                return future
            self._staff()
            self._queue.put((future, work))
        return future

    def _offer(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Offer:
        try:
            return self.negotiator.offer(attachment, acceptable, contract)
        except errors.VifError as error:
            if self.look is None or not mendable(error):
                raise
        self.look.wait()
        return self.negotiator.offer(attachment, acceptable, contract)

    def _staff(self) -> None:
        """Start a thread where none is free; those that hang do not count."""
        late = time.monotonic() - PATIENCE
        states = list(self._threads.values())
        free = states.count(None) - self._queue.qsize()
        working = [at for at in states if at is not None and at > late]
        if free < 1 and len(working) < THREADS:
            name = f"offer-{len(self._threads)}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads[thread] = None
            thread.start()

    def _run(self) -> None:
        me = threading.current_thread()
        while (job := self._queue.get()) is not None:
            future, work = job
            self._threads[me] = time.monotonic()
            try:
                self._settled()
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the caller is told
                future.set_exception(errors.wrap(error, stage="negotiate"))
            self._threads[me] = None

    def stop(self) -> None:
        """Make no more; what runs may end."""
        with self._lock:
            self._stopped = True
            for _thread in self._threads:
                self._queue.put(None)
