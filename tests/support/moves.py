"""Moves of ports between back ends that exist only in memory."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vifd import errors
from vifd.migration.moved import Moved
from vifd.model import Document

if TYPE_CHECKING:
    from support.backend import FakeDaemon


class FakeMoves:
    """Every port can go everywhere, but for what a test says otherwise."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def move(
        self, port_id: str, target: str, request_id: str, *, dry_run: bool = False,
        doc: Document | None = None,
    ) -> Future[Moved]:  # fmt: skip
        del request_id, doc
        future: Future[Moved] = Future()
        error = self._daemon._failures.pop(port_id, None)
        record = self._daemon._records.get(port_id)
        if record is None:
            error = errors.PortNotFound(facts={"port": port_id})
        if error is not None or record is None:
            future.set_exception(error or errors.InternalError("no record"))
            return future
        device = record.names.device if record.names else ""
        moved = Moved(port_id, record.plugin, target, device)
        if not dry_run and record.plugin != target:
            self._daemon.effects.append(f"move {port_id} to {target}")
            self._daemon._records[port_id] = replace(record, plugin=target)
            moved = replace(moved, done=True, gap_ms=12.5, gap_within_ms=1.5, took_ms=80.0)
        future.set_result(moved)
        return future
