"""Ports taken back from their marks, after a journal that was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from vifd import errors
from vifd.model import Document, PortRecord, restore
from vifd.model.status import wants_open
from vifd.plugin import Entry, NamingView, Observed, Recalled, VifPlugin
from vifd.store import Change, Journal

LOG = logging.getLogger(__name__)


class Recovery:
    """Which plugins have yet to say what the journal may lack; each says it on its own lane.

    :param accept: puts changes on disk and has their ports served; false where it could not
    :param entries: the ports of the journal as plugins may see them
    """

    def __init__(
        self,
        plugins: Mapping[str, VifPlugin],
        journal: Journal,
        accept: Callable[[Mapping[str, Change]], bool],
        entries: Callable[[], Mapping[str, Entry]],
    ) -> None:
        self._plugins = plugins
        self._journal = journal
        self._accept = accept
        self._entries = entries
        self._waiting: set[str] = set()

    @property
    def waiting(self) -> tuple[str, ...]:
        """The plugins that have yet to be asked."""
        return tuple(sorted(self._waiting))

    def want(self, plugins: Iterable[str]) -> None:
        """The journal may lack ports of these plugins."""
        self._waiting.update(plugins)

    def run(self, plugin: str) -> None:
        """Take back every port of a plugin whose marks still tell its document."""
        try:
            found = self._plugins[plugin].observe()
        except errors.VifError as error:
            LOG.warning("recover: plugin %s cannot tell what is there: %s; it is asked again once "
                        "it is well", plugin, error.message)  # fmt: skip
            return
        changes = self._changes(plugin, found)
        if changes:
            if not self._accept(changes):
                return
            LOG.warning("recover: %d of %d ports of plugin %s taken back from their marks",
                        len(changes), len(found), plugin)  # fmt: skip
        self._waiting.discard(plugin)
        if not self._waiting:
            self._trust()

    def _changes(self, plugin: str, found: Iterable[Observed]) -> dict[str, Change]:
        changes: dict[str, Change] = {}
        taken = NamingView(self._entries())
        for observed in found:
            if observed.document is None or self._journal.get(observed.port_id) is not None:
                continue
            try:
                doc = restore(observed.document, port_id=observed.port_id)
            except errors.VifError as error:
                LOG.warning("recover: %s: %s", observed.port_id, error)
                continue
            recalled = self._recalled(doc, observed, taken)
            record = _recovered(doc, plugin, recalled)
            taken[record.id] = Entry(doc.attachment, recalled.wiring, record.open)
            changes[observed.port_id] = _unless_there(record)
        return changes

    def _recalled(self, doc: Document, observed: Observed, taken: NamingView) -> Recalled:
        """The names of a port as the host tells them, held against what its document calls for."""
        plugin = self._plugins[observed.wiring.plugin]
        try:
            found = plugin.recall(doc.attachment, taken)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.warning("recover: %s: %s; its marks alone are believed", observed.port_id,
                        errors.wrap(error, stage="recover"))  # fmt: skip
            found = None
        return found or Recalled(observed.wiring)

    def _trust(self) -> None:
        """Every plugin was asked what the journal may lack."""
        try:
            self._journal.trust()
        except errors.JournalError as error:
            LOG.warning("%s: %s; the host is asked again after the next start",
                        error.code, error.message)  # fmt: skip


def _recovered(doc: Document, plugin: str, found: Recalled) -> PortRecord:
    wiring = found.wiring
    record = PortRecord(doc=doc, plugin=plugin, vif_type=wiring.vif_type, names=wiring)
    return replace(record, open=found.open and wants_open(record))


def _unless_there(record: PortRecord) -> Change:
    return lambda present: present or record
