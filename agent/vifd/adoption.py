"""Adoption: taking over, in place, what somebody else plugged."""

from __future__ import annotations

from dataclasses import dataclass

from vifd.engine import Engine
from vifd.model import Document
from vifd.store import Journal
from vifd.ticket import Ticket


@dataclass(frozen=True)
class Adoption:
    engine: Engine
    journal: Journal

    def take_over(self, doc: Document, ticket: Ticket) -> None:
        raise NotImplementedError
