"""Ports on a host of whatever back end, driven as the engine drives them."""

from __future__ import annotations

import contextlib
from typing import Any

from vifd.errors import VifError
from vifd.model import Attachment
from vifd.testing.ledger import Ledger
from vifd.testing.wait import until


class PluggedPorts(contextlib.ExitStack):
    """Base class of the scenes; ports go when it closes.

    :ivar ledger: set by the scene
    """

    ledger: Ledger

    def _remove_ports(self) -> None:
        if self.ledger.records:
            failed = self.ledger.unplug()
            assert not failed, failed

    def plug(self, *attachments: Attachment, opened: bool = True) -> list[str]:
        """Plug ports that must succeed; their ids."""
        failed = self.ledger.plug(*attachments, opened=opened)
        assert not failed, failed
        return [a.id for a in attachments]

    def plug_at_last(self, *attachments: Attachment) -> None:
        """Plug ports; what a back end refused that was away is tried again, as the engine does."""
        if failed := self.ledger.plug(*attachments):
            until(lambda: not self.ledger.carry_out([*failed]), "the ports are plugged")

    def refused(self, attachment: Attachment) -> VifError:
        """Plug a port that must fail; its error. Nothing of it is kept."""
        (error,) = self.ledger.plug(attachment).values()
        self.ledger.records.pop(attachment.id, None)
        return error

    def device(self, port_id: str) -> str:
        """The name of a port's tap."""
        return self.ledger.records[port_id].names.device

    def findings(self, *ids: str) -> dict[str, Any]:
        """What a check finds."""
        return self.ledger.findings(*ids)

    def heal(self) -> None:
        """Plug every port again, as the engine does with what has drifted."""
        assert not self.ledger.carry_out([*self.ledger.records])
        assert not self.findings()
